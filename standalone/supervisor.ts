import { type ChildProcess, spawn } from 'node:child_process'
import type { Clock, Timer } from '#lib/clock.ts'
import { LogFile } from './log-file.ts'
import { OutputReader } from './output-reader.ts'

/** What a replica is started with. */
export interface ReplicaPlan {
  /** Unique on this machine, as `voice/edge-0`. */
  readonly id: string
  readonly logFile: string
  readonly environment: Readonly<Record<string, string>>
}

export interface ReplicaProcess {
  readonly id: string
  /** `Waiting`: it died and is started again after a delay. `Stopping`: it was asked to drain. */
  readonly state: 'Running' | 'Waiting' | 'Stopping'
  /** Undefined while it waits. */
  readonly pid: number | undefined
  readonly restarts: number
}

export interface SupervisorOptions {
  readonly clock: Clock
  /** Program and arguments that every replica runs. */
  readonly command: readonly [program: string, ...parameters: string[]]
  /** How long a replica may drain before it is killed, in milliseconds. */
  readonly stopMilliseconds: number
  /** Something happened that an operator wants to read: a start, a death, an error in its log. */
  readonly onNotice: (id: string, notice: string) => void
  readonly onChange: () => void
}

/** Delay before the n-th start in a row of a replica that keeps dying, in milliseconds; the last one repeats. */
const restartDelays = [0, 250, 500, 1_000, 2_000]
/**
 * A replica that showed life and then shows none for so many looks, this far apart, hangs. Looks are counted, not time:
 * after the machine itself has slept, the first look finds nobody at fault.
 */
const lookMilliseconds = 2_000
const looksWithoutLife = 5

/** A replica that lived this long is taken as sound again. */
const soundAfterMilliseconds = 10_000

interface Entry {
  plan: ReplicaPlan
  /** False: it is on its way out, and forgotten once it has gone. */
  wanted: boolean
  child: ChildProcess | undefined
  stopping: boolean
  startedAt: number
  deathsInARow: number
  restarts: number
  timer: Timer | undefined
  watch: Timer | undefined
  log: LogFile
}

/** Keeps one child process alive per wanted replica, each in a process group of its own. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #entries = new Map<string, Entry>()
  readonly #idle = new Set<() => void>()

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Says which replicas should run: missing ones are started, superfluous ones drained, changed ones started anew. */
  want(plans: readonly ReplicaPlan[]): void {
    const wanted = new Map(plans.map((plan) => [plan.id, plan]))
    for (const [id, entry] of this.#entries) if (!wanted.has(id)) this.#drop(entry)
    for (const plan of wanted.values()) {
      const entry = this.#entries.get(plan.id)
      if (entry === undefined) this.#add(plan)
      else this.#change(entry, plan)
    }
    this.#options.onChange()
  }

  list(): ReplicaProcess[] {
    return [...this.#entries.values()].map(({ plan, child, stopping, restarts }) => ({
      id: plan.id,
      state: stopping ? 'Stopping' : child === undefined ? 'Waiting' : 'Running',
      pid: child?.pid,
      restarts,
    }))
  }

  /** Drains every replica; resolves when all processes have gone. */
  stop(): Promise<void> {
    this.want([])
    return this.#entries.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.add(resolve))
  }

  /** Ends every process at once, calls or not. */
  kill(): void {
    for (const { child } of this.#entries.values()) child?.kill('SIGKILL')
  }

  #add(plan: ReplicaPlan): void {
    const entry: Entry = {
      plan,
      wanted: true,
      child: undefined,
      stopping: false,
      startedAt: 0,
      deathsInARow: 0,
      restarts: 0,
      timer: undefined,
      watch: undefined,
      log: new LogFile(plan.logFile, (error) =>
        this.#options.onNotice(plan.id, `its log cannot be written: ${error.message}`),
      ),
    }
    this.#entries.set(plan.id, entry)
    this.#start(entry)
  }

  #change(entry: Entry, plan: ReplicaPlan): void {
    const changed = JSON.stringify(entry.plan.environment) !== JSON.stringify(plan.environment)
    entry.plan = plan
    entry.wanted = true
    if (changed && entry.child !== undefined) this.#terminate(entry)
  }

  #drop(entry: Entry): void {
    entry.wanted = false
    entry.timer?.cancel()
    if (entry.child === undefined) this.#forget(entry)
    else this.#terminate(entry)
  }

  #start(entry: Entry): void {
    const [program, ...parameters] = this.#options.command
    // The IPC channel ends with this process, however it ends: a replica that was left behind sees it and goes. A group
    // of its own keeps a Ctrl-C at the terminal from reaching the replica beside our own SIGTERM.
    const child = spawn(program, parameters, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: entry.plan.environment,
      detached: true,
    })
    entry.child = child
    entry.startedAt = this.#options.clock.now()
    if (child.pid !== undefined) this.#options.onNotice(entry.plan.id, `runs as process ${child.pid}`)
    this.#collectOutput(entry, child)
    child.on('message', () => this.#watch(entry, child, 0))
    let gone = false
    const onGone = (how: string) => {
      if (gone) return
      gone = true
      this.#onGone(entry, how)
    }
    child.once('error', (error) => onGone(`could not be started: ${error.message}`))
    // Not `exit`: what it said last is still in the pipes then.
    child.once('close', (code, signal) =>
      onGone(signal === null ? `exited with code ${code}` : `was ended by ${signal}`),
    )
  }

  /** A replica says that it lives, and from then on has to go on saying so: one that hangs holds its ports for nothing. */
  #watch(entry: Entry, child: ChildProcess, looks: number): void {
    if (entry.child !== child) return
    entry.watch?.cancel()
    if (looks === looksWithoutLife) {
      this.#options.onNotice(entry.plan.id, `showed no life for ${(looks * lookMilliseconds) / 1000} s; it is killed`)
      child.kill('SIGKILL')
    } else {
      entry.watch = this.#options.clock.after(lookMilliseconds, () => this.#watch(entry, child, looks + 1))
    }
  }

  #collectOutput(entry: Entry, child: ChildProcess): void {
    const onError = (line: string) => this.#options.onNotice(entry.plan.id, line)
    const output = new OutputReader(this.#options.clock, onError)
    child.stdout?.on('data', (chunk: Buffer) => {
      entry.log.append(chunk)
      output.readLog(chunk)
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      entry.log.append(chunk)
      output.readErrors(chunk)
    })
  }

  #terminate(entry: Entry): void {
    if (entry.stopping) return
    const { child } = entry
    entry.stopping = true
    child?.kill('SIGTERM')
    entry.timer?.cancel()
    entry.timer = this.#options.clock.after(this.#options.stopMilliseconds, () => child?.kill('SIGKILL'))
  }

  #onGone(entry: Entry, how: string): void {
    const asked = entry.stopping
    entry.timer?.cancel()
    entry.watch?.cancel()
    entry.child = undefined
    entry.stopping = false
    if (!entry.wanted) {
      this.#forget(entry)
    } else if (asked) {
      this.#start(entry)
    } else {
      this.#restart(entry, how)
    }
    this.#options.onChange()
  }

  #restart(entry: Entry, how: string): void {
    const lived = this.#options.clock.now() - entry.startedAt
    if (lived >= soundAfterMilliseconds) entry.deathsInARow = 0
    const delay = restartDelays[Math.min(entry.deathsInARow, restartDelays.length - 1)] ?? 0
    entry.deathsInARow++
    entry.restarts++
    this.#options.onNotice(
      entry.plan.id,
      `${how}; it is started again ${delay === 0 ? 'at once' : `in ${delay} ms`} (log: ${entry.plan.logFile})`,
    )
    if (delay === 0) this.#start(entry)
    else entry.timer = this.#options.clock.after(delay, () => this.#start(entry))
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.plan.id)
    entry.log.close()
    if (this.#entries.size > 0) return
    for (const resolve of this.#idle) resolve()
    this.#idle.clear()
  }
}
