import { rendezvousOwner } from '#lib/hash.ts'
import type { Finding, TargetReport } from '#api/wire.ts'
import type { RunningConfig } from '../config/running.ts'
import { Monitor, type PeerState } from './monitor.ts'
import type { Outside } from './outside.ts'
import type { Peer } from './peer.ts'
import { type MonitoredPeer, monitoredIdentity, probeName } from './probe.ts'

/** A target of a trunk, and what watches it. */
export interface WatchedTarget {
  readonly trunk: string
  readonly target: string
  readonly monitor: Monitor
}

interface Wanted extends MonitoredPeer {
  readonly trunk: string
  readonly key: string
  readonly identity: string
}

/** The monitors of all targets; targets of several trunks that are the same peer share one. */
export class Monitors {
  readonly #outside: Outside
  readonly #replica: string
  readonly #monitors = new Map<string, { identity: string; monitor: Monitor }>()
  #targets: ReadonlyMap<string, WatchedTarget> = new Map()
  readonly #findings = new Map<string, Finding>()
  #members: readonly string[] | undefined
  /** Members did not come in time: whoever else there is, targets are probed. */
  #isAlone = false
  #connected = true

  constructor(replica: string, outside: Outside) {
    this.#replica = replica
    this.#outside = outside
  }

  /** Nobody says who else there is: everything is probed from here. */
  probeAlone(): void {
    this.#isAlone = this.#members === undefined
    this.#shareOut()
  }

  stop(): void {
    for (const { monitor } of this.#monitors.values()) monitor.stop()
  }

  get(trunk: string, target: string): Monitor | undefined {
    return this.#targets.get(`${trunk}/${target}`)?.monitor
  }

  *peers(): Iterable<{ trunk: string; peer: Peer }> {
    for (const { trunk, monitor } of this.#targets.values()) yield { trunk, peer: monitor.peer }
  }

  /** Every target with its state, whoever found it. */
  list(): (WatchedTarget & { readonly state: PeerState })[] {
    return [...this.#targets.values()].map((watched) => ({ ...watched, state: watched.monitor.state }))
  }

  /** What this replica knows by itself. */
  reports(): TargetReport[] {
    return [...this.#targets.values()].flatMap(({ trunk, target, monitor }) => {
      const report = monitor.report()
      return report === undefined ? [] : [{ trunk, target, ...report }]
    })
  }

  setMembers(replicas: readonly string[]): void {
    this.#members = replicas
    this.#isAlone = false
    this.#shareOut()
  }

  setConnected(connected: boolean): void {
    this.#connected = connected
    for (const { monitor } of this.#monitors.values()) monitor.connect(connected)
  }

  tell(findings: readonly Finding[], whole: boolean): void {
    if (whole) this.#findings.clear()
    for (const finding of findings) this.#findings.set(finding.probe, finding)
    // What a whole list does not name any more has not changed: the control side may be a new one that knows nothing yet.
    const named = new Set(findings.map(({ probe }) => probe))
    for (const { monitor } of this.#monitors.values()) {
      if (named.has(monitor.id)) monitor.tell(this.#findings.get(monitor.id))
    }
  }

  /** Makes it so: what stays the same keeps its state and timers. */
  apply(config: RunningConfig): void {
    const wanted = [...wantedTargets(config)]
    const kept = new Set(wanted.map(({ key }) => key))
    const gone = new Map([...this.#monitors].filter(([key]) => !kept.has(key)))
    const targets = new Map<string, WatchedTarget>()
    for (const one of wanted) {
      const name = `${one.trunk}/${one.target.name}`
      const monitor = this.#monitors.get(one.key)?.monitor ?? this.#adopt(one, name, gone) ?? this.#begin(one)
      targets.set(name, { trunk: one.trunk, target: one.target.name, monitor })
    }
    this.#targets = targets
    // Ended last, so that a host is not looked up again that an old one and a new one share.
    for (const [key, { monitor }] of gone) {
      monitor.stop()
      this.#monitors.delete(key)
    }
    this.#shareOut()
  }

  /** The monitor of the same target, when only the way of probing has changed: what is known of the peer stays. */
  #adopt(wanted: Wanted, name: string, gone: Map<string, { identity: string; monitor: Monitor }>): Monitor | undefined {
    const { monitor } = this.#targets.get(name) ?? {}
    const key = [...gone].find(([, old]) => old.monitor === monitor && old.identity === wanted.identity)?.[0]
    if (monitor === undefined || key === undefined) return undefined
    gone.delete(key)
    this.#monitors.delete(key)
    this.#monitors.set(wanted.key, { identity: wanted.identity, monitor })
    monitor.follow(wanted.policy)
    return monitor
  }

  #begin(wanted: Wanted): Monitor {
    const monitor = new Monitor(wanted, this.#outside)
    this.#monitors.set(wanted.key, { identity: wanted.identity, monitor })
    monitor.connect(this.#connected)
    const finding = this.#findings.get(monitor.id)
    if (finding !== undefined) monitor.tell(finding)
    return monitor
  }

  #shareOut(): void {
    for (const { monitor } of this.#monitors.values()) monitor.own(this.#owns(monitor))
  }

  #owns(monitor: Monitor): boolean {
    if (monitor.isProbedByAll || this.#isAlone) return true
    return this.#members !== undefined && rendezvousOwner(monitor.id, this.#members) === this.#replica
  }
}

function* wantedTargets(config: RunningConfig): Iterable<Wanted> {
  for (const { name: trunk, targets, keepalive: policy } of config.trunks.values()) {
    for (const target of targets) {
      const listener = config.listeners.get(target.listener)
      const probeListener = config.listeners.get(target.probe?.listener ?? target.listener)
      const peer = { target, policy, listener, probeListener }
      const identity = monitoredIdentity(peer)
      yield { ...peer, trunk, identity, key: `${identity} ${probeName(target, policy)}` }
    }
  }
}
