import { expect, it } from 'vitest'
import { huntStep } from './hunting.ts'

it.each([
  [404, false, 'target'],
  [500, false, 'target'],
  [503, false, 'address'],
  [408, true, 'address'],
  [503, true, 'address'],
  [408, false, 'stop'],
  [480, false, 'stop'],
  [486, false, 'stop'],
  [487, false, 'stop'],
  [488, false, 'stop'],
  [302, false, 'stop'],
  [401, false, 'stop'],
  [600, false, 'stop'],
  [603, false, 'stop'],
] as const)('after %i (made up here: %s) hunting goes on at: %s', (status, local, expected) => {
  expect(huntStep({ status, local })).toBe(expected)
})
