import { expect, it } from 'vitest'
import { glareMilliseconds } from './glare.ts'

it.each([
  ['B', 0, 2100],
  ['B', 0.9999, 4000],
  ['A', 0, 0],
  ['A', 0.9999, 2000],
] as const)('after 491 on leg %s with a draw of %d it is %i ms (RFC 3261 section 14.1)', (side, draw, milliseconds) => {
  expect(glareMilliseconds(side, () => draw)).toBe(milliseconds)
})
