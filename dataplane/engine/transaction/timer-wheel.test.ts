import { describe, expect, it } from 'vitest'
import type { Timer } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { type TimerTarget, TimerWheel } from './timer-wheel.ts'

function setUp(): { clock: ManualClock; wheel: TimerWheel; fired: string[]; target: TimerTarget } {
  const clock = new ManualClock()
  const fired: string[] = []
  const target = { onTimer: (event: string) => void fired.push(`${event} at ${clock.now()}`) }
  return { clock, wheel: new TimerWheel(clock), fired, target }
}

describe('the timer wheel', () => {
  it('wakes a target once, never early and at most one slot late', () => {
    const { clock, wheel, fired, target } = setUp()
    clock.advance(3)
    wheel.start(500, target, 'a')
    clock.advance(499)
    expect(fired).toEqual([])
    clock.advance(60_000)
    expect(fired).toEqual(['a at 510'])
  })

  it('wakes in the order of time, and in the order of starting within one slot', () => {
    const { clock, wheel, fired, target } = setUp()
    wheel.start(30, target, 'late')
    wheel.start(10, target, 'first')
    wheel.start(8, target, 'second')
    clock.advance(100)
    expect(fired).toEqual(['first at 10', 'second at 10', 'late at 30'])
  })

  it('does not wake what was cancelled, before or by another timer of the same slot', () => {
    const { clock, wheel, fired, target } = setUp()
    const victims = [wheel.start(10, target, 'x')]
    wheel.cancel(victims[0])
    wheel.cancel(victims[0])
    wheel.start(20, { onTimer: () => victims.forEach((victim) => wheel.cancel(victim)) }, 'killer')
    victims.push(wheel.start(20, target, 'victim'), wheel.start(20, target, 'victim'))
    wheel.start(20, target, 'survivor')
    clock.advance(50)
    expect(fired).toEqual(['survivor at 20'])
    expect(wheel.count).toBe(0)
  })

  it('holds timers of more than a turn of its 40.96 s, beside those of this turn', () => {
    const { clock, wheel, fired, target } = setUp()
    wheel.start(600_000, target, 'ten minutes')
    wheel.start(600_000 % 40_960, target, 'this turn')
    clock.advance(599_999)
    expect(fired).toEqual([`this turn at ${600_000 % 40_960}`])
    clock.advance(1)
    expect(fired).toHaveLength(2)
  })

  it('runs everything that is due after the clock has jumped', () => {
    let now = 0
    let wake: () => void = () => {}
    const after = (_milliseconds: number, run: () => void): Timer => {
      wake = run
      return { cancel() {} }
    }
    const wheel = new TimerWheel({ now: () => now, wallTime: () => 0, after })
    const fired: string[] = []
    const target = { onTimer: (event: string) => void fired.push(event) }
    for (const milliseconds of [10, 5000, 40_000, 50_000]) wheel.start(milliseconds, target, String(milliseconds))
    now = 200_000
    wake()
    expect(fired.toSorted()).toEqual(['10', '40000', '5000', '50000'].toSorted())
  })

  it('starts timers from timers', () => {
    const { clock, wheel, fired } = setUp()
    const target: TimerTarget = {
      onTimer(event) {
        fired.push(`${event} at ${clock.now()}`)
        if (fired.length < 4) wheel.start(0, target, 'again')
      },
    }
    wheel.start(5, target, 'first')
    clock.advance(100)
    expect(fired).toEqual(['first at 10', 'again at 20', 'again at 30', 'again at 40'])
  })

  it('has no timer on the clock when it holds none, and after it was stopped', () => {
    const { clock, wheel, fired, target } = setUp()
    wheel.cancel(wheel.start(100, target, 'a'))
    expect(clock.pending).toBe(0)
    wheel.start(100, target, 'b')
    expect(clock.pending).toBe(1)
    wheel.stop()
    wheel.start(100, target, 'c')
    clock.advance(1000)
    expect(clock.pending).toBe(0)
    expect(fired).toEqual([])
  })

  it('goes on when a target throws', () => {
    const { clock, wheel, fired, target } = setUp()
    wheel.start(
      10,
      {
        onTimer() {
          throw new Error('of the target')
        },
      },
      'bad',
    )
    wheel.start(20, target, 'good')
    expect(() => clock.advance(15)).toThrow('of the target')
    clock.advance(100)
    expect(fired).toEqual(['good at 20'])
  })

  it('fires each of 10,000 random timers at its own time', () => {
    const { clock, wheel } = setUp()
    let seed = 42
    const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
    let wrong = 0
    let fired = 0
    for (let number = 0; number < 10_000; number++) {
      const due = clock.now() + Math.floor(random() * 90_000)
      const timer = wheel.start(
        due - clock.now(),
        {
          onTimer() {
            fired++
            if (clock.now() < due || clock.now() > due + 20) wrong++
          },
        },
        '',
      )
      if (number % 3 === 0) wheel.cancel(timer)
      if (number % 10 === 0) clock.advance(Math.floor(random() * 20))
    }
    clock.advance(100_000)
    expect(wrong).toBe(0)
    expect(fired).toBe(6666)
    expect(wheel.count).toBe(0)
  })
})
