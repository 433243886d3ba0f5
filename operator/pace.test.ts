import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { Pace } from './pace.ts'

function setUp() {
  const clock = new ManualClock()
  const pace = new Pace(clock)
  const look = (milliseconds: number) => pace.time('voice/edge', async () => clock.advance(milliseconds))
  return { clock, pace, look }
}

describe('Pace', () => {
  it('gathers a burst, and no more, for a fleet that is quick to look at', async () => {
    const { pace, look } = setUp()
    expect(pace.delay('voice/edge')).toBe(20)
    await look(5)
    expect(pace.delay('voice/edge')).toBe(20)
  })

  it('leaves twice as long for others as a look took, up to a second', async () => {
    const { clock, pace, look } = setUp()
    await look(300)
    expect(pace.delay('voice/edge')).toBe(600)
    expect(pace.delay('voice/other')).toBe(20)
    clock.advance(500)
    expect(pace.delay('voice/edge')).toBe(100)
    await look(5_000)
    expect(pace.delay('voice/edge')).toBe(1_000)
  })

  it('counts a look that failed, and forgets a fleet that is gone', async () => {
    const { clock, pace } = setUp()
    const failing = pace.time('voice/edge', async () => {
      clock.advance(100)
      throw new Error('failed')
    })
    await expect(failing).rejects.toThrow('failed')
    expect(pace.delay('voice/edge')).toBe(200)
    pace.forget('voice/edge')
    expect(pace.delay('voice/edge')).toBe(20)
  })
})
