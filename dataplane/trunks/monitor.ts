import { isIP } from 'node:net'
import type { Finding, TargetFailure, TargetReport } from '#api/wire.ts'
import { lastOf } from '../dns/selection.ts'
import type { CallEndpoint } from './health.ts'
import { type KeepalivePolicy, type TargetHealth, unknownHealth } from './keepalive.ts'
import type { Outside } from './outside.ts'
import { Peer, soughtName } from './peer.ts'
import { type MonitoredPeer, probeName, probeRequest } from './probe.ts'
import { ProbeSession } from './probe-session.ts'
import type { Endpoint } from './resolution.ts'

/** Probes that start together are spread over this time, in milliseconds. */
const spreadMilliseconds = 1000
/** First wait for the probe that may restore what calls found down, doubled by every relapse, in milliseconds. */
const recoveryMilliseconds = 1000
/** A Retry-After is heeded up to here, in seconds. */
const longestRetryAfterSeconds = 600

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
      ...outside,
      listener: options.listener,
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

  /** Endpoints in the order in which one call tries them: none that is down, and those last that failed of late. */
  order(random: () => number): CallEndpoint[] {
    const failing = ({ name }: Endpoint) => (this.#watched.get(name)?.session.health.failures ?? 0) > 0
    const standing = this.peer.order(random).filter(({ name }) => this.#stateOf(name) !== 'Down')
    return lastOf(standing, failing).map((endpoint) => ({
      address: endpoint.address,
      port: endpoint.port,
      isPassedOver: this.peer.isPassedOver(endpoint),
    }))
  }

  /** Names of the endpoints that are not down, those of better servers first. */
  get standing(): string[] {
    return this.#names().filter((name) => this.#stateOf(name) !== 'Down')
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
    const endpoints = isIP(this.peer.config.host) === 0 ? this.#names().toSorted() : []
    return {
      ...this.#state,
      ...(failures > 0 ? { failures } : {}),
      ...(endpoints.length > 0 ? { endpoints } : {}),
      ...(speaks ? { probe: this.id } : {}),
    }
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

  /**
   * A call failed there as a call does where nobody is: no more calls until a probe is answered well. Where nothing is
   * probed, other endpoints are tried before it for a while.
   */
  distrust(name: string, { status, retryAfterSeconds = 0 }: CallFailure): void {
    const endpoint = this.peer.endpoints.find((one) => one.name === name)
    if (endpoint === undefined) return
    this.#outside.counters.distrusted++
    // RFC 3261 section 21.5.4: a client that receives a 503 "SHOULD NOT forward any other requests to that server for the
    // duration specified in the Retry-After header field, if present".
    const leastSeconds = Math.min(retryAfterSeconds, longestRetryAfterSeconds)
    if (!this.#policy.enabled) return this.peer.passOver(endpoint, leastSeconds)
    const relapses = this.#relapses.get(name) ?? 0
    this.#relapses.set(name, Math.min(relapses + 1, 16))
    const what = status === undefined ? 'no answer' : `${status}`
    this.#distrusted.set(name, {
      since: this.#outside.clock.wallTime(),
      lastCode: status,
      failure: status === undefined ? 'NoAnswer' : 'Rejected',
      detail: `${what} to a call at ${this.peer.describe(endpoint)}`,
    })
    const { session } = this.#watched.get(name) ?? this.#watch(endpoint, 'Calls', unknownHealth)
    session.halt()
    const wait = Math.min(recoveryMilliseconds * 2 ** relapses, this.#policy.downIntervalSeconds * 1000)
    session.start(Math.max(wait, leastSeconds * 1000))
    this.#refresh()
  }

  /** A call was answered there. */
  trust(name: string): void {
    this.#relapses.delete(name)
    this.peer.trust({ name })
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
    const endpoints = this.#policy.enabled ? this.peer.endpoints : []
    for (const name of [...this.#watched.keys(), ...this.#distrusted.keys()]) {
      if (!endpoints.some((one) => one.name === name)) this.#forget(name)
    }
    for (const endpoint of endpoints) {
      if (this.#mine) this.#watchOnDuty(endpoint)
      else this.#watchAsTold(endpoint)
    }
    this.#refresh(this.#told?.since)
  }

  #watchOnDuty(endpoint: Endpoint): void {
    const { name } = endpoint
    const watched = this.#watched.get(name) ?? this.#watch(endpoint, 'Duty', this.#toldHealth(name))
    watched.cause = 'Duty'
    if (!watched.session.running) watched.session.start(this.#soon())
  }

  #watchAsTold(endpoint: Endpoint): void {
    const { name } = endpoint
    const watched = this.#watched.get(name)
    if (this.#distrusted.has(name)) {
      if (watched !== undefined) watched.cause = 'Calls'
    } else if (this.#isToldDown(name)) {
      const { session } = watched ?? this.#watch(endpoint, 'Told', this.#toldHealth(name))
      if (watched === undefined) session.start(this.#soon())
      else watched.cause = 'Told'
    } else if (watched !== undefined) this.#forget(name)
  }

  #watch(endpoint: Endpoint, cause: Cause, health: TargetHealth): Watched {
    const { probe } = this.#options.target
    const session = new ProbeSession(
      {
        peer: `${endpoint.name} over ${(probe ?? this.#options.target).transport}`,
        request: probeRequest(this.#options, endpoint),
        policy: this.#policy,
        health,
        since: this.#told?.since ?? this.#outside.clock.wallTime(),
        onResult: (before) => this.#finished(endpoint, before),
      },
      this.#outside,
    )
    const watched: Watched = { session, cause: this.#mine ? 'Duty' : cause }
    this.#watched.set(endpoint.name, watched)
    return watched
  }

  #forget(name: string): void {
    this.#watched.get(name)?.session.halt()
    this.#watched.delete(name)
    this.#distrusted.delete(name)
  }

  #finished(endpoint: Endpoint, before: TargetHealth): void {
    const { name } = endpoint
    const watched = this.#watched.get(name)
    if (watched === undefined) return
    const { session } = watched
    const { state, failures, lastCode, detail } = session.health
    const good = state === 'Up' && failures === 0
    if (good) this.#distrusted.delete(name)
    else if (this.#distrusted.has(name)) session.start(this.#policy.downIntervalSeconds * 1000)
    if (!this.#mine) {
      // The prober will say when it is up again; as long as nobody can, it is looked for from here.
      if (watched.cause === 'Told' && state === 'Down' && this.#connected) session.halt()
      if (watched.cause === 'Calls' && good) this.#watchAsTold(endpoint)
    }
    const told = this.#refresh()
    if (!told && (lastCode !== before.lastCode || detail !== before.detail)) this.#outside.onChange()
  }

  #soon(): number {
    return this.#outside.probePace.next() + spreadMilliseconds * this.#outside.random()
  }

  #isToldDown(name: string): boolean {
    if (this.#told === undefined) return false
    return this.#told.state === 'Down' || this.#told.downEndpoints?.includes(name) === true
  }

  /** What a session starts from: what the prober found, so that a change of prober is no change of state. */
  #toldHealth(name: string): TargetHealth {
    if (this.#told === undefined || this.#told.state === 'Unknown') return unknownHealth
    const { lastCode, failure, detail } = this.#told
    return this.#isToldDown(name)
      ? { state: 'Down', failures: this.#policy.failureThreshold, lastCode, failure, detail }
      : { state: 'Up', failures: 0, lastCode, failure: undefined, detail: undefined }
  }

  #stateOf(name: string): PeerState['state'] {
    if (this.#distrusted.has(name)) return 'Down'
    return this.#watched.get(name)?.session.health.state ?? this.#toldHealth(name).state
  }

  #names(): string[] {
    return this.peer.endpoints.map(({ name }) => name)
  }

  #isUnresolved(): boolean {
    return this.#policy.enabled && this.peer.settled && this.peer.endpoints.length === 0
  }

  /** The state as the probes alone have it. */
  #probedState(): PeerState['state'] {
    if (this.#isUnresolved()) return 'Down'
    return summed(this.#names().map((name) => this.#watched.get(name)?.session.health.state ?? 'Unknown'))
  }

  /** Whether it was told that something has changed. */
  #refresh(since = this.#outside.clock.wallTime()): boolean {
    const before = this.#state
    const next: Omit<PeerState, 'since'> = this.#policy.enabled ? this.#sum() : { state: 'Unknown' }
    this.#state = { ...next, since: next.state === before.state ? before.since : since }
    if (next.state === before.state && next.downEndpoints?.join() === before.downEndpoints?.join()) return false
    if (next.state !== before.state) this.#logTransition()
    this.#outside.onChange()
    return true
  }

  #sum(): Omit<PeerState, 'since'> {
    if (this.#isUnresolved()) {
      return { state: 'Down', failure: 'NameNotResolved', detail: clip(this.peer.failure ?? 'no address') }
    }
    const names = this.#names()
    const state = summed(names.map((name) => this.#stateOf(name)))
    const down = names.filter((name) => this.#stateOf(name) === 'Down')
    const telling = this.#telling(down.length > 0 ? down : names)
    return {
      state,
      ...(telling?.lastCode === undefined ? {} : { lastCode: telling.lastCode }),
      ...(telling?.failure === undefined ? {} : { failure: telling.failure }),
      ...(telling?.detail === undefined ? {} : { detail: clip(telling.detail) }),
      ...(state === 'Up' && down.length > 0 ? { downEndpoints: down } : {}),
    }
  }

  /** The exchange that says most: at an endpoint that is down, or that failed of late, or the first. */
  #telling(names: readonly string[]): Pick<TargetHealth, 'lastCode' | 'failure' | 'detail'> | undefined {
    const known = names.map(
      (name) => this.#distrusted.get(name) ?? this.#watched.get(name)?.session.health ?? this.#toldHealth(name),
    )
    return known.find(({ detail }) => detail !== undefined) ?? known[0]
  }

  #logTransition(): void {
    const { state, lastCode, detail } = this.#state
    const { config } = this.peer
    const fields = { peer: `${soughtName(config)} over ${config.transport}`, code: lastCode, detail }
    if (state === 'Down') this.#outside.log.warn(fields, 'target is down')
    else this.#outside.log.info(fields, state === 'Up' ? 'target is up' : 'target is not probed any more')
  }
}

/** Up when any endpoint is up, down when all are. */
function summed(states: readonly PeerState['state'][]): PeerState['state'] {
  if (states.includes('Up')) return 'Up'
  return states.length > 0 && states.every((state) => state === 'Down') ? 'Down' : 'Unknown'
}

function clip(text: string): string {
  return text.slice(0, 500)
}
