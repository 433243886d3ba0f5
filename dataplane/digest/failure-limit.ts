import { type Rate, TokenBucket } from '#lib/token-bucket.ts'

/** Failures of one user from one address: ten at once, and one every six seconds in the long run. */
const perUser: Rate = { perSecond: 1 / 6, burst: 10 }

/** Failures of one address, whoever it says it is: more than many users that mistype, too few to try passwords. */
const perAddress: Rate = { perSecond: 1, burst: 60 }

/**
 * Limits how often somebody may be wrong. A user that is unknown counts as one that is known, so that nobody learns who
 * there is. Of so many addresses and users the failures are remembered; beyond that the oldest are forgotten.
 */
export class FailureLimit {
  readonly #most: number
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(most = 10_000) {
    this.#most = most
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Whether another try is looked at. `now` in milliseconds. */
  allows(address: string, username: string, now: number): boolean {
    const user = this.#buckets.get(keyOf(address, username))?.holds(perUser, now) ?? true
    return user && (this.#buckets.get(address)?.holds(perAddress, now) ?? true)
  }

  failed(address: string, username: string, now: number): void {
    this.#bucket(keyOf(address, username), perUser, now).take(perUser, now)
    this.#bucket(address, perAddress, now).take(perAddress, now)
  }

  #bucket(key: string, rate: Rate, now: number): TokenBucket {
    const known = this.#buckets.get(key)
    const bucket = known ?? new TokenBucket(rate, now)
    // The one that failed last stands last.
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > this.#most) {
      const [oldest = ''] = this.#buckets.keys()
      this.#buckets.delete(oldest)
    }
    return bucket
  }
}

/** A blank is in no address. */
function keyOf(address: string, username: string): string {
  return `${address} ${username.slice(0, 255)}`
}
