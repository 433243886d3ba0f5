import { expect, it } from 'vitest'
import { ManualClock } from './manual-clock.ts'

it('runs what falls due in order of time, also what was set on the way', () => {
  const clock = new ManualClock()
  const seen: string[] = []
  clock.after(20, () => seen.push(`b ${clock.now()}`))
  clock.after(10, () => {
    seen.push(`a ${clock.now()}`)
    clock.after(5, () => seen.push(`set by a ${clock.now()}`))
  })
  clock.after(30, () => seen.push('cancelled')).cancel()
  clock.advance(25)
  expect(seen).toEqual(['a 10', 'set by a 15', 'b 20'])
  expect(clock.pending).toBe(0)
})
