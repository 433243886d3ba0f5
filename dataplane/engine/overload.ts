import type { Clock } from '#lib/clock.ts'
import { TokenBucket } from '#lib/token-bucket.ts'

/** How often it is looked at how busy the process is, in milliseconds, and how often in a row it has to be too much. */
const WINDOW = 250
const WINDOWS_TO_ENGAGE = 3
/** Share of its time that the event loop works: above, it is overloaded; below the other, it has room again. */
const BUSY = 0.97
const IDLE = 0.85
/** The most that the rate rises in one window, once there is room. */
const RISE = 1.5
/**
 * New calls a second that are let in however busy it is. A call takes about a millisecond, so it is not calls that keep a
 * process busy that lets in no more, and refusing them as well would do a flood's work.
 */
const LEAST = 100
/** Calls that are always let in at once. */
const HEAP = 30

/**
 * Says no to new calls when the process cannot keep up. An event loop that never waits has work queued before it, in the
 * kernel, that grows; then every call is late and none succeeds. So new calls are let in at a rate that sinks by a tenth as
 * long as the loop is busy all the time, and rises once it has room to what would fill it, until nobody is refused any more.
 */
export class Overload {
  readonly #clock: Clock
  readonly #busyShare: () => number
  #since: number
  #admitted = 0
  #refused = 0
  #busyWindows = 0
  /** New calls a second; undefined: without limit. */
  #rate: number | undefined
  #bucket: TokenBucket | undefined

  /** `busyShare` tells which share of the time since it was last asked the event loop has worked, from 0 to 1. */
  constructor(clock: Clock, busyShare: () => number) {
    this.#clock = clock
    this.#busyShare = busyShare
    this.#since = clock.now()
  }

  get limiting(): boolean {
    return this.#rate !== undefined
  }

  /** Whether one more call may begin. */
  admits(): boolean {
    const now = this.#clock.now()
    if (now - this.#since >= WINDOW) this.#look(now)
    if (this.#rate !== undefined && this.#bucket?.take(limit(this.#rate), now) === false) {
      this.#refused++
      return false
    }
    this.#admitted++
    return true
  }

  #look(now: number): void {
    const seconds = (now - this.#since) / 1000
    const busy = this.#busyShare()
    const pace = this.#admitted / seconds
    this.#busyWindows = busy >= BUSY ? this.#busyWindows + 1 : 0
    if (this.#rate === undefined) {
      if (this.#busyWindows >= WINDOWS_TO_ENGAGE) this.#limit(pace * 0.9, now)
    } else if (busy >= BUSY) this.#limit(Math.min(this.#rate, pace) * 0.9, now)
    else if (busy < IDLE && this.#refused === 0) this.#rate = this.#bucket = undefined
    else if (busy < IDLE) this.#limit(risen(this.#rate, pace / Math.max(busy, 0.01)), now)
    this.#since = now
    this.#admitted = 0
    this.#refused = 0
  }

  #limit(rate: number, now: number): void {
    this.#rate = Math.max(LEAST, rate)
    this.#bucket ??= new TokenBucket(limit(this.#rate), now)
  }
}

/**
 * Towards nine tenths of what the loop could do, going by what it did and how busy that kept it; by a tenth at least, since
 * it may be other things that kept it busy. A process that has just begun, and compiles its code, has room again soon.
 */
function risen(rate: number, possible: number): number {
  return Math.max(rate * 1.1 + 1, Math.min(rate * RISE, possible * 0.9))
}

/**
 * A tenth of a second's worth at once. A process that others keep from working has its calls come in heaps, so a heap that
 * no call has to wait for is always let in.
 */
function limit(perSecond: number): { perSecond: number; burst: number } {
  return { perSecond, burst: Math.max(HEAP, perSecond / 10) }
}

/** The share for this process. */
export function eventLoopShare(): () => number {
  let before = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization
  }
}
