/** What arrives, in order, for those who wait for it. */
export class Arrivals<T> {
  readonly #arrived: T[] = []
  readonly #waiting: ((value: T) => void)[] = []

  add(value: T): void {
    const first = this.#waiting.shift()
    if (first === undefined) this.#arrived.push(value)
    else first(value)
  }

  next(): Promise<T> {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift() as T)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** How many have arrived that nobody has taken. */
  get count(): number {
    return this.#arrived.length
  }
}
