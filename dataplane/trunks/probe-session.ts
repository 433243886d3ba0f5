import type { Timer } from '#lib/clock.ts'
import type { ClientTransaction, IncomingResponse, OutgoingRequest } from '../sip/port.ts'
import { type KeepalivePolicy, probeInterval, type ProbeResult, step, type TargetHealth } from './keepalive.ts'
import type { Outside } from './outside.ts'
import { isTlsFailure, unreachable } from './peer.ts'

/** A probe that could not leave is tried again soon, whatever the intervals are, in milliseconds. */
const notSentRetryMilliseconds = 1000
/** A deadline that comes so much too late tells of this process, not of the peer, in milliseconds. */
const stallMilliseconds = 500

export interface SessionOptions {
  /** Who is probed, for people: `192.0.2.1:5060 over UDP`. */
  readonly peer: string
  /** The OPTIONS, or why none can leave. */
  readonly request: OutgoingRequest | string
  readonly policy: KeepalivePolicy
  readonly health: TargetHealth
  /** When that health became so, in milliseconds since 1970. */
  readonly since: number
  /** A probe has ended, or the health has changed: `before` is what it was. */
  readonly onResult: (before: TargetHealth) => void
}

/** The loop around one address of a peer: probes it with OPTIONS and knows its health. */
export class ProbeSession {
  readonly #options: SessionOptions
  readonly #outside: Outside
  #policy: KeepalivePolicy
  #health: TargetHealth
  #since: number
  #startedAt = 0
  /** Number of the probe that is out; undefined when none is. An answer to any other comes too late. */
  #out: number | undefined
  #transaction: ClientTransaction | undefined
  #count = 0
  #next: Timer | undefined
  /** The next probe is due after an interval, not sooner for a reason of its own. */
  #regular = false
  #deadline: Timer | undefined

  constructor(options: SessionOptions, outside: Outside) {
    this.#options = options
    this.#outside = outside
    this.#policy = options.policy
    this.#health = options.health
    this.#since = options.since
  }

  get health(): TargetHealth {
    return this.#health
  }

  get since(): number {
    return this.#since
  }

  /** Whether a probe is out or due. */
  get running(): boolean {
    return this.#out !== undefined || this.#next !== undefined
  }

  /** Probes after so many milliseconds, and from then on in intervals. */
  start(milliseconds: number): void {
    this.#next?.cancel()
    this.#regular = false
    this.#next = this.#outside.clock.after(milliseconds, () => this.#probe())
  }

  /** Takes a new policy over; what is known stays. */
  follow(policy: KeepalivePolicy): void {
    const before = this.#policy
    this.#policy = policy
    if (this.#regular && intervalsDiffer(before, policy)) this.#startInterval()
  }

  /** Says something of it that was found out in another way; a probe that is out counts no more. */
  become(health: TargetHealth, since = this.#outside.clock.wallTime()): void {
    const before = this.#health
    this.#abandon()
    this.#health = health
    if (health.state !== before.state) this.#since = since
  }

  /** Probes no more until it is started again. */
  halt(): void {
    this.#next?.cancel()
    this.#next = undefined
    this.#regular = false
    this.#abandon()
  }

  #abandon(): void {
    this.#deadline?.cancel()
    this.#out = undefined
    this.#transaction?.abandon()
    this.#transaction = undefined
  }

  #startInterval(): void {
    const interval = probeInterval(this.#health, this.#policy, this.#outside.random())
    this.start(Math.max(0, this.#startedAt + interval - this.#outside.clock.now()))
    this.#regular = true
  }

  #probe(): void {
    const { clock, sip } = this.#outside
    const { request, peer } = this.#options
    this.#next = undefined
    this.#regular = false
    this.#startedAt = clock.now()
    const probe = ++this.#count
    this.#out = probe
    if (typeof request === 'string') return this.#finish(probe, { kind: 'NotSent', detail: request })
    const { timeoutSeconds } = this.#policy
    const silence = `no answer from ${peer} within ${timeoutSeconds} s`
    this.#deadline = clock.after(timeoutSeconds * 1000, () => {
      // The answer may wait to be read: a process that stood still has heard nobody.
      const isLate = clock.now() - this.#startedAt > timeoutSeconds * 1000 + stallMilliseconds
      const detail = 'this replica stood still and could not hear the answer'
      this.#finish(probe, isLate ? { kind: 'NotSent', detail } : { kind: 'NoAnswer', detail: silence })
    })
    this.#transaction = sip.send(request, {
      onResponse: (response) => {
        if (response.status >= 200) this.#finish(probe, resultOf(response, peer))
      },
      onFailure: (error) =>
        this.#finish(
          probe,
          error.code === 'Disconnected'
            ? { kind: 'NotSent', detail: error.message }
            : { kind: 'Unreachable', detail: `OPTIONS could not be sent: ${error.message}` },
        ),
    })
  }

  #finish(probe: number, result: ProbeResult): void {
    if (this.#out !== probe) return
    this.#abandon()
    const before = this.#health
    this.#health = step(before, result, this.#policy)
    const isRejected = result.kind === 'Answer' && this.#health.failure === 'Rejected'
    this.#outside.counters.probes[result.kind !== 'Answer' ? result.kind : isRejected ? 'Rejected' : 'Answered']++
    if (this.#health.state !== before.state) this.#since = this.#outside.clock.wallTime()
    if (result.kind === 'NotSent') this.start(notSentRetryMilliseconds * (0.5 + this.#outside.random()))
    else this.#startInterval()
    this.#options.onResult(before)
  }
}

function intervalsDiffer(before: KeepalivePolicy, after: KeepalivePolicy): boolean {
  return (
    before.upIntervalSeconds !== after.upIntervalSeconds || before.downIntervalSeconds !== after.downIntervalSeconds
  )
}

function resultOf(response: IncomingResponse, peer: string): ProbeResult {
  if (!response.local) return { kind: 'Answer', status: response.status, reason: response.reason }
  if (response.status === 408) return { kind: 'NoAnswer', detail: `no answer from ${peer}` }
  const kind = isTlsFailure(response.localReason) ? 'TlsFailed' : 'Unreachable'
  return { kind, detail: unreachable(peer, response.localReason) }
}
