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
  /** Calls `run` once, after at least so many milliseconds, however many. */
  after(milliseconds: number, run: () => void): Timer
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after(milliseconds, run) {
    if (milliseconds > longestTimeout) return afterParts(milliseconds, run)
    const timeout = setTimeout(run, milliseconds)
    return { cancel: () => clearTimeout(timeout) }
  },
}

/** In milliseconds, 24.8 days. Node fires a timeout that is longer after 1 ms. */
const longestTimeout = 2 ** 31 - 1

function afterParts(milliseconds: number, run: () => void): Timer {
  let timeout: NodeJS.Timeout
  const wait = (left: number): void => {
    const part = Math.min(left, longestTimeout)
    timeout = setTimeout(() => (left > part ? wait(left - part) : run()), part)
  }
  wait(milliseconds)
  return { cancel: () => clearTimeout(timeout) }
}
