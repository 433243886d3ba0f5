import { randomBytes } from 'node:crypto'
import type { TargetConfig } from '#api/snapshot.ts'
import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { OpenListener, Running, RunningConfig } from '../config/running.ts'
import type { SipPort } from '../sip/port.ts'
import type { TrunkHealth } from './health.ts'
import type { KeepalivePolicy } from './keepalive.ts'
import type { Outside } from './outside.ts'
import { Peer, peerIdentity } from './peer.ts'
import { Registrations, type WantedRegistration } from './registrations.ts'
import { dnsResolve, HostResolution, type Resolve } from './resolution.ts'
import { type Source, SourceIndex } from './source-index.ts'
import { TargetProbe } from './target-probe.ts'

export interface TrunksOptions {
  readonly sip: SipPort
  readonly running: Running
  /** Name of this replica, as it stands among the members. */
  readonly replica: string
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1), for spread and jitter. */
  readonly random: () => number
  /** The DNS of this machine when left out. */
  readonly resolve?: Resolve
  /** Unpredictable hex digits, for tags, Call-IDs and cnonces. Random bytes when left out. */
  readonly token?: () => string
}

/**
 * The loops that go on beside the calls: OPTIONS to every target, REGISTER for every registration that this replica owns,
 * and the resolution of their hosts. Follows the running configuration by difference.
 */
export class Trunks implements TrunkHealth {
  readonly #running: Running
  readonly #outside: Outside
  readonly #probes = new Map<string, { identity: string; probe: TargetProbe }>()
  readonly #registrars = new Map<string, { trunk: string; peer: Peer }>()
  readonly #registrations: Registrations
  readonly #sources = new SourceIndex(() => this.#peers())
  readonly #listeners = new Set<() => void>()
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
      resolution: new HostResolution({ clock, resolve: options.resolve ?? dnsResolve() }),
      onChange: () => {
        for (const listener of this.#listeners) listener()
      },
      onAddresses: () => this.#sources.invalidate(),
    }
    this.#registrations = new Registrations(options.replica, this.#outside)
  }

  start(): void {
    if (this.#state !== 'New') return
    this.#state = 'Started'
    this.#running.onChange((next) => this.#apply(next))
    if (this.#running.current !== undefined) this.#apply(this.#running.current)
  }

  /** Ends all loops and removes the registrations; settles within 2 s. */
  async stop(): Promise<void> {
    this.#state = 'Stopped'
    for (const { probe } of this.#probes.values()) probe.stop()
    for (const { peer } of this.#registrars.values()) peer.stop()
    await this.#registrations.stop()
  }

  setMembers(epoch: number, replicas: readonly string[]): void {
    this.#registrations.setMembers(epoch, replicas)
  }

  addresses(trunk: string, target: string): readonly string[] {
    return this.#probes.get(`${trunk}/${target}`)?.probe.peer.addresses ?? []
  }

  usable(trunk: string, target: string): boolean {
    return this.#probes.get(`${trunk}/${target}`)?.probe.usable ?? true
  }

  /** A registered peer calls from its registrar, so registrars' addresses count as well. */
  trunksAt(address: string): readonly Source[] {
    return this.#sources.at(address)
  }

  targets(): TargetReport[] {
    return [...this.#probes.values()].map(({ probe }) => probe.report())
  }

  registrations(): RegistrationReport[] {
    return this.#registrations.reports()
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  #apply(config: RunningConfig): void {
    if (this.#state !== 'Started') return
    this.#applyTargets(config)
    this.#applyRegistrars(config)
    this.#sources.invalidate()
    this.#registrations.apply(wantedRegistrations(config))
  }

  #applyTargets(config: RunningConfig): void {
    const gone = new Map(this.#probes)
    for (const { key, identity, policy, ...wanted } of wantedTargets(config)) {
      const present = this.#probes.get(key)
      if (present?.identity === identity) {
        gone.delete(key)
        present.probe.follow(policy)
      } else {
        this.#probes.set(key, { identity, probe: new TargetProbe({ ...wanted, policy }, this.#outside) })
      }
    }
    // Ended last, so that a host is not looked up again that an old one and a new one share.
    for (const [key, ended] of gone) {
      ended.probe.stop()
      if (this.#probes.get(key) === ended) this.#probes.delete(key)
    }
  }

  #applyRegistrars(config: RunningConfig): void {
    const gone = new Map(this.#registrars)
    for (const { trunk, config: registrar, listener } of wantedRegistrations(config)) {
      const key = `${trunk} ${peerIdentity(registrar, listener)}`
      gone.delete(key)
      if (this.#registrars.has(key)) continue
      const { resolution, onAddresses } = this.#outside
      this.#registrars.set(key, { trunk, peer: new Peer(registrar, { listener, resolution, onChange: onAddresses }) })
    }
    for (const [key, { peer }] of gone) {
      peer.stop()
      this.#registrars.delete(key)
    }
  }

  *#peers(): Iterable<{ trunk: string; peer: Peer }> {
    for (const { probe } of this.#probes.values()) yield probe
    yield* this.#registrars.values()
  }
}

interface WantedTarget {
  readonly key: string
  /** What the health of a target speaks of; everything else can change under it. */
  readonly identity: string
  readonly trunk: string
  readonly target: TargetConfig
  readonly policy: KeepalivePolicy
  readonly listener: OpenListener | undefined
}

function* wantedTargets(config: RunningConfig): Iterable<WantedTarget> {
  for (const { name: trunk, targets, keepalive: policy } of config.trunks.values()) {
    for (const target of targets) {
      const listener = config.listeners.get(target.listener)
      const identity = peerIdentity(target, listener)
      yield { key: `${trunk}/${target.name}`, identity, trunk, target, policy, listener }
    }
  }
}

function wantedRegistrations(config: RunningConfig): WantedRegistration[] {
  return [...config.trunks.values()].flatMap(({ name: trunk, registrations }) =>
    registrations.map((registration) => ({
      trunk,
      config: registration,
      listener: config.listeners.get(registration.listener),
    })),
  )
}
