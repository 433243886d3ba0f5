import type { Timer } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'

/** A manual clock that lets a test wait until a certain timer was set. */
export class ObservedClock extends ManualClock {
  readonly #set: number[] = []
  readonly #waiting: { matches: (milliseconds: number) => boolean; resolve: (milliseconds: number) => void }[] = []

  override after(milliseconds: number, run: () => void): Timer {
    const timer = super.after(milliseconds, run)
    const index = this.#waiting.findIndex(({ matches }) => matches(milliseconds))
    if (index < 0) this.#set.push(milliseconds)
    else this.#waiting.splice(index, 1)[0]?.resolve(milliseconds)
    return timer
  }

  /** Resolves with the duration when a timer of such a duration is set, or was set and not yet asked for. */
  timer(matches: (milliseconds: number) => boolean): Promise<number> {
    const index = this.#set.findIndex(matches)
    if (index >= 0) return Promise.resolve(this.#set.splice(index, 1)[0] ?? 0)
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }))
  }

  /** Waits until a timer of this duration is set, and lets it fall due. */
  async expire(milliseconds: number): Promise<void> {
    await this.timer((set) => set === milliseconds)
    this.advance(milliseconds)
  }
}
