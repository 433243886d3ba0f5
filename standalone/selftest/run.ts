import type { Clock, Timer } from '#lib/clock.ts'
import { fleetsOf } from '../../operator/compile/world.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { formatHostPort } from '../../dataplane/engine/message/uri.ts'
import { type Manifests, resourcesOf } from '../manifests/manifests.ts'
import { Registrar } from '../peer/registrar.ts'
import { Trace, type TraceEntry } from '../peer/trace.ts'
import { UserAgent } from '../peer/user-agent.ts'
import { conditionStatus, type View } from '../table.ts'
import { checkCall, type Side } from './checks.ts'
import { type Arrow, renderLadder } from './ladder.ts'
import { type CallPlan, type PeerPlan, planSelftest } from './plan.ts'

/** How long trunks may take to be registered and reachable. */
const readyMilliseconds = 45_000
/** How long the last messages of the call may take to come through. */
const settleMilliseconds = 5_000
const sessionExpiresSeconds = 1_800
/** From blocks for documentation (RFC 5737), so that they are found wherever they turn up. */
const nearMedia = '192.0.2.10'
const farMedia = '198.51.100.20'

/** A self-test cannot go on; the message says what was waited for, or what was not as it must be. */
export class SelftestFailure extends Error {
  override readonly name = 'SelftestFailure'
}

/** What the self-test asks of the fleets that run. */
export interface FleetsUnderTest {
  /** The newest view; undefined before the first. */
  view(): View | undefined
  onView(listener: () => void): void
}

/** The peers of the trunks of a directory, and one call between them. */
export class Selftest {
  readonly #clock: Clock
  readonly #trace: Trace
  readonly #call: CallPlan
  readonly #agents: ReadonlyMap<PeerPlan, UserAgent>
  readonly #played: ReadonlySet<string>
  #patience: Timer | undefined

  /** Throws a `SelftestFailure` when the manifests have no call to place. */
  constructor(manifests: Manifests, addresses: readonly (readonly string[])[] | undefined, clock: Clock) {
    const { fleets } = fleetsOf(resourcesOf(manifests))
    const plan = planSelftest(fleets, addresses)
    if (typeof plan === 'string') throw new SelftestFailure(`There is no call to place: ${plan}.`)
    this.#clock = clock
    this.#trace = new Trace(clock)
    this.#call = plan.call
    this.#agents = new Map(plan.peers.map((peer) => [peer, this.#createAgent(peer)]))
    const namespace = plan.call.fleet.split('/')[0] ?? ''
    this.#played = new Set(plan.peers.map(({ trunk }) => `${namespace}/${trunk}`))
  }

  /** Lets the peers answer from now on. Throws a `SelftestFailure` when an endpoint of theirs cannot be bound. */
  async open(): Promise<void> {
    for (const [{ trunk, host, port }, agent] of this.#agents) {
      try {
        await agent.open()
      } catch (error) {
        const cause = error instanceof Error ? error.message : String(error)
        throw new SelftestFailure(
          `The peer of trunk ${trunk} cannot be played at ${formatHostPort(host, port)}: ${cause}. ` +
            'Stop what uses that port, or give the target another one.',
        )
      }
    }
  }

  close(): void {
    this.#patience?.cancel()
    this.#trace.close()
    for (const agent of this.#agents.values()) agent.close()
  }

  /** Waits until every trunk that is played is ready, reachable, and registered where it should be. */
  async waitForTrunks(fleets: FleetsUnderTest): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#patience = this.#clock.after(readyMilliseconds, () => {
        const missing = this.#missing(fleets.view()).join(', ')
        reject(new SelftestFailure(`Waited ${readyMilliseconds / 1000} s in vain for: ${missing}.`))
      })
      const look = () => {
        if (this.#missing(fleets.view()).length > 0) return
        this.#patience?.cancel()
        resolve()
      }
      fleets.onView(look)
      look()
    })
  }

  /** Places the call, and gives back both legs as a ladder. Throws a `SelftestFailure` that says what went wrong. */
  async run(): Promise<{ ladder: string[]; passed: string[]; failed: string[] }> {
    const { near, entry } = this.#call
    const agent = this.#agents.get(near)
    if (agent === undefined) throw new SelftestFailure('The calling peer is not played.')
    const failed: string[] = []
    let callId = ''
    try {
      const call = await agent.call(this.#call, entry, sessionExpiresSeconds)
      callId = call.callId
      await this.#farMessage('the ACK', (message) => message.method === 'ACK' && message.kind === 'request')
      const refreshed = await agent.refresh(call, sessionExpiresSeconds)
      await agent.hangUp(refreshed)
      await this.#farMessage('the BYE', (message) => message.method === 'BYE' && message.kind === 'request')
    } catch (error) {
      failed.push(error instanceof Error ? error.message : String(error))
    }
    const [nearSide, farSide] = this.#sides(callId)
    const checks = failed.length > 0 ? [] : checkCall(nearSide, farSide)
    return {
      ladder: this.#ladder(nearSide, farSide),
      passed: checks.flatMap(({ what, flaw }) => (flaw === undefined ? what : [])),
      failed: [...failed, ...checks.flatMap(({ what, flaw }) => (flaw === undefined ? [] : `${what}: ${flaw}`))],
    }
  }

  #createAgent(peer: PeerPlan): UserAgent {
    const { trunk, accounts } = peer
    const domain = `${trunk}.invalid`
    return new UserAgent({
      name: trunk,
      endpoint: { host: peer.host, port: peer.port },
      clock: this.#clock,
      onTrace: (entry) => this.#trace.add(entry),
      domain,
      mediaAddress: peer === this.#call.near ? nearMedia : farMedia,
      registrar: accounts.size === 0 ? undefined : new Registrar(domain, accounts),
    })
  }

  #missing(view: View | undefined): string[] {
    return [...this.#played].flatMap((name) => {
      const row = view?.trunks.find((trunk) => trunk.name === name)
      if (row === undefined) return [`trunk ${name} to be there`]
      const registered = row.status.registrations === undefined ? [] : ['Registered']
      return ['Ready', ...registered, 'Reachable']
        .filter((type) => conditionStatus(row.status, type) !== 'True')
        .map((type) => {
          const message =
            row.status.conditions?.find((condition) => condition.type === type)?.message ?? 'not known yet'
          return `trunk ${name} to be ${type} (${message})`
        })
    })
  }

  #farMessage(what: string, fits: (message: SipMessage) => boolean): Promise<TraceEntry> {
    const far = this.#farName()
    return this.#trace.until(
      `${what} at ${far}`,
      settleMilliseconds,
      ({ peer, direction, message }) => peer === far && direction === 'received' && fits(message),
    )
  }

  #farName(): string {
    return this.#call.far[0]?.trunk ?? ''
  }

  #sides(callId: string): [Side, Side] {
    const { near, far } = this.#call
    const ofCall = ({ message }: TraceEntry) => !['OPTIONS', 'REGISTER'].includes(message.method)
    const side = (peers: readonly PeerPlan[], mediaAddress: string, fits: (entry: TraceEntry) => boolean): Side => {
      const peer = peers[0]?.trunk ?? ''
      return {
        peer,
        endpoints: peers.map(({ host, port }) => ({ host, port })),
        domain: `${peer}.invalid`,
        mediaAddress,
        messages: this.#trace.entries.filter((entry) => entry.peer === peer && ofCall(entry) && fits(entry)),
      }
    }
    const own = ({ message }: TraceEntry) => callId === '' || message.callId === callId
    return [side([near], nearMedia, own), side(far, farMedia, () => true)]
  }

  #ladder(near: Side, far: Side): string[] {
    const begin = Math.min(...[...near.messages, ...far.messages].map(({ at }) => at))
    const arrows = this.#trace.entries.flatMap((entry): Arrow[] => {
      const side = near.messages.includes(entry) ? 'left' : far.messages.includes(entry) ? 'right' : undefined
      if (side === undefined) return []
      return [
        { at: entry.at - begin, side, to: entry.direction === 'sent' ? 'fleet' : 'peer', label: label(entry.message) },
      ]
    })
    const column = ({ peer, endpoints }: Side) => ({
      title: peer,
      detail: endpoints.map(({ host, port }) => formatHostPort(host, port)).join(' '),
    })
    const { fleet, entry } = this.#call
    return renderLadder({
      left: column(near),
      fleet: { title: fleet, detail: entry.host },
      right: column(far),
      arrows,
    })
  }
}

/** `INVITE 1 (SDP)`, `200 INVITE 2 (SDP, SE 1800)`: method or status, CSeq, and what it carries. */
function label(message: SipMessage): string {
  const start = message.kind === 'request' ? message.method : `${message.status} ${message.method}`
  const expires = message.get('Session-Expires')
  const cargo = [
    ...(message.body === '' ? [] : ['SDP']),
    ...(expires === undefined ? [] : [`SE ${Number.parseInt(expires)}`]),
  ]
  return `${start} ${message.cseq}${cargo.length === 0 ? '' : ` (${cargo.join(', ')})`}`
}
