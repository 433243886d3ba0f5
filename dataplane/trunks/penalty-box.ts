import type { Clock } from '#lib/clock.ts'

/** How long an endpoint that failed comes last, in seconds: doubled with every further failure, up to the longest. */
const penaltySeconds = { first: 30, longest: 600 }
const maximumEntries = 64

/**
 * Endpoints that failed of late, so that the next request begins at another one (RFC 3263 section 4.3) and comes back to
 * them by and by: nobody probes them.
 */
export class PenaltyBox {
  readonly #clock: Clock
  readonly #penalties = new Map<string, { failures: number; until: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** It failed, and is to be left alone for at least so many seconds. */
  fail(endpoint: string, atLeastSeconds = 0): void {
    const failures = this.#penalties.get(endpoint)?.failures ?? 0
    const seconds = Math.min(penaltySeconds.longest, penaltySeconds.first * 2 ** failures)
    const until = this.#clock.now() + Math.max(seconds, atLeastSeconds) * 1000
    this.#penalties.delete(endpoint)
    this.#penalties.set(endpoint, { failures: Math.min(failures + 1, 16), until })
    const [oldest] = this.#penalties.keys()
    if (this.#penalties.size > maximumEntries && oldest !== undefined) this.#penalties.delete(oldest)
  }

  succeed(endpoint: string): void {
    this.#penalties.delete(endpoint)
  }

  holds(endpoint: string): boolean {
    const penalty = this.#penalties.get(endpoint)
    return penalty !== undefined && penalty.until > this.#clock.now()
  }
}
