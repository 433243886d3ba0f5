import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { Background } from './background.ts'

function setUp(rate = { perSecond: 10, burst: 1 }) {
  const clock = new ManualClock()
  const given: string[] = []
  const background = new Background<{ name: string; at: number }>(clock, rate, ({ name }) => given.push(name))
  return { clock, given, background }
}

describe('work in the background', () => {
  it('is given out at its rate, what was done longest ago first', () => {
    const { clock, given, background } = setUp()
    for (const [name, at] of [
      ['a', -1],
      ['b', -3],
      ['c', -2],
      ['d', -Infinity],
    ] as const)
      background.add({ name, at }, 0)
    expect(given).toEqual(['a'])
    clock.advance(100)
    expect(given).toEqual(['a', 'd'])
    clock.advance(200)
    expect(given).toEqual(['a', 'd', 'b', 'c'])
    expect(clock.pending).toBe(0)
  })

  it('is not given out before its time, and does not hold up what may be', () => {
    const { clock, given, background } = setUp()
    background.add({ name: 'later', at: 0 }, 5_000)
    background.add({ name: 'now', at: 0 }, 0)
    expect(given).toEqual(['now'])
    clock.advance(4_999)
    expect(given).toEqual(['now'])
    clock.advance(1)
    expect(given).toEqual(['now', 'later'])
  })

  it('comes earlier when that is asked for, and not at all when it is taken back', () => {
    const { clock, given, background } = setUp()
    const [earlier, never] = [
      { name: 'earlier', at: 0 },
      { name: 'never', at: 0 },
    ]
    background.add(earlier, 5_000)
    background.add(never, 5_000)
    background.add(earlier, 1_000)
    background.remove(never)
    clock.advance(1_000)
    expect(given).toEqual(['earlier'])
    clock.advance(10_000)
    expect(given).toEqual(['earlier'])
    background.add(never, 60_000)
    background.stop()
    expect(clock.pending).toBe(0)
  })
})
