import type { Clock } from '#lib/clock.ts'

/** Changes come in bursts; a fleet is looked at so long after the first of them, in milliseconds. */
const gatherMilliseconds = 20
/** Longest that a fleet waits for its turn, in milliseconds. */
const longestMilliseconds = 1_000
/** Of its time a fleet may take one part in so many. */
const share = 3

/**
 * When to look at a fleet next. One with thousands of trunks takes long to look at, and while a thousand of them are being
 * created would be looked at without end; then nothing else got its turn, the Lease neither.
 */
export class Pace {
  readonly #clock: Clock
  readonly #resting = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How long to wait before the fleet is looked at, in milliseconds. */
  delay(fleet: string): number {
    return Math.max(gatherMilliseconds, (this.#resting.get(fleet) ?? 0) - this.#clock.now())
  }

  /** Looks at the fleet, and remembers how long that took. */
  async time<T>(fleet: string, look: () => Promise<T>): Promise<T> {
    const began = this.#clock.now()
    try {
      return await look()
    } finally {
      const now = this.#clock.now()
      this.#resting.set(fleet, now + Math.min(longestMilliseconds, (now - began) * (share - 1)))
    }
  }

  /** To be called when a fleet is gone. */
  forget(fleet: string): void {
    this.#resting.delete(fleet)
  }
}
