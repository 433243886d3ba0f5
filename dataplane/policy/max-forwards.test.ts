import { expect, it } from 'vitest'
import { nextMaxForwards } from './max-forwards.ts'

it.each([
  ['70', 70, 69],
  ['10', 70, 9],
  ['70', 20, 19],
  ['255', 70, 69],
  ['1', 70, 0],
  ['0', 70, undefined],
  [undefined, 70, 69],
  [undefined, 30, 29],
  ['many', 70, 69],
])(
  'Max-Forwards %s under a cap of %i becomes %s (RFC 7332 section 4, RFC 3261 section 16.3)',
  (received, cap, next) => {
    expect(nextMaxForwards(received, cap)).toBe(next)
  },
)
