/** Readiness as a set of named tasks: ready when none is open, and able to say which ones are. */
export class Readiness {
  readonly #open = new Set<string>()
  readonly #listeners = new Set<() => void>()

  /** Opens a task; call what comes back when it is done. */
  task(name: string): () => void {
    this.#open.add(name)
    return () => {
      if (this.#open.delete(name)) for (const listener of this.#listeners) listener()
    }
  }

  get ready(): boolean {
    return this.#open.size === 0
  }

  /** Names of the tasks that are still open. */
  get waitingFor(): readonly string[] {
    return [...this.#open]
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }
}
