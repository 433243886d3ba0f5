import { describe, expect, it } from 'vitest'
import { fixedBeginning } from './fixed-beginning.ts'

describe('the fixed beginning of a pattern', () => {
  it.each([
    ['\\+49[0-9]+', '+49'],
    ['^0049.*', '0049'],
    ['\\+?49', ''],
    ['123?', '12'],
    ['123*', '12'],
    ['123{2}', '12'],
    ['123+4', '123'],
    ['12|34', ''],
    ['12(3|4)', '12'],
    ['12[|]3', '12'],
    ['\\d+', ''],
    ['(?i)abc', ''],
    ['alice', 'alice'],
    ['a\\Q(\\E|b', ''],
    ['a\\x41', 'a'],
    ['😀?1', ''],
    ['[]|]a|b', ''],
    ['', ''],
  ])('of %s is %j', (pattern, expected) => {
    expect(fixedBeginning(pattern)).toBe(expected)
  })
})
