import type { MediaEngineConfig } from '#api/snapshot.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import { rendezvousOrder } from '#lib/hash.ts'
import type { Log } from '#lib/log.ts'
import { NgClient, type NgFields, type NgReply } from './ng-client.ts'

/** An engine as people and metrics see it. */
export interface EngineRecord {
  readonly name: string
  readonly up: boolean
  /** Calls whose media it carries for this replica. */
  readonly sessions: number
}

export interface EnginePoolOptions {
  readonly clock: Clock
  readonly log: Log
  /** A string no other client of the engines has; random. */
  readonly cookiePrefix: string
}

/** Time between two pings of an engine, in milliseconds. */
const pingInterval = 2_000

/** The media engines of the fleet, as the configuration names them: which ones live, and which one takes a call. */
export class EnginePool {
  readonly #options: EnginePoolOptions
  #engines: readonly MediaEngine[] = []
  #generation = 0

  constructor(options: EnginePoolOptions) {
    this.#options = options
  }

  /** Engines that are gone from the configuration take no new call, and stay until their last call has ended. */
  configure(configs: Iterable<MediaEngineConfig>): void {
    const before = new Map(this.#engines.map((engine) => [engine.name, engine]))
    this.#engines = [...configs].map((config) => {
      const running = before.get(config.name)
      if (running === undefined || !running.isAt(config)) return this.#start(config)
      before.delete(config.name)
      running.weight = config.weight
      return running
    })
    for (const engine of before.values()) engine.retire()
  }

  /** Engines for a call in order of preference, those that are down left out. */
  choose(callId: string): MediaEngine[] {
    return rendezvousOrder(
      callId,
      this.#engines.filter(({ up }) => up),
    )
  }

  list(): EngineRecord[] {
    return this.#engines.map(({ name, up, sessions }) => ({ name, up, sessions }))
  }

  stop(): void {
    for (const engine of this.#engines) engine.close()
    this.#engines = []
  }

  #start(config: MediaEngineConfig): MediaEngine {
    const cookiePrefix = `${this.#options.cookiePrefix}${(this.#generation++).toString(36)}_`
    return new MediaEngine(config, { ...this.#options, cookiePrefix })
  }
}

/** One engine: a client, whether it lives, and how many calls it has. */
export class MediaEngine {
  readonly name: string
  weight: number
  readonly #host: string
  readonly #port: number
  readonly #client: NgClient
  readonly #clock: Clock
  readonly #log: Log
  /** Until it was heard of it is taken for one that lives: the first call need not wait for the first ping. */
  #up = true
  #heard = false
  readonly #sessions = new Set<{ readonly onDown: (calls: number) => void }>()
  #ping: Timer | undefined
  #retired = false
  #closed = false

  constructor(config: MediaEngineConfig, { clock, log, cookiePrefix }: EnginePoolOptions) {
    this.name = config.name
    this.weight = config.weight
    this.#host = config.host
    this.#port = config.port
    this.#clock = clock
    this.#log = log
    this.#client = new NgClient({ host: config.host, port: config.port, clock, cookiePrefix })
    this.#probe()
  }

  get up(): boolean {
    return this.#up && !this.#closed
  }

  get sessions(): number {
    return this.#sessions.size
  }

  isAt({ host, port }: MediaEngineConfig): boolean {
    return host === this.#host && port === this.#port
  }

  /** Asks the engine. One that does not answer is down from then on, until it answers a ping. */
  request(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    this.#client.request(command, fields, (reply) => {
      this.#heardOf(reply)
      done(reply)
    })
  }

  /**
   * A call begins; what comes back says that it has ended, and nothing is asked for it any more. It is told when the engine
   * does not answer any more, with the number of calls that are.
   */
  join(onDown: (calls: number) => void): () => void {
    const session = { onDown }
    this.#sessions.add(session)
    return () => {
      if (this.#sessions.delete(session) && this.#retired && this.#sessions.size === 0) this.close()
    }
  }

  retire(): void {
    this.#retired = true
    if (this.#sessions.size === 0) this.close()
  }

  close(): void {
    this.#closed = true
    this.#ping?.cancel()
    this.#client.close()
  }

  #probe(): void {
    this.request('ping', {}, () => {
      if (!this.#closed) this.#ping = this.#clock.after(pingInterval, () => this.#probe())
    })
  }

  #heardOf(reply: NgReply): void {
    if (this.#closed) return
    const lives = reply.ok || reply.cause === 'Error'
    const engine = { engine: this.name, host: this.#host, port: this.#port }
    const wentDown = !lives && this.#up
    if (lives && !(this.#up && this.#heard)) this.#log.info(engine, 'media engine is up')
    if (wentDown) {
      const cause = reply.reason
      this.#log.error({ ...engine, cause }, 'media engine is down: check that rtpengine runs and listens for ng there')
    }
    this.#up = lives
    this.#heard = true
    if (!wentDown) return
    const sessions = [...this.#sessions]
    for (const { onDown } of sessions) onDown(sessions.length)
  }
}
