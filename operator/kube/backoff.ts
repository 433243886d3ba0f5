/** Delays that double from a shortest to a longest, each drawn up to twice as long, so that many clients spread out. */
export class Backoff {
  readonly #shortest: number
  readonly #longest: number
  readonly #random: () => number
  #failures = 0

  /** Delays in milliseconds; `random` gives 0 to 1. */
  constructor(options: { shortest: number; longest: number; random?: () => number }) {
    this.#shortest = options.shortest
    this.#longest = options.longest
    this.#random = options.random ?? Math.random
  }

  /** How long to wait after yet another failure, in milliseconds. */
  next(): number {
    const doubled = this.#shortest * 2 ** Math.min(this.#failures++, 30)
    return Math.min(this.#longest, doubled * (1 + this.#random()))
  }

  /** How many failures there were in a row. */
  get failures(): number {
    return this.#failures
  }

  /** To be called when it went well. */
  reset(): void {
    this.#failures = 0
  }
}
