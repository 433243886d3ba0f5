import type { TargetReport } from '#api/wire.ts'
import type { TargetConfig } from '#api/snapshot.ts'
import type { Timer } from '#lib/clock.ts'
import type { OpenListener } from '../config/running.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { IncomingResponse, OutgoingRequest } from '../sip/port.ts'
import {
  type KeepalivePolicy,
  probeInterval,
  type ProbeResult,
  step,
  type TargetHealth,
  unknownHealth,
} from './keepalive.ts'
import type { Outside } from './outside.ts'
import { listenerUri, Peer } from './peer.ts'

/** Probes of many targets that start together are spread over this time. */
const firstProbeSpreadMilliseconds = 1000
/** A probe that could not leave is tried again soon, whatever the intervals are. */
const notSentRetryMilliseconds = 1000

/** The loop around one target: probes it with OPTIONS and knows its health. */
export class TargetProbe {
  readonly trunk: string
  readonly target: TargetConfig
  readonly peer: Peer
  readonly #outside: Outside
  #policy: KeepalivePolicy
  #health: TargetHealth = unknownHealth
  #since: number
  #startedAt = 0
  /** Number of the probe that is out; undefined when none is. An answer to any other comes too late. */
  #out: number | undefined
  #count = 0
  #hadAddress = false
  #next: Timer | undefined
  /** The next probe is due after an interval, not sooner for a reason of its own. */
  #regular = false
  #deadline: Timer | undefined

  constructor(
    options: { trunk: string; target: TargetConfig; policy: KeepalivePolicy; listener: OpenListener | undefined },
    outside: Outside,
  ) {
    this.trunk = options.trunk
    this.target = options.target
    this.#policy = options.policy
    this.#outside = outside
    this.#since = outside.clock.wallTime()
    this.peer = new Peer(options.target, {
      listener: options.listener,
      resolution: outside.resolution,
      onChange: () => this.#resolved(),
    })
    if (this.peer.settled) this.#probeSoon()
  }

  get usable(): boolean {
    return this.#health.state !== 'Down'
  }

  report(): TargetReport {
    const { state, lastCode } = this.#health
    const detail = this.#health.detail ?? this.peer.failure
    return {
      trunk: this.trunk,
      target: this.target.name,
      state,
      since: this.#since,
      ...(lastCode === undefined ? {} : { lastCode }),
      ...(detail === undefined ? {} : { detail: detail.slice(0, 500) }),
    }
  }

  /** Takes a new policy over; what is known of the target stays. */
  follow(policy: KeepalivePolicy): void {
    const before = this.#policy
    this.#policy = policy
    if (!policy.enabled) {
      if (!before.enabled) return
      this.#halt()
      this.#become(unknownHealth)
    } else if (!before.enabled) {
      if (this.peer.settled) this.#probeSoon()
    } else if (this.#regular && intervalsDiffer(before, policy)) {
      this.#scheduleInterval()
    }
  }

  stop(): void {
    this.#halt()
    this.peer.stop()
  }

  #halt(): void {
    this.#next?.cancel()
    this.#next = undefined
    this.#regular = false
    this.#deadline?.cancel()
    this.#out = undefined
  }

  #resolved(): void {
    const waiting = this.#count === 0 && this.#next === undefined
    if (this.#out === undefined && !this.#hadAddress && (waiting || this.peer.addresses.length > 0)) this.#probeSoon()
    this.#outside.onAddresses()
    this.#outside.onChange()
  }

  #probeSoon(): void {
    this.#schedule(firstProbeSpreadMilliseconds * this.#outside.random())
  }

  #scheduleInterval(): void {
    const interval = probeInterval(this.#health, this.#policy, this.#outside.random())
    this.#schedule(Math.max(0, this.#startedAt + interval - this.#outside.clock.now()))
    this.#regular = true
  }

  #schedule(milliseconds: number): void {
    this.#next?.cancel()
    this.#next = undefined
    this.#regular = false
    if (!this.#policy.enabled) return
    this.#next = this.#outside.clock.after(milliseconds, () => this.#probe())
  }

  #probe(): void {
    const { clock, sip } = this.#outside
    const { listener } = this.peer
    this.#next = undefined
    this.#regular = false
    this.#startedAt = clock.now()
    const probe = ++this.#count
    this.#out = probe
    const address = this.peer.addresses[0]
    this.#hadAddress = address !== undefined
    if (address === undefined) {
      const detail = this.peer.failure ?? `${this.target.host} has not resolved yet`
      return this.#finish(probe, undefined, { kind: 'NoAnswer', detail })
    }
    if (listener === undefined) {
      const detail = `the listener ${this.target.listener} is not open`
      return this.#finish(probe, undefined, { kind: 'NotSent', detail })
    }
    const silence = `no answer from ${this.peer.describe(address)} within ${this.#policy.timeoutSeconds} s`
    this.#deadline = clock.after(this.#policy.timeoutSeconds * 1000, () =>
      this.#finish(probe, address, { kind: 'NoAnswer', detail: silence }),
    )
    sip.send(optionsRequest(this.target, listener, this.peer.nextHop(address)), {
      onResponse: (response) => {
        if (response.status >= 200) this.#finish(probe, address, resultOf(response, this.peer.describe(address)))
      },
      onFailure: (error) =>
        this.#finish(
          probe,
          address,
          error.code === 'Disconnected'
            ? { kind: 'NotSent', detail: error.message }
            : { kind: 'NoAnswer', detail: `OPTIONS could not be sent: ${error.message}` },
        ),
    })
  }

  #finish(probe: number, address: string | undefined, result: ProbeResult): void {
    if (this.#out !== probe) return
    this.#out = undefined
    this.#deadline?.cancel()
    const next = step(this.#health, result, this.#policy)
    if (result.kind !== 'NotSent' && next.failures > 0 && address !== undefined) this.peer.passOver(address)
    this.#become(next)
    if (result.kind === 'NotSent') this.#schedule(notSentRetryMilliseconds * (0.5 + this.#outside.random()))
    else this.#scheduleInterval()
  }

  #become(next: TargetHealth): void {
    const before = this.#health
    this.#health = next
    if (next.state !== before.state) {
      this.#since = this.#outside.clock.wallTime()
      const fields = { trunk: this.trunk, target: this.target.name, code: next.lastCode, detail: next.detail }
      if (next.state === 'Down') this.#outside.log.warn(fields, 'target is down')
      else this.#outside.log.info(fields, next.state === 'Up' ? 'target is up' : 'target is not probed any more')
    }
    if (next.state !== before.state || next.lastCode !== before.lastCode || next.detail !== before.detail) {
      this.#outside.onChange()
    }
  }
}

function intervalsDiffer(before: KeepalivePolicy, after: KeepalivePolicy): boolean {
  return (
    before.upIntervalSeconds !== after.upIntervalSeconds || before.downIntervalSeconds !== after.downIntervalSeconds
  )
}

function resultOf(response: IncomingResponse, peer: string): ProbeResult {
  if (!response.local) return { kind: 'Answer', status: response.status, reason: response.reason }
  return { kind: 'NoAnswer', detail: response.status === 408 ? `no answer from ${peer}` : `${peer} cannot be reached` }
}

/** RFC 3261 section 11.1. The Contact makes it leave from the listener that calls to the target leave from. */
function optionsRequest(target: TargetConfig, listener: OpenListener, nextHop: string): OutgoingRequest {
  const uri = `sip:${formatHostPort(target.host, target.port)};transport=${target.transport.toLowerCase()}`
  return {
    method: 'OPTIONS',
    uri,
    nextHop,
    headers: [
      ['From', `<sip:ping@${formatHostPort(listener.address, listener.port)}>`],
      ['To', `<sip:${formatHostPort(target.host, target.port)}>`],
      ['Contact', `<${listenerUri('ping', listener)}>`],
      ['Accept', 'application/sdp'],
    ],
  }
}
