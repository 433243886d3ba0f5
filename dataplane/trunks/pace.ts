import type { Clock } from '#lib/clock.ts'

/**
 * Spreads what would start at one moment: thousands of targets and accounts after a start, or what a replica that died
 * leaves to another. The first few go at once, the rest at a steady rate.
 */
export class Pace {
  readonly #clock: Clock
  readonly #gap: number
  #free = 0

  /** `perSecond` starts a second, for as long as there are more. */
  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock
    this.#gap = 1000 / perSecond
  }

  /** Milliseconds to wait before the next start. */
  next(): number {
    const now = this.#clock.now()
    const start = Math.max(now, this.#free)
    this.#free = start + this.#gap
    return start - now
  }
}
