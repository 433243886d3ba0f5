import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { Secret } from '#lib/secret.ts'
import { compileFleets } from '../operator/compile/compile.ts'
import { fleetsOf } from '../operator/compile/world.ts'
import { sharedToken } from '../operator/push/authenticate.ts'
import { PushServer } from '../operator/push/push-server.ts'
import { EngineEnvironment } from './engine-environment.ts'
import { countGenerations } from './generations.ts'
import { carryOver, formatProblem, type Manifests, resourceName, resourcesOf } from './manifests/manifests.ts'
import { readManifests } from './manifests/read-manifests.ts'
import { addressesOf, mostReplicas } from './replica-addresses.ts'
import { type Compilation, type CompiledFleet, documentsOf, viewOf } from './state-of-fleets.ts'
import { type StatusDocument, StatusFiles } from './status-files.ts'
import { type ReplicaPlan, type ReplicaProcess, Supervisor } from './supervisor.ts'
import type { View } from './table.ts'
import { DirectoryWatch } from './watch.ts'

export interface MachineOptions {
  /** Where the manifests are. */
  readonly directory: string
  /** Where status, logs and what replicas keep are written. */
  readonly statusDirectory: string
  /** Addresses of the replicas; undefined: those of the loopback network. */
  readonly addresses: readonly (readonly string[])[] | undefined
  readonly clock: Clock
  readonly log: Log
  /** Program and arguments of a replica. */
  readonly replicaCommand: readonly [string, ...string[]]
  /** Environment that replicas inherit. */
  readonly environment: Readonly<Record<string, string>>
  /** How long calls may go on when a replica is stopped, in seconds. */
  readonly drainSeconds: number
  readonly onView: (view: View) => void
  /** Something happened that an operator wants to read. */
  readonly onNotice: (notice: string) => void
}

/** There is no VoiceService to run; `problems` says what stands in the way, one line each. */
export class NothingToRun extends Error {
  readonly problems: readonly string[]

  constructor(directory: string, problems: readonly string[]) {
    super(`Nothing to run: ${directory} holds no VoiceService that can be used.`)
    this.name = 'NothingToRun'
    this.problems = problems
  }
}

/** Events come in bursts; the status is made anew this long after the first of them. */
const statusDelayMilliseconds = 50
/** Beyond the drain: a replica un-registers and says good-bye. */
const stopMarginMilliseconds = 4_000

const nothingRead: Manifests = { entries: [], problems: [], unread: [] }

/**
 * One machine that runs the fleets of a directory: files in, replicas as child processes, status out. While a file is
 * broken, what it said last goes on; what is taken out of a sound file is gone.
 */
export class Machine {
  readonly #options: MachineOptions
  readonly #token = randomBytes(32).toString('hex')
  /** Another one at every start: nonces from before are stale, which costs a call one more round trip. */
  readonly #nonceRoot = new Secret(randomBytes(32).toString('hex'))
  readonly #push: PushServer
  readonly #supervisor: Supervisor
  readonly #statusFiles: StatusFiles
  readonly #stateDirectory: string
  readonly #engines = new EngineEnvironment()
  #controlUrl = ''
  #compilation: Compilation | undefined
  #documents: readonly StatusDocument[] = []
  /** Fleets with fewer addresses than replicas. */
  #shortages: readonly string[] = []
  #watch: DirectoryWatch | undefined
  #statusTimer: Timer | undefined
  #reading: Promise<void> = Promise.resolve()
  #rereadDue = false
  #stopping = false
  #problems: readonly string[] = []

  constructor(options: MachineOptions) {
    const { clock, log, statusDirectory } = options
    this.#options = options
    this.#stateDirectory = join(statusDirectory, 'state')
    this.#push = new PushServer({ clock, log, authenticate: sharedToken(this.#token), epoch: 1 })
    this.#push.onChange(() => this.#refreshSoon())
    this.#statusFiles = new StatusFiles(statusDirectory, (error) =>
      options.onNotice(`The status cannot be written: ${error.message}`),
    )
    this.#supervisor = new Supervisor({
      clock,
      command: options.replicaCommand,
      stopMilliseconds: options.drainSeconds * 1000 + stopMarginMilliseconds,
      onNotice: (id, notice) => options.onNotice(`${id}: ${notice}`),
      onChange: () => this.#refreshSoon(),
    })
  }

  /** Reads, compiles and starts the replicas. Rejects with `NothingToRun`, and then leaves nothing behind. */
  async start(): Promise<void> {
    const { directory, clock } = this.#options
    const manifests = await readManifests(directory)
    if (resourcesOf(manifests).voiceServices.length === 0) {
      throw new NothingToRun(directory, manifests.problems.map(formatProblem))
    }
    // What replicas kept in an earlier run may come from other manifests.
    rmSync(this.#stateDirectory, { recursive: true, force: true })
    this.#controlUrl = (await this.#push.listen({ host: '127.0.0.1', port: 0 })).url
    this.#take(manifests)
    this.#watch = new DirectoryWatch({ directory, clock, onChange: () => this.#reread() })
    this.#refresh()
  }

  /** The replica processes there are. */
  replicas(): ReplicaProcess[] {
    return this.#supervisor.list()
  }

  /** Drains all replicas and writes the last status. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#watch?.close()
    await this.#reading
    await this.#supervisor.stop()
    await this.#push.close()
    this.#statusTimer?.cancel()
    this.#refresh()
    this.#statusTimer?.cancel()
    rmSync(this.#stateDirectory, { recursive: true, force: true })
  }

  /** Ends all replicas at once, calls or not. */
  kill(): void {
    this.#supervisor.kill()
  }

  /** Reads again; what changes meanwhile is read once more after that. */
  #reread(): void {
    if (this.#rereadDue) return
    this.#rereadDue = true
    this.#reading = this.#reading.then(async () => {
      this.#rereadDue = false
      const manifests = await readManifests(this.#options.directory)
      try {
        this.#take(manifests)
      } catch (error) {
        // A fault of ours must not end what runs.
        const cause = error instanceof Error ? (error.stack ?? error.message) : String(error)
        this.#options.log.error({ cause }, 'the manifests could not be taken')
        this.#options.onNotice(`The manifests could not be taken: ${cause}`)
      }
    })
  }

  #take(read: Manifests): void {
    const { clock } = this.#options
    const before = this.#compilation
    const carried = carryOver(before?.manifests ?? nothingRead, read)
    const { manifests, known } = countGenerations(carried, before?.known ?? new Map(), clock.wallTime())
    const resources = { ...resourcesOf(manifests), nonceRoot: this.#nonceRoot }
    const { fleets, strays } = compileFleets(resources, before?.fleets)
    this.#compilation = { manifests, known, fleets, strays: { ...strays, trunks: fleetsOf(resources).strays } }

    const plans = new Map(fleets.map((fleet) => [fleet, this.#plansOf(fleet)]))
    this.#shortages = fleets.flatMap((fleet) => this.#shortage(fleet))
    this.#supervisor.want([...plans.values()].flat())
    for (const [{ snapshot }, { length }] of plans) this.#push.publish(snapshot, { replicas: length })
    const names = new Set(fleets.map(({ snapshot }) => snapshot.fleet))
    for (const { snapshot } of before?.fleets ?? []) if (!names.has(snapshot.fleet)) this.#push.forget(snapshot.fleet)
    this.#refreshSoon()
  }

  #plansOf({ world, snapshot }: CompiledFleet): ReplicaPlan[] {
    const { spec, metadata } = world.voiceService
    return Array.from({ length: spec.replicas }).flatMap((_, index) => {
      const addresses = addressesOf(index, this.#options.addresses)
      const engine = addresses && this.#engines.of(world, addresses)
      if (addresses === undefined || engine === undefined) return []
      return [this.#plan(snapshot.fleet, metadata.namespace, `${metadata.name}-${index}`, addresses, engine)]
    })
  }

  #shortage({ world, snapshot }: CompiledFleet): string[] {
    const { replicas } = world.voiceService.spec
    const possible = this.#options.addresses?.length ?? mostReplicas
    if (possible >= replicas) return []
    const wayOut =
      this.#options.addresses === undefined
        ? 'lower spec.replicas, or give addresses with --address'
        : 'give one more --address for each'
    return [`${snapshot.fleet} wants ${replicas} replicas, but there are addresses for ${possible} only; ${wayOut}`]
  }

  #plan(
    fleet: string,
    namespace: string,
    replica: string,
    addresses: readonly string[],
    engine: Readonly<Record<string, string>>,
  ): ReplicaPlan {
    const { statusDirectory, environment, drainSeconds } = this.#options
    return {
      id: `${namespace}/${replica}`,
      logFile: join(statusDirectory, 'log', `${namespace}-${replica}.log`),
      environment: {
        ...environment,
        ...engine,
        SBCFLEET_FLEET: fleet,
        SBCFLEET_REPLICA: replica,
        SBCFLEET_CONTROL_URLS: this.#controlUrl,
        SBCFLEET_TOKEN: this.#token,
        SBCFLEET_ADDRESSES: addresses.join(','),
        SBCFLEET_STATE_DIR: join(this.#stateDirectory, `${namespace}-${replica}`),
        SBCFLEET_ADMIN_PORT: '0',
        SBCFLEET_HEALTH_PORT: '0',
        SBCFLEET_DRAIN_SECONDS: String(drainSeconds),
      },
    }
  }

  #refreshSoon(): void {
    this.#statusTimer ??= this.#options.clock.after(statusDelayMilliseconds, () => this.#refresh())
  }

  #refresh(): void {
    this.#statusTimer = undefined
    if (this.#compilation === undefined) return
    const replicasOf = (fleet: string) => this.#push.replicas(fleet)
    const previous = new Map(
      this.#documents.map(({ kind, namespace, name, status }) => [resourceName(kind, namespace, name), status]),
    )
    this.#documents = documentsOf(this.#compilation, replicasOf, previous, this.#options.clock.wallTime())
    this.#statusFiles.write(this.#documents)
    const view = viewOf(this.#compilation, this.#documents, replicasOf)
    // What a replica had against the manifests is not mended by its end.
    if (!this.#stopping) this.#problems = [...view.problems, ...this.#shortages]
    this.#options.onView({ ...view, problems: this.#problems })
  }
}
