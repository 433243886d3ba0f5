import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { Overload } from './overload.ts'

/** A process that is busy all the time when it has more calls a second than it can do. */
class Process {
  readonly clock = new ManualClock()
  readonly #capacity: number
  #admitted = 0
  #since = 0
  readonly overload: Overload
  /** Share of its time that something else takes. */
  others = 0

  constructor(capacity: number) {
    this.#capacity = capacity
    this.overload = new Overload(this.clock, () => {
      const seconds = (this.clock.now() - this.#since) / 1000
      const share = Math.min(1, this.others + this.#admitted / seconds / this.#capacity)
      this.#admitted = 0
      this.#since = this.clock.now()
      return share
    })
  }

  /** Offers calls evenly; how many a second were let in. */
  offer(callsPerSecond: number, seconds: number): number {
    let admitted = 0
    for (let call = 0; call < callsPerSecond * seconds; call++) {
      this.clock.advance(1000 / callsPerSecond)
      if (!this.overload.admits()) continue
      this.#admitted++
      admitted++
    }
    return admitted / seconds
  }
}

describe('overload control', () => {
  it('refuses nobody while there is room', () => {
    const process = new Process(1000)
    expect(process.offer(600, 60)).toBe(600)
    expect(process.overload.limiting).toBe(false)
  })

  it('lets in about what can be done when more is offered, and goes on doing so', () => {
    const process = new Process(1000)
    process.offer(1500, 5)
    expect(process.overload.limiting).toBe(true)
    for (let minute = 0; minute < 3; minute++) {
      const admitted = process.offer(1500, 60)
      expect(admitted).toBeGreaterThan(700)
      expect(admitted).toBeLessThan(1050)
    }
  })

  it('refuses nobody a few seconds after it is over', () => {
    const process = new Process(1000)
    process.offer(3000, 20)
    process.offer(300, 3)
    expect(process.offer(300, 10)).toBe(300)
    expect(process.overload.limiting).toBe(false)
  })

  it('lets everybody in again two seconds after something else has stopped keeping the process from working', () => {
    const process = new Process(1000)
    process.others = 1
    process.offer(800, 10)
    expect(process.offer(800, 1)).toBeLessThan(150)
    process.others = 0
    process.offer(800, 2)
    expect(process.offer(800, 10)).toBe(800)
  })

  it('is not alarmed by half a second', () => {
    const process = new Process(1000)
    process.offer(300, 5)
    expect(process.offer(2000, 0.4)).toBe(2000)
    process.offer(300, 1)
    expect(process.overload.limiting).toBe(false)
  })

  it('lets 100 a second in, whatever it is that keeps the process busy', () => {
    const clock = new ManualClock()
    const overload = new Overload(clock, () => 1)
    let admitted = 0
    for (let call = 0; call < 60_000; call++) {
      clock.advance(1)
      if (overload.admits() && call >= 50_000) admitted++
    }
    expect(admitted).toBeGreaterThanOrEqual(990)
    expect(admitted).toBeLessThanOrEqual(1010)
  })

  it('lets a heap of calls in that came while others kept the process from working', () => {
    const clock = new ManualClock()
    const overload = new Overload(clock, () => 1)
    for (let second = 0; second < 10; second++) {
      clock.advance(1000)
      for (let call = 0; call < 20; call++) expect(overload.admits()).toBe(true)
    }
    expect(overload.limiting).toBe(true)
  })
})
