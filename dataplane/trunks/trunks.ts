import { randomBytes } from 'node:crypto'
import type { Findings, RegistrationReport, TargetReport } from '#api/wire.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Running, RunningConfig } from '../config/running.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { Locate } from '../dns/locate.ts'
import type { SipPort } from '../sip/port.ts'
import { TrunkCounters } from './counters.ts'
import type { CallEndpoint, CallPlace, TrunkHealth } from './health.ts'
import type { CallFailure } from './monitor.ts'
import { Monitors } from './monitors.ts'
import type { Outside } from './outside.ts'
import { Pace } from './pace.ts'
import { Peer, peerIdentity } from './peer.ts'
import { Registrations, type WantedRegistration } from './registrations.ts'
import { HostResolution } from './resolution.ts'
import { type Source, SourceIndex } from './source-index.ts'

export interface TrunksOptions {
  readonly sip: SipPort
  readonly running: Running
  /** Name of this replica, as it stands among the members. */
  readonly replica: string
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1), for spread and jitter. */
  readonly random: () => number
  /** Finds the servers of a host (RFC 3263). */
  readonly locate: Locate
  /** Unpredictable hex digits, for tags, Call-IDs and cnonces. Random bytes when left out. */
  readonly token?: () => string
}

/** How long the members are waited for, in milliseconds. */
const unknownMilliseconds = 5000
/** How many targets are probed for the first time in a second. */
const probesPerSecond = 200
/** How many registrations start in a second: a registrar is to see no storm when a fleet starts. */
const registersPerSecond = 50

/**
 * The loops that go on beside the calls: OPTIONS to every target, REGISTER for every registration that this replica owns,
 * and the resolution of their hosts. Follows the running configuration by difference.
 */
export class Trunks implements TrunkHealth {
  readonly counters = new TrunkCounters()
  readonly #running: Running
  readonly #outside: Outside
  readonly #monitors: Monitors
  readonly #registrars = new Map<string, { trunk: string; peer: Peer }>()
  readonly #registrations: Registrations
  readonly #sources = new SourceIndex(() => this.#peers())
  readonly #listeners = new Set<() => void>()
  /** Undefined before the members are known. */
  #epoch: number | undefined
  #remembered: readonly string[] | undefined
  #waiting: Timer | undefined
  #state: 'New' | 'Started' | 'Stopped' = 'New'

  constructor(options: TrunksOptions) {
    const { sip, running, clock, log, random } = options
    this.#running = running
    this.#outside = {
      sip,
      clock,
      log,
      random,
      token: options.token ?? (() => randomBytes(16).toString('hex')),
      resolution: new HostResolution({ clock, locate: options.locate }),
      counters: this.counters,
      probePace: new Pace(clock, probesPerSecond),
      registerPace: new Pace(clock, registersPerSecond),
      onChange: () => {
        for (const listener of this.#listeners) listener()
      },
      onAddresses: () => this.#sources.invalidate(),
    }
    this.#monitors = new Monitors(options.replica, this.#outside)
    this.#registrations = new Registrations(options.replica, this.#outside)
  }

  start(): void {
    if (this.#state !== 'New') return
    this.#state = 'Started'
    this.#running.onChange((next) => this.#apply(next))
    if (this.#epoch === undefined) this.#waiting = this.#outside.clock.after(unknownMilliseconds, () => this.#goOn())
    if (this.#running.current !== undefined) this.#apply(this.#running.current)
  }

  /** Ends all loops and removes the registrations; settles within 2 s. */
  async stop(): Promise<void> {
    this.#state = 'Stopped'
    this.#waiting?.cancel()
    this.#monitors.stop()
    for (const { peer } of this.#registrars.values()) peer.stop()
    await this.#registrations.stop()
  }

  /** A lower epoch than one before is old news. No members at all cannot be, since this replica lives. */
  setMembers(epoch: number, replicas: readonly string[]): void {
    if (epoch < (this.#epoch ?? 0) || replicas.length === 0) return
    this.#epoch = epoch
    this.#waiting?.cancel()
    this.#monitors.setMembers(replicas)
    this.#registrations.setMembers(replicas)
  }

  /** Members of an earlier life of this replica, which count when nobody names others within 5 s. */
  recall(replicas: readonly string[]): void {
    this.#remembered = replicas
  }

  /** What the probers of the fleet have found: all there is, or what has changed. */
  setFindings({ findings, bindings, whole }: Pick<Findings, 'findings' | 'bindings' | 'whole'>): void {
    this.#monitors.tell(findings, whole)
    this.#registrations.learn(bindings)
  }

  /** Settles when other replicas have taken over what this one registered, in 3 s at most. */
  handOver(): Promise<void> {
    return this.#registrations.handOver()
  }

  /** Whether any control side is there, to bring what others find. */
  setConnected(connected: boolean): void {
    this.#monitors.setConnected(connected)
  }

  endpoints(trunk: string, target: string, random: () => number): readonly CallEndpoint[] {
    return this.#monitors.get(trunk, target)?.order(random) ?? []
  }

  usable(trunk: string, target: string): boolean {
    const monitor = this.#monitors.get(trunk, target)
    monitor?.peer.wanted()
    return monitor?.usable ?? true
  }

  serviceRoute(trunk: string, calling: string): readonly string[] {
    return this.#registrations.serviceRoute(trunk, calling)
  }

  observe({ trunk, target, address, port }: CallPlace, failure: CallFailure | undefined): void {
    const monitor = this.#monitors.get(trunk, target.name)
    const endpoint = formatHostPort(address, port)
    if (failure === undefined) monitor?.trust(endpoint)
    else monitor?.distrust(endpoint, failure)
  }

  /** A registered peer calls from its registrar, so registrars' addresses count as well. */
  trunksAt(address: string): readonly Source[] {
    return this.#sources.at(address)
  }

  targets(): TargetReport[] {
    return this.#monitors.reports()
  }

  /** Every target, and whether calls may go there. */
  usableTargets(): { trunk: string; target: string; usable: boolean }[] {
    return this.#monitors.list().map(({ trunk, target, monitor }) => ({ trunk, target, usable: monitor.usable }))
  }

  /** Everything for people: every target with the endpoints that calls may try, and the registrations of this replica. */
  view(): unknown {
    const targets = this.#monitors.list().map(({ trunk, target, monitor, state }) => {
      const report = monitor.report()
      const knownBy =
        report === undefined ? 'the prober' : report.probe === undefined ? 'this replica' : 'this replica, for all'
      return { trunk, target, ...state, usable: monitor.usable, endpoints: monitor.standing, knownBy }
    })
    return { targets, registrations: this.registrations() }
  }

  registrations(): RegistrationReport[] {
    return this.#registrations.reports()
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** No control side: as before the replica was started again; without that, probes cost little, REGISTERs do not leave. */
  #goOn(): void {
    if (this.#remembered === undefined) return this.#monitors.probeAlone()
    this.#monitors.setMembers(this.#remembered)
    this.#registrations.setMembers(this.#remembered)
  }

  #apply(config: RunningConfig): void {
    if (this.#state !== 'Started') return
    this.#monitors.apply(config)
    this.#applyRegistrars(config)
    this.#sources.invalidate()
    this.#registrations.apply(wantedRegistrations(config))
  }

  #applyRegistrars(config: RunningConfig): void {
    const gone = new Map(this.#registrars)
    for (const { trunk, config: registrar, listener } of wantedRegistrations(config)) {
      const key = `${trunk} ${peerIdentity(registrar, listener)}`
      gone.delete(key)
      if (this.#registrars.has(key)) continue
      const onChange = this.#outside.onAddresses
      this.#registrars.set(key, { trunk, peer: new Peer(registrar, { ...this.#outside, listener, onChange }) })
    }
    for (const [key, { peer }] of gone) {
      peer.stop()
      this.#registrars.delete(key)
    }
  }

  *#peers(): Iterable<{ trunk: string; peer: Peer }> {
    yield* this.#monitors.peers()
    yield* this.#registrars.values()
  }
}

function wantedRegistrations(config: RunningConfig): WantedRegistration[] {
  return [...config.trunks.values()].flatMap(({ name: trunk, registrations, registrationPolicy: policy }) =>
    registrations.map((registration) => ({
      trunk,
      config: registration,
      policy,
      listener: config.listeners.get(registration.listener),
    })),
  )
}
