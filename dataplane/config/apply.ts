import type { ResourceKey } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Engine } from '../engine/engine.types.ts'
import { compileSources } from '../policy/inbound-trunk.ts'
import { compileContacts } from '../policy/registered-contact.ts'
import { compileRoutes } from '../policy/route-order.ts'
import {
  bindTrouble,
  engineListener,
  reloadable,
  sharesPort,
  socketName,
  type ListenerTrouble,
} from './listener-socket.ts'
import { plan, type Situation } from './plan.ts'
import type { OpenListener, Running, RunningConfig } from './running.ts'
import { stage, takeBack, type Change, type Refusal, type Stage } from './stage.ts'

/** What became of a change. */
export interface Verdict {
  /** Revision that runs now; null when nothing does. */
  readonly revision: string | null
  /** Every resource that is wanted and not run at its newest version, of this change or an earlier one. */
  readonly errors: readonly ResourceError[]
  /** Set when nothing of the change was applied. */
  readonly refused?: 'EmptySnapshot' | 'Malformed' | 'Internal'
}

export interface ApplierOptions {
  readonly fleet: string
  /** The replica's own IP addresses; the first of a family is bound. */
  readonly addresses: readonly string[]
  readonly sockets: Pick<Engine, 'open' | 'reload' | 'close'>
  readonly clock: Clock
  readonly log: Log
}

/** Delay before a listener that could not be bound is tried again, in milliseconds; the last one repeats. */
const retryDelays = [1_000, 2_000, 5_000, 10_000, 30_000]

/** Holds the running configuration, and is the only one to change it: one change at a time, whole or not at all. */
export class Applier {
  readonly running: Running
  readonly #options: ApplierOptions
  readonly #listeners = new Set<(next: RunningConfig, previous: RunningConfig | undefined) => void>()
  readonly #verdictListeners = new Set<(verdict: Verdict) => void>()
  #current: RunningConfig | undefined
  /** Name of the listener for each open socket. */
  #sockets: ReadonlyMap<string, string> = new Map()
  #refusals: ReadonlyMap<string, Refusal> = new Map()
  /** What is the matter with sockets that were opened, by their names. */
  #troubles: ReadonlyMap<string, string> = new Map()
  #tail: Promise<unknown> = Promise.resolve()
  #retry: Timer | undefined
  #retries = 0
  #stopped = false

  constructor(options: ApplierOptions) {
    this.#options = options
    const current = () => this.#current
    this.running = {
      get current() {
        return current()
      },
      onChange: (listener) => void this.#listeners.add(listener),
    }
  }

  /** What became of everything that was asked for so far. */
  get verdict(): Verdict {
    return this.#verdict()
  }

  /** The listener that a socket of the engine belongs to. */
  listenerOf(socket: string): string | undefined {
    return this.#sockets.get(socket)
  }

  /**
   * Brings the change into force, after those that came before it. `anew`: what was refused earlier is forgotten, since
   * the control side sends it again where it is still wanted. Never rejects.
   */
  apply(change: Change, options: { anew?: boolean } = {}): Promise<Verdict> {
    return this.#enqueue(() => {
      if (options.anew === true) this.#refusals = new Map()
      this.#retries = 0
      return this.#apply(change)
    })
  }

  /** Told when a refused listener could be bound after all, or fails for another reason now. */
  onVerdict(listener: (verdict: Verdict) => void): void {
    this.#verdictListeners.add(listener)
  }

  /**
   * What is the matter with sockets that run, by their names: nothing, when it is empty. A SIP server outside of the
   * replica can lose them. The configuration stays as it is, and the verdict says so.
   */
  setTroubles(troubles: ReadonlyMap<string, string>): void {
    const before = this.#verdict()
    this.#troubles = troubles
    this.#tell(before)
  }

  /** Takes no more changes; resolves when the one under way is done. Sockets stay open. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retry?.cancel()
    await this.#tail
  }

  #enqueue(run: () => Promise<Verdict>): Promise<Verdict> {
    const result = this.#tail.then(() => (this.#stopped ? this.#verdict('Internal') : run()))
    this.#tail = result
    return result
  }

  async #apply(change: Change): Promise<Verdict> {
    const running = this.#current
    const { addresses, log } = this.#options
    const staged = stage(change, { running, refusals: this.#refusals, addresses })
    if (staged === undefined) return this.#verdict('Malformed')
    const opened: string[] = []
    try {
      const troubles = await this.#open(staged, change.revision, opened)
      takeBack(staged, troubles, running)
      if (staged.resources.size === 0) return this.#keepAll(staged)
      await this.#bring(staged, change.revision, opened)
    } catch (error) {
      log.error({ error, revision: change.revision }, 'the configuration could not be applied; the old one runs on')
      for (const socket of opened) await this.#close(socket)
      return this.#verdict('Internal')
    } finally {
      this.#scheduleRetry()
    }
    return this.#verdict()
  }

  /**
   * Nothing would be left. That is far more often a control side that found nothing than a fleet that wants nothing, so
   * what runs stays. Before the first configuration, all that there is may have been refused.
   */
  #keepAll(staged: Stage): Verdict {
    if (this.#current !== undefined || staged.refusals.size === 0) return this.#verdict('EmptySnapshot')
    this.#refusals = staged.refusals
    return this.#verdict()
  }

  /** Opens what is new, and returns what could not be opened; nothing that runs is touched. */
  async #open(staged: Stage, revision: string, opened: string[]): Promise<ReadonlyMap<string, ListenerTrouble>> {
    const troubles = new Map<string, ListenerTrouble>()
    const listeners = new Map([...staged.listeners.values()].map((listener) => [socketName(listener), listener]))
    for (const step of plan(this.#situation(), wantedSituation(staged, revision))) {
      const listener = step.act === 'open' ? listeners.get(step.socket) : undefined
      if (listener === undefined || step.act !== 'open') continue
      const inTheWay = this.#inTheWay(listener, staged)
      try {
        if (inTheWay !== undefined) await this.#close(socketName(inTheWay))
        await this.#options.sockets.open(engineListener(listener))
        opened.push(step.socket)
        this.#options.log.info({ ...step }, 'a socket was opened')
      } catch (error) {
        const trouble = bindTrouble(error, listener)
        troubles.set(step.socket, trouble)
        this.#options.log.error({ listener: listener.name, code: trouble.code }, trouble.message)
        if (inTheWay !== undefined) await this.#options.sockets.open(engineListener(inTheWay))
      }
    }
    return troubles
  }

  /** A port that changes from TCP to TLS, say, cannot be bound twice: what is there has to go first. */
  #inTheWay(wanted: OpenListener, staged: Stage): OpenListener | undefined {
    const kept = new Set([...staged.listeners.values()].map(socketName))
    const there = [...(this.#current?.listeners.values() ?? [])]
    return there.find((listener) => sharesPort(listener, wanted) && !kept.has(socketName(listener)))
  }

  /** Swaps the reference, and closes what only the old configuration needed. */
  async #bring(staged: Stage, revision: string, opened: readonly string[]): Promise<void> {
    const previous = this.#current
    const next = build(staged, this.#options.fleet, revision)
    const situation = this.#situation()
    const sockets = new Map([...situation.sockets, ...opened.map((socket) => [socket, ''] as const)])
    const wanted = wantedSituation(staged, revision)
    const isNew = new Set(opened)
    const reloadable = new Map([...(wanted.reloadable ?? [])].filter(([socket]) => isNew.has(socket)))
    for (const [socket, text] of situation.reloadable ?? []) reloadable.set(socket, text)
    const steps = plan({ ...situation, sockets, reloadable }, wanted)
    this.#refusals = staged.refusals
    this.#sockets = wanted.sockets
    for (const step of steps) {
      this.#options.log.info({ ...step, revision }, 'the configuration changes')
      if (step.act === 'swap') this.#swap(next, previous)
      if (step.act === 'reload') this.#reload(staged, step.socket)
      if (step.act === 'close') await this.#close(step.socket)
    }
  }

  #swap(next: RunningConfig, previous: RunningConfig | undefined): void {
    this.#current = next
    for (const listener of this.#listeners) {
      try {
        listener(next, previous)
      } catch (error) {
        this.#options.log.error({ error }, 'a part could not follow the configuration')
      }
    }
  }

  /** What a listener has was tried out when it was checked, so that this does not fail for a certificate. */
  #reload(staged: Stage, socket: string): void {
    for (const listener of staged.listeners.values()) {
      if (socketName(listener) === socket) this.#options.sockets.reload(engineListener(listener))
    }
  }

  async #close(socket: string): Promise<void> {
    try {
      await this.#options.sockets.close(socket)
    } catch (error) {
      this.#options.log.warn({ error, socket }, 'a socket could not be closed')
    }
  }

  #situation(): Situation {
    return {
      revision: this.#current?.revision,
      resources: this.#current?.resources ?? new Map(),
      sockets: this.#sockets,
      reloadable: reloadableOf(this.#current?.listeners ?? new Map()),
    }
  }

  #verdict(refused?: 'EmptySnapshot' | 'Malformed' | 'Internal'): Verdict {
    return {
      revision: this.#current?.revision ?? null,
      errors: [...[...this.#refusals.values()].map(({ error }) => error), ...this.#socketErrors()],
      ...(refused === undefined ? {} : { refused }),
    }
  }

  #scheduleRetry(): void {
    this.#retry?.cancel()
    if (this.#stopped || ![...this.#refusals.values()].some(({ resource }) => resource !== undefined)) return
    const delay = retryDelays[Math.min(this.#retries, retryDelays.length - 1)] ?? 0
    this.#retry = this.#options.clock.after(delay, () => {
      this.#retries++
      void this.#enqueue(() => this.#tryAgain())
    })
  }

  async #tryAgain(): Promise<Verdict> {
    const before = this.#verdict()
    const revision = before.revision ?? ''
    await this.#apply({ revision, upserts: [], removes: [] })
    return this.#tell(before)
  }

  #tell(before: Verdict): Verdict {
    const after = this.#verdict()
    if (JSON.stringify(after) !== JSON.stringify(before)) for (const listener of this.#verdictListeners) listener(after)
    return after
  }

  #socketErrors(): ResourceError[] {
    return [...(this.#current?.listeners.values() ?? [])].flatMap((listener) => {
      const socket = socketName(listener)
      const key: ResourceKey = `Listener/${listener.name}`
      const message = this.#troubles.get(socket)
      const version = this.#current?.resources.get(key)?.version
      if (message === undefined || version === undefined || this.#refusals.has(key)) return []
      return [{ key, version, field: 'body.port', code: 'Internal', message: `${socket}: ${message}` }]
    })
  }
}

function wantedSituation(staged: Stage, revision: string): Situation {
  return {
    revision,
    resources: staged.resources,
    sockets: new Map([...staged.listeners].map(([name, listener]) => [socketName(listener), name])),
    reloadable: reloadableOf(staged.listeners),
  }
}

function reloadableOf(listeners: ReadonlyMap<string, OpenListener>): ReadonlyMap<string, string> {
  return new Map([...listeners.values()].map((listener) => [socketName(listener), reloadable(listener)]))
}

function build(staged: Stage, fleet: string, revision: string): RunningConfig {
  const bodies = [...staged.resources.values()].map(({ body }) => body)
  const trunks = bodies.filter((body) => body.type === 'Trunk')
  return Object.freeze({
    fleet,
    revision,
    resources: staged.resources,
    listeners: staged.listeners,
    trunks: new Map(trunks.map((trunk) => [trunk.name, trunk])),
    sources: compileSources(trunks),
    contacts: compileContacts(trunks),
    admission: bodies.find((body) => body.type === 'Fleet')?.admission,
    routes: compileRoutes(bodies.filter((body) => body.type === 'Route')),
    mediaEngines: new Map(bodies.filter((body) => body.type === 'MediaEngine').map((engine) => [engine.name, engine])),
  })
}
