import { createHash } from 'node:crypto'
import type { TargetConfig } from '#api/snapshot.ts'
import type { Finding, TargetFailure, TargetReport } from '#api/wire.ts'
import type { OpenListener } from '../config/running.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { OutgoingRequest } from '../sip/port.ts'
import { type KeepalivePolicy, type TargetHealth, unknownHealth } from './keepalive.ts'
import type { Outside } from './outside.ts'
import { listenerUri, Peer, type PeerConfig } from './peer.ts'
import { ProbeSession } from './probe-session.ts'

/** Probes that start together are spread over this time, in milliseconds. */
const spreadMilliseconds = 1000
/** First wait for the probe that may restore what calls found down, doubled by every relapse, in milliseconds. */
const recoveryMilliseconds = 1000
/** A Retry-After is heeded up to here, in seconds. */
const longestRetryAfterSeconds = 600

/** A peer to watch: where calls to it go, how it is probed, and from which socket. */
export interface MonitoredPeer {
  readonly target: TargetConfig
  readonly policy: KeepalivePolicy
  /** Listener that calls leave from; undefined while it is not open. */
  readonly listener: OpenListener | undefined
  /** Listener that probes leave from. */
  readonly probeListener: OpenListener | undefined
}

/** What is said of a peer as a whole. */
export type PeerState = Omit<TargetReport, 'trunk' | 'target' | 'failures'>

/** How a call failed at an address. */
export interface CallFailure {
  /** Absent when nothing came from the network. */
  readonly status: number | undefined
  readonly retryAfterSeconds: number | undefined
}

/**
 * Why an address is probed from here: this replica probes for the fleet, the fleet's prober found it down and it is
 * looked at once with own eyes, or calls of this replica failed there.
 */
type Cause = 'Duty' | 'Told' | 'Calls'

interface Watched {
  readonly session: ProbeSession
  cause: Cause
}

/** What calls of this replica found wrong with an address, until a probe of this replica is answered well. */
interface Distrust {
  readonly since: number
  readonly lastCode: number | undefined
  readonly failure: TargetFailure
  readonly detail: string
}

/**
 * The health of one peer, as this replica sees it: by its own probes when it is the prober, by what the prober found
 * otherwise, and by its own calls in any case. A replica that is told that a peer is down looks once by itself: the
 * prober may have lost its own way out.
 */
export class Monitor {
  readonly peer: Peer
  readonly #outside: Outside
  readonly #options: MonitoredPeer
  readonly #watched = new Map<string, Watched>()
  readonly #distrusted = new Map<string, Distrust>()
  /** Failures of calls by address, since the last call that went well. */
  readonly #relapses = new Map<string, number>()
  #policy: KeepalivePolicy
  #id: string
  #mine = false
  #connected = true
  #told: Finding | undefined
  #state: PeerState

  constructor(options: MonitoredPeer, outside: Outside) {
    this.#options = options
    this.#policy = options.policy
    this.#outside = outside
    this.#id = probeName(options.target, options.policy)
    this.peer = new Peer(options.target, {
      listener: options.listener,
      resolution: outside.resolution,
      onChange: () => this.#resolved(),
    })
    this.#state = { state: 'Unknown', since: outside.clock.wallTime() }
  }

  /** Names the peer in the fleet. */
  get id(): string {
    return this.#id
  }

  /** Whether every replica probes it, or one for all. */
  get isProbedByAll(): boolean {
    return this.#policy.scope === 'Replica'
  }

  /** False only when it was found down. */
  get usable(): boolean {
    return !this.#policy.enabled || this.#state.state !== 'Down'
  }

  /** Addresses that calls may try: none that is down, and those last that failed of late. */
  get addresses(): readonly string[] {
    const { addresses } = this.peer
    if (this.#watched.size === 0 && this.#distrusted.size === 0) return addresses
    const standing = addresses.filter((address) => this.#stateOf(address) !== 'Down')
    const failing = (address: string) => (this.#watched.get(address)?.session.health.failures ?? 0) > 0
    return [...standing.filter((address) => !failing(address)), ...standing.filter(failing)]
  }

  get state(): PeerState {
    return this.#state
  }

  /** What this replica knows by itself; undefined when it only knows what it was told. */
  report(): Omit<TargetReport, 'trunk' | 'target'> | undefined {
    const isOpinion = this.#mine || this.#watched.size > 0 || this.#distrusted.size > 0 || this.#isUnresolved()
    if (!isOpinion) return undefined
    const failures = Math.max(0, ...Array.from(this.#watched.values(), ({ session }) => session.health.failures))
    const found = this.#probedState() === this.#state.state
    const speaks = this.#mine && found && this.#policy.enabled && this.#policy.scope === 'Fleet'
    return { ...this.#state, ...(failures > 0 ? { failures } : {}), ...(speaks ? { probe: this.id } : {}) }
  }

  /** Whether this replica probes it for the fleet. */
  own(mine: boolean): void {
    if (mine === this.#mine) return
    this.#mine = mine
    this.#reconcile()
  }

  /** What the prober has found; undefined when nothing is known. */
  tell(finding: Finding | undefined): void {
    this.#told = finding
    if (!this.#mine) this.#reconcile()
  }

  /** Whether the control side is there, to bring what the prober finds. */
  connect(connected: boolean): void {
    this.#connected = connected
    if (connected || this.#mine) return
    for (const { session } of this.#watched.values()) if (!session.running) session.start(this.#soon())
  }

  /** Takes a new policy over; what is known stays. */
  follow(policy: KeepalivePolicy): void {
    this.#policy = policy
    this.#id = probeName(this.#options.target, policy)
    for (const { session } of this.#watched.values()) session.follow(policy)
    this.#reconcile()
  }

  /** A call failed there as a call does where nobody is: no more calls until a probe is answered well. */
  distrust(address: string, { status, retryAfterSeconds = 0 }: CallFailure): void {
    if (!this.#policy.enabled || !this.peer.addresses.includes(address)) return
    this.#outside.counters.distrusted++
    const relapses = this.#relapses.get(address) ?? 0
    this.#relapses.set(address, Math.min(relapses + 1, 16))
    const what = status === undefined ? 'no answer' : `${status}`
    this.#distrusted.set(address, {
      since: this.#outside.clock.wallTime(),
      lastCode: status,
      failure: status === undefined ? 'NoAnswer' : 'Rejected',
      detail: `${what} to a call at ${this.peer.describe(address)}`,
    })
    const { session } = this.#watched.get(address) ?? this.#watch(address, 'Calls', unknownHealth)
    session.halt()
    const wait = Math.min(recoveryMilliseconds * 2 ** relapses, this.#policy.downIntervalSeconds * 1000)
    // RFC 3261 section 21.5.4: a client that receives a 503 "SHOULD NOT forward any other requests to that server for the
    // duration specified in the Retry-After header field, if present".
    session.start(Math.max(wait, Math.min(retryAfterSeconds, longestRetryAfterSeconds) * 1000))
    this.#refresh()
  }

  /** A call was answered there. */
  trust(address: string): void {
    this.#relapses.delete(address)
  }

  stop(): void {
    for (const { session } of this.#watched.values()) session.halt()
    this.#watched.clear()
    this.peer.stop()
  }

  #resolved(): void {
    this.#outside.onAddresses()
    this.#reconcile()
    this.#outside.onChange()
  }

  /** Watches what is to be watched from here, and nothing else. */
  #reconcile(): void {
    const addresses = this.#policy.enabled ? this.peer.addresses : []
    for (const address of [...this.#watched.keys(), ...this.#distrusted.keys()]) {
      if (!addresses.includes(address)) this.#forget(address)
    }
    for (const address of addresses) {
      if (this.#mine) this.#watchOnDuty(address)
      else this.#watchAsTold(address)
    }
    this.#refresh(this.#told?.since)
  }

  #watchOnDuty(address: string): void {
    const watched = this.#watched.get(address) ?? this.#watch(address, 'Duty', this.#toldHealth(address))
    watched.cause = 'Duty'
    if (!watched.session.running) watched.session.start(this.#soon())
  }

  #watchAsTold(address: string): void {
    const watched = this.#watched.get(address)
    if (this.#distrusted.has(address)) {
      if (watched !== undefined) watched.cause = 'Calls'
    } else if (this.#isToldDown(address)) {
      const { session } = watched ?? this.#watch(address, 'Told', this.#toldHealth(address))
      if (watched === undefined) session.start(this.#soon())
      else watched.cause = 'Told'
    } else if (watched !== undefined) this.#forget(address)
  }

  #watch(address: string, cause: Cause, health: TargetHealth): Watched {
    const { port, probe } = this.#options.target
    const session = new ProbeSession(
      {
        peer: `${formatHostPort(address, port)} over ${(probe ?? this.#options.target).transport}`,
        request: probeRequest(this.#options, address),
        policy: this.#policy,
        health,
        since: this.#told?.since ?? this.#outside.clock.wallTime(),
        onResult: (before) => this.#finished(address, before),
      },
      this.#outside,
    )
    const watched: Watched = { session, cause: this.#mine ? 'Duty' : cause }
    this.#watched.set(address, watched)
    return watched
  }

  #forget(address: string): void {
    this.#watched.get(address)?.session.halt()
    this.#watched.delete(address)
    this.#distrusted.delete(address)
  }

  #finished(address: string, before: TargetHealth): void {
    const watched = this.#watched.get(address)
    if (watched === undefined) return
    const { session } = watched
    const { state, failures, lastCode, detail } = session.health
    const good = state === 'Up' && failures === 0
    if (good) this.#distrusted.delete(address)
    else if (this.#distrusted.has(address)) session.start(this.#policy.downIntervalSeconds * 1000)
    if (!this.#mine) {
      // The prober will say when it is up again; as long as nobody can, it is looked for from here.
      if (watched.cause === 'Told' && state === 'Down' && this.#connected) session.halt()
      if (watched.cause === 'Calls' && good) this.#watchAsTold(address)
    }
    const told = this.#refresh()
    if (!told && (lastCode !== before.lastCode || detail !== before.detail)) this.#outside.onChange()
  }

  #soon(): number {
    return this.#outside.probePace.next() + spreadMilliseconds * this.#outside.random()
  }

  #isToldDown(address: string): boolean {
    if (this.#told === undefined) return false
    return this.#told.state === 'Down' || this.#told.downAddresses?.includes(address) === true
  }

  /** What a session starts from: what the prober found, so that a change of prober is no change of state. */
  #toldHealth(address: string): TargetHealth {
    if (this.#told === undefined || this.#told.state === 'Unknown') return unknownHealth
    const { lastCode, failure, detail } = this.#told
    return this.#isToldDown(address)
      ? { state: 'Down', failures: this.#policy.failureThreshold, lastCode, failure, detail }
      : { state: 'Up', failures: 0, lastCode, failure: undefined, detail: undefined }
  }

  #stateOf(address: string): PeerState['state'] {
    if (this.#distrusted.has(address)) return 'Down'
    return this.#watched.get(address)?.session.health.state ?? this.#toldHealth(address).state
  }

  #isUnresolved(): boolean {
    return this.#policy.enabled && this.peer.settled && this.peer.addresses.length === 0
  }

  /** The state as the probes alone have it. */
  #probedState(): PeerState['state'] {
    if (this.#isUnresolved()) return 'Down'
    return summed(this.peer.addresses.map((address) => this.#watched.get(address)?.session.health.state ?? 'Unknown'))
  }

  /** Whether it was told that something has changed. */
  #refresh(since = this.#outside.clock.wallTime()): boolean {
    const before = this.#state
    const next: Omit<PeerState, 'since'> = this.#policy.enabled ? this.#sum() : { state: 'Unknown' }
    this.#state = { ...next, since: next.state === before.state ? before.since : since }
    if (next.state === before.state && next.downAddresses?.join() === before.downAddresses?.join()) return false
    if (next.state !== before.state) this.#logTransition()
    this.#outside.onChange()
    return true
  }

  #sum(): Omit<PeerState, 'since'> {
    if (this.#isUnresolved()) {
      return { state: 'Down', failure: 'NameNotResolved', detail: clip(this.peer.failure ?? 'no address') }
    }
    const { addresses } = this.peer
    const state = summed(addresses.map((address) => this.#stateOf(address)))
    const down = addresses.filter((address) => this.#stateOf(address) === 'Down')
    const telling = this.#telling(down.length > 0 ? down : addresses)
    return {
      state,
      ...(telling?.lastCode === undefined ? {} : { lastCode: telling.lastCode }),
      ...(telling?.failure === undefined ? {} : { failure: telling.failure }),
      ...(telling?.detail === undefined ? {} : { detail: clip(telling.detail) }),
      ...(state === 'Up' && down.length > 0 ? { downAddresses: down } : {}),
    }
  }

  /** The exchange that says most: at an address that is down, or that failed of late, or the first. */
  #telling(addresses: readonly string[]): Pick<TargetHealth, 'lastCode' | 'failure' | 'detail'> | undefined {
    const known = addresses.map(
      (address) =>
        this.#distrusted.get(address) ?? this.#watched.get(address)?.session.health ?? this.#toldHealth(address),
    )
    return known.find(({ detail }) => detail !== undefined) ?? known[0]
  }

  #logTransition(): void {
    const { state, lastCode, detail } = this.#state
    const { host, port, transport } = this.peer.config
    const fields = { peer: `${formatHostPort(host, port)} over ${transport}`, code: lastCode, detail }
    if (state === 'Down') this.#outside.log.warn(fields, 'target is down')
    else this.#outside.log.info(fields, state === 'Up' ? 'target is up' : 'target is not probed any more')
  }
}

/** Up when any address is up, down when all are. */
function summed(states: readonly PeerState['state'][]): PeerState['state'] {
  if (states.includes('Up')) return 'Up'
  return states.length > 0 && states.every((state) => state === 'Down') ? 'Down' : 'Unknown'
}

function clip(text: string): string {
  return text.slice(0, 500)
}

/** The same for every replica, and for targets that are the same peer, probed in the same way from the same listener. */
export function probeName({ host, port, transport, listener, probe }: TargetConfig, policy: KeepalivePolicy): string {
  const parts = [host.toLowerCase(), port, transport, listener, probe ?? null, policy]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16)
}

/** RFC 3261 section 11.1. The Contact makes it leave from the listener that probes leave from. */
function probeRequest({ target, probeListener }: MonitoredPeer, address: string): OutgoingRequest | string {
  const { host, port } = target
  const { transport, listener } = target.probe ?? target
  if (probeListener === undefined) return `the listener ${listener} is not open`
  const parameter = `;transport=${transport.toLowerCase()}`
  return {
    method: 'OPTIONS',
    uri: `sip:${formatHostPort(host, port)}${parameter}`,
    nextHop: `sip:${formatHostPort(address, port)}${parameter}`,
    headers: [
      ['From', `<sip:ping@${formatHostPort(probeListener.address, probeListener.port)}>`],
      ['To', `<sip:${formatHostPort(host, port)}>`],
      ['Contact', `<${listenerUri('ping', probeListener)}>`],
      ['Accept', 'application/sdp'],
    ],
  }
}

/** Tells peers apart that calls and probes reach from other sockets. */
export function monitoredIdentity({ target, listener, probeListener }: MonitoredPeer): string {
  const from = (open: OpenListener | undefined) => (open === undefined ? '-' : formatHostPort(open.address, open.port))
  const config: PeerConfig = target
  const { transport, host, port } = config
  return `${transport} ${formatHostPort(host, port)} from ${target.listener} ${from(listener)} probed ${from(probeListener)}`
}
