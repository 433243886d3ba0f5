/** How many may work at once, and how many more may wait for their turn. */
export interface Limits {
  readonly atOnce: number
  readonly waiting: number
}

/** Places to work in: those that wait get them in the order in which they came. */
export class Quota {
  readonly #limits: Limits
  readonly #waiting: (() => void)[] = []
  #taken = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** No place is free, and as many wait as may. */
  get full(): boolean {
    return this.#taken >= this.#limits.atOnce && this.#waiting.length >= this.#limits.waiting
  }

  /** Runs the work when a place is free, also when it is full: who may be turned away asks before. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#taken < this.#limits.atOnce) this.#taken++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      // The place goes from hand to hand, so that nobody who comes just then takes it.
      const next = this.#waiting.shift()
      if (next === undefined) this.#taken--
      else next()
    }
  }
}
