import type { Clock } from '#lib/clock.ts'

/**
 * When a key that failed may be tried again: later each time, from 5 ms to 1,000 s, and no more than ten a second over
 * all keys, after the first hundred. These are the figures of controller-runtime.
 */
export class RetryRate {
  readonly #failures = new Map<string, number>()
  readonly #bucket: Bucket

  constructor(clock: Clock) {
    this.#bucket = new Bucket(clock, { perSecond: 10, burst: 100 })
  }

  /** How long this key has to wait, in milliseconds; counts as one more failure of it. */
  delayOf(key: string): number {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    return Math.max(Math.min(5 * 2 ** Math.min(failures, 40), 1_000_000), this.#bucket.reserve())
  }

  /** How often the key has failed in a row. */
  failuresOf(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** To be called when it went well. */
  forget(key: string): void {
    this.#failures.delete(key)
  }
}

/** So many a second for long, so many at once. */
export class Bucket {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  constructor(clock: Clock, { perSecond, burst }: { perSecond: number; burst: number }) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#filledAt = clock.now()
  }

  /** Takes a turn, and says how long to wait for it, in milliseconds; 0 while there is something left. */
  reserve(): number {
    this.#fill()
    this.#tokens--
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000
  }

  /** As `reserve`, unless it would take longer than so many milliseconds: then nothing is taken. */
  reserveWithin(milliseconds: number): number | undefined {
    this.#fill()
    return ((1 - this.#tokens) / this.#perSecond) * 1000 > milliseconds ? undefined : this.reserve()
  }

  /** How long until there is something to take, in milliseconds. */
  get wait(): number {
    this.#fill()
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / this.#perSecond) * 1000
  }

  #fill(): void {
    const now = this.#clock.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) / 1000) * this.#perSecond)
    this.#filledAt = now
  }
}
