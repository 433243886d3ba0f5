import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Readiness } from '#lib/ready.ts'

/** The calls, as far as draining is concerned. */
export interface DrainableCalls {
  /** Calls up now. */
  readonly count: number
  /** From here on a new INVITE gets 503. */
  refuseNewCalls(): void
  onCountChange(listener: () => void): void
  /** Ends all calls with BYE or CANCEL; resolves when they have ended. */
  endAll(reason: string): Promise<void>
}

export interface DrainOptions {
  readonly calls: DrainableCalls
  readonly readiness: Readiness
  /** Tells the control side that work must move elsewhere. */
  readonly announce: () => void
  /** Settles soon, when other replicas have taken over what they can. */
  readonly handOver: () => Promise<void>
  /** How long calls may go on, in milliseconds. */
  readonly deadlineMilliseconds: number
  readonly clock: Clock
  readonly log: Log
}

/** How long the answers to the last BYEs are waited for, in milliseconds. */
const goodbyeMilliseconds = 2_000

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
  begin(deadlineMilliseconds = this.#options.deadlineMilliseconds): Promise<void> {
    this.#done ??= this.#run(deadlineMilliseconds)
    return this.#done
  }

  async #run(deadlineMilliseconds: number): Promise<void> {
    const { calls, readiness, announce, handOver, log } = this.#options
    log.info({ calls: calls.count, deadlineMilliseconds }, 'draining')
    readiness.task('draining')
    announce()
    const handedOver = handOver()
    calls.refuseNewCalls()
    if (!(await this.#runsEmpty(deadlineMilliseconds))) {
      log.warn({ calls: calls.count }, 'the deadline has passed; the calls that are left are ended')
      await this.#endAll()
    }
    await handedOver
    log.info({}, 'drained')
  }

  /** Every BYE is out at once; a peer that does not answer it holds up nothing. */
  #endAll(): Promise<void> {
    const { calls, clock } = this.#options
    return new Promise((resolve, reject) => {
      const limit = clock.after(goodbyeMilliseconds, resolve)
      calls
        .endAll('the replica is being stopped')
        .then(resolve, reject)
        .finally(() => limit.cancel())
    })
  }

  /** False when the deadline comes first. */
  #runsEmpty(deadlineMilliseconds: number): Promise<boolean> {
    const { calls, clock } = this.#options
    if (calls.count === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const deadline = clock.after(deadlineMilliseconds, () => resolve(false))
      calls.onCountChange(() => {
        if (calls.count > 0) return
        deadline.cancel()
        resolve(true)
      })
    })
  }
}
