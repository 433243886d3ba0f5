import { expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { type Hunting, huntStep } from './hunting.ts'

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
  expect(huntStep({ status, local }, builtInBehaviour.hunting)).toBe(expected)
})

const hunting = (codes: number[], stopOn: Hunting['stopOn'] = [], timeout = true): Hunting => ({
  scheme: 'Priority',
  huntOn: { codes, timeout },
  stopOn,
})

it.each([
  ['other codes', 480, false, hunting([480]), 'target'],
  ['a code that is not named', 404, false, hunting([480]), 'stop'],
  [
    'a code that stopOn names too (keepalive check 7)',
    404,
    false,
    hunting([404, 500], [{ from: 404, to: 404 }]),
    'stop',
  ],
  ['the last code of a range', 599, false, hunting([500, 599], [{ from: 550, to: 599 }]), 'stop'],
  ['a code before the range', 500, false, hunting([500, 599], [{ from: 550, to: 599 }]), 'target'],
  ['silence, when it is not to', 408, true, hunting([503], [], false), 'stop'],
] as const)('after %s hunting goes on as configured', (_what, status, local, configured, expected) => {
  expect(huntStep({ status, local }, configured)).toBe(expected)
})
