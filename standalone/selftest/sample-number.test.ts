import { expect, it } from 'vitest'
import { sampleNumber } from './sample-number.ts'

it.each([
  [undefined, '+15550123'],
  ['\\+?[0-9]{4,15}', '+15550123'],
  ['[0-9]{7}', '5550123'],
  ['1[0-9]{2}', '100'],
  ['4930[0-9]{5}', '493015550'],
  ['\\+4930[0-9]+', '+49301'],
  ['(?:\\+49|0049)[0-9]{9}', '+49155501234'],
  ['00?49[0-9]+', '004915550123'],
  ['bob', 'bob'],
])('sampleNumber finds a number for %s', (pattern, number) => expect(sampleNumber(pattern)).toBe(number))

it('sampleNumber finds none for what no number is', () =>
  expect(sampleNumber('sales-(east|west)-[a-f]{3}')).toBeUndefined())
