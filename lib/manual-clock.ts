import type { Clock, Timer } from './clock.ts'

/** A clock for tests: time stands still until `advance` moves it, running what falls due on the way, in order. */
export class ManualClock implements Clock {
  #now = 0
  #order = 0
  #wallStart: number
  readonly #timers = new Map<number, { due: number; run: () => void }>()

  constructor(wallStart = Date.UTC(2026, 0, 1)) {
    this.#wallStart = wallStart
  }

  now(): number {
    return this.#now
  }

  wallTime(): number {
    return this.#wallStart + this.#now
  }

  /** Sets the wall clock, as an administrator would; timers are not moved. */
  setWallTime(wallTime: number): void {
    this.#wallStart = wallTime - this.#now
  }

  after(milliseconds: number, run: () => void): Timer {
    const id = this.#order++
    this.#timers.set(id, { due: this.#now + Math.max(0, milliseconds), run })
    return { cancel: () => void this.#timers.delete(id) }
  }

  /** Number of timers that are set: none may be left when everything has ended. */
  get pending(): number {
    return this.#timers.size
  }

  /** Moves time by so many milliseconds. Timers set by timers run too, if they fall due on the way. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds
    for (;;) {
      let next: [number, { due: number; run: () => void }] | undefined
      for (const entry of this.#timers) {
        if (entry[1].due <= end && (next === undefined || entry[1].due < next[1].due)) next = entry
      }
      if (next === undefined) break
      this.#timers.delete(next[0])
      this.#now = Math.max(this.#now, next[1].due)
      next[1].run()
    }
    this.#now = end
  }
}
