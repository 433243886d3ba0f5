import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Readiness } from '#lib/ready.ts'

/** The calls, as far as draining is concerned. */
export interface DrainableCalls {
  /** Calls up now. */
  readonly count: number
  /** From here on a new INVITE gets 503. */
  refuseNewCalls(): void
  onCountChange(listener: (count: number) => void): void
  /** Ends all calls with BYE or CANCEL; resolves when they have ended. */
  endAll(reason: string): Promise<void>
}

export interface DrainOptions {
  readonly calls: DrainableCalls
  readonly readiness: Readiness
  /** Tells the control side that work must move elsewhere. */
  readonly announce: () => void
  /** How long calls may go on, in milliseconds. */
  readonly deadlineMilliseconds: number
  readonly clock: Clock
  readonly log: Log
}

/** Lets a replica run empty: not ready, no new calls, those that are up may end by themselves until the deadline. */
export class Drain {
  readonly #options: DrainOptions
  #done: Promise<void> | undefined

  constructor(options: DrainOptions) {
    this.#options = options
  }

  /** Whether it has begun. */
  get begun(): boolean {
    return this.#done !== undefined
  }

  /** Begins; a second call joins the first. Resolves when no call is left. */
  begin(): Promise<void> {
    this.#done ??= this.#run()
    return this.#done
  }

  async #run(): Promise<void> {
    const { calls, readiness, announce, deadlineMilliseconds, log } = this.#options
    log.info({ calls: calls.count, deadlineMilliseconds }, 'draining')
    readiness.task('draining')
    announce()
    calls.refuseNewCalls()
    if (!(await this.#runsEmpty())) {
      log.warn({ calls: calls.count }, 'the deadline has passed; the calls that are left are ended')
      await calls.endAll('the replica is being stopped')
    }
    log.info({}, 'drained')
  }

  /** False when the deadline comes first. */
  #runsEmpty(): Promise<boolean> {
    const { calls, clock, deadlineMilliseconds } = this.#options
    if (calls.count === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const deadline = clock.after(deadlineMilliseconds, () => resolve(false))
      calls.onCountChange((count) => {
        if (count > 0) return
        deadline.cancel()
        resolve(true)
      })
    })
  }
}
