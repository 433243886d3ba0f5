/**
 * Which requests nonces have been used for. RFC 7616 section 3.4: the server counts "to detect request replays by
 * maintaining its own copy of this count": each count is taken once, in any order within a window, since requests
 * that were sent together may overtake one another. Memory is bounded: what is forgotten is refused.
 */
export class NonceCounts {
  readonly #most: number
  readonly #used = new Map<string, { readonly madeAt: number; highest: number; seen: number }>()
  /** Nonces made up to then that are not known have been forgotten, or may have been used before our time. */
  #floor: number

  /** `now` in milliseconds since 1970: what was made before is refused, since a process before this may have taken it. */
  constructor(now: number, most = 20_000) {
    this.#floor = now - 1
    this.#most = most
  }

  get size(): number {
    return this.#used.size
  }

  /** Whether a nonce can be counted at all; otherwise the client has to take a new one. */
  knows(nonce: string, madeAt: number): boolean {
    return madeAt > this.#floor || this.#used.has(nonce)
  }

  /** False when the count was taken before, or is too far behind to say. */
  take(nonce: string, madeAt: number, count: number): boolean {
    if (!this.knows(nonce, madeAt)) return false
    const known = this.#used.get(nonce)
    if (known === undefined) {
      this.#makeRoom()
      this.#used.set(nonce, { madeAt, highest: count, seen: 1 })
      return true
    }
    const ahead = count - known.highest
    if (ahead > 0) {
      known.seen = ahead >= window ? 1 : ((known.seen << ahead) | 1) >>> 0
      known.highest = count
      return true
    }
    const bit = ahead > -window ? (1 << -ahead) >>> 0 : 0
    if (bit === 0 || (known.seen & bit) !== 0) return false
    known.seen = (known.seen | bit) >>> 0
    return true
  }

  /** Forgets what was made up to then: it is too old to be used. */
  forget(madeAt: number): void {
    this.#floor = Math.max(this.#floor, madeAt)
    for (const [nonce, used] of this.#used) {
      if (used.madeAt > madeAt) return
      this.#used.delete(nonce)
    }
  }

  #makeRoom(): void {
    for (const [nonce, { madeAt }] of this.#used) {
      if (this.#used.size < this.#most) return
      this.#used.delete(nonce)
      this.#floor = Math.max(this.#floor, madeAt)
    }
  }
}

/** Bits of `seen`. */
const window = 32
