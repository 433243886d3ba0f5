import type { Clock, Timer } from '#lib/clock.ts'
import { Bucket } from './retry-rate.ts'

/** Something that is done now and then. */
export interface Rare {
  /** When it was last done; never: -Infinity. */
  readonly at: number
}

/**
 * Gives out work at a rate of its own, and first what was done longest ago: a thousand things that want to be done all
 * the time do not keep the one that wants it for the first time in an hour.
 */
export class Background<T extends Rare> {
  readonly #clock: Clock
  readonly #bucket: Bucket
  readonly #give: (item: T) => void
  /** With the time from which on it may be done. */
  readonly #waiting = new Map<T, number>()
  #timer: Timer | undefined
  #timerDue = Number.POSITIVE_INFINITY
  /** Nothing can be given out before. */
  #emptyUntil = -Infinity

  constructor(clock: Clock, rate: { perSecond: number; burst: number }, give: (item: T) => void) {
    this.#clock = clock
    this.#bucket = new Bucket(clock, rate)
    this.#give = give
  }

  has(item: T): boolean {
    return this.#waiting.has(item)
  }

  /** The item wants its turn, not before this time; of two times the earlier counts. */
  add(item: T, notBefore: number): void {
    this.#waiting.set(item, Math.min(notBefore, this.#waiting.get(item) ?? Number.POSITIVE_INFINITY))
    if (this.#timerDue > Math.max(notBefore, this.#emptyUntil)) this.#run()
  }

  remove(item: T): void {
    this.#waiting.delete(item)
  }

  stop(): void {
    this.#waiting.clear()
    this.#timer?.cancel()
  }

  #run(): void {
    this.#timer?.cancel()
    this.#timerDue = Number.POSITIVE_INFINITY
    while (this.#waiting.size > 0) {
      const now = this.#clock.now()
      const { wait } = this.#bucket
      if (wait > 0) {
        this.#emptyUntil = now + wait
        return this.#runAfter(wait)
      }
      const { item, earliest } = this.#next(now)
      if (item === undefined) return this.#runAfter(earliest - now)
      this.#bucket.reserve()
      this.#waiting.delete(item)
      this.#give(item)
    }
  }

  #runAfter(wait: number): void {
    // Not a billionth of one, over and over.
    const milliseconds = Math.max(1, Math.ceil(wait))
    this.#timerDue = this.#clock.now() + milliseconds
    this.#timer = this.#clock.after(milliseconds, () => this.#run())
  }

  /** What was done longest ago, of what may be done now; or when something may be. */
  #next(now: number): { item: T | undefined; earliest: number } {
    let item: T | undefined
    let earliest = Number.POSITIVE_INFINITY
    for (const [other, notBefore] of this.#waiting) {
      if (notBefore > now) earliest = Math.min(earliest, notBefore)
      else if (item === undefined || other.at < item.at) item = other
    }
    return { item, earliest }
  }
}
