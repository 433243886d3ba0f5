import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from './clock.ts'

describe('the system clock', () => {
  // These timers fire at once above 2^31 - 1 ms, as those of Node do.
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it.each([1_000, 2 ** 31 - 1, 2 ** 31, 999_999_999_000])('waits %i ms, and calls once', (milliseconds) => {
    const seen: string[] = []
    systemClock.after(milliseconds, () => seen.push('called'))
    vi.advanceTimersByTime(milliseconds - 1)
    expect(seen).toEqual([])
    vi.advanceTimersByTime(1)
    expect([seen, vi.getTimerCount()]).toEqual([['called'], 0])
  })

  it('calls off a long wait, also in its later parts', () => {
    const seen: string[] = []
    const timer = systemClock.after(2 ** 33, () => seen.push('called'))
    vi.advanceTimersByTime(2 ** 32)
    timer.cancel()
    timer.cancel()
    expect([seen, vi.getTimerCount()]).toEqual([[], 0])
  })
})
