import { expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { PenaltyBox } from './penalty-box.ts'

it('holds an endpoint for 30 s, twice as long with every further failure, up to ten minutes', () => {
  const clock = new ManualClock()
  const box = new PenaltyBox(clock)
  for (const seconds of [30, 60, 120, 240, 480, 600, 600]) {
    box.fail('192.0.2.1:5060')
    clock.advance(seconds * 1000 - 1)
    expect(box.holds('192.0.2.1:5060')).toBe(true)
    clock.advance(1)
    expect(box.holds('192.0.2.1:5060')).toBe(false)
  }
  box.fail('192.0.2.1:5060')
  box.succeed('192.0.2.1:5060')
  expect(box.holds('192.0.2.1:5060')).toBe(false)
  box.fail('192.0.2.1:5060')
  clock.advance(30_000)
  expect(box.holds('192.0.2.1:5060')).toBe(false)
})

it('holds it for as long as Retry-After says, where that is longer (RFC 3261 section 21.5.4)', () => {
  const clock = new ManualClock()
  const box = new PenaltyBox(clock)
  box.fail('192.0.2.1:5060', 120)
  clock.advance(119_999)
  expect(box.holds('192.0.2.1:5060')).toBe(true)
  clock.advance(1)
  expect(box.holds('192.0.2.1:5060')).toBe(false)
})

it('does not grow with names that come and go', () => {
  const box = new PenaltyBox(new ManualClock())
  for (let count = 0; count < 1000; count++) box.fail(`192.0.2.1:${count}`)
  expect(Array.from({ length: 1000 }, (_, count) => box.holds(`192.0.2.1:${count}`)).filter(Boolean)).toHaveLength(64)
})
