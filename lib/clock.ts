/** A timer that can be called off; calling off twice does no harm. */
export interface Timer {
  cancel(): void
}

/** Time, injected, so that tests turn it by hand. Never read `Date.now()` or call `setTimeout` beside it. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; only differences mean something. */
  now(): number
  /** Milliseconds since 1970, for people and for the wire. */
  wallTime(): number
  /** Calls `run` once, after at least so many milliseconds. */
  after(milliseconds: number, run: () => void): Timer
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after(milliseconds, run) {
    const timeout = setTimeout(run, milliseconds)
    return { cancel: () => clearTimeout(timeout) }
  },
}
