import type { Clock } from '#lib/clock.ts'

/** So many a second for long, so many at once. */
export class TokenBucket {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #capacity: number
  #tokens: number
  #filledAt: number

  constructor(clock: Clock, perSecond: number, capacity: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#capacity = capacity
    this.#tokens = capacity
    this.#filledAt = clock.now()
  }

  /** False when there is none left. */
  take(): boolean {
    const now = this.#clock.now()
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((now - this.#filledAt) / 1000) * this.#perSecond)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
