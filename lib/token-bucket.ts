/** How much is allowed: so many a second in the long run, and so many at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Counts out what a rate allows. It begins full. */
export class TokenBucket {
  #tokens: number
  #filledAt: number

  /** `now` in milliseconds, as everywhere here. */
  constructor(rate: Rate, now: number) {
    this.#tokens = rate.burst
    this.#filledAt = now
  }

  /** Whether there is one to take. */
  holds(rate: Rate, now: number): boolean {
    this.#tokens = Math.min(rate.burst, this.#tokens + ((now - this.#filledAt) * rate.perSecond) / 1000)
    this.#filledAt = now
    return this.#tokens >= 1
  }

  /** Takes one, if there is one. The rate may differ from call to call. */
  take(rate: Rate, now: number): boolean {
    if (!this.holds(rate, now)) return false
    this.#tokens--
    return true
  }
}
