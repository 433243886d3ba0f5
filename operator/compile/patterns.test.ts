import { describe, expect, it } from 'vitest'
import { patternProblem } from './patterns.ts'

describe('patternProblem', () => {
  it.each(['\\+?[0-9]{4,15}', '(?i)alice|bob', '0[1-9]\\d+', 'a\\\\1'])('takes %s', (pattern) => {
    expect(patternProblem(pattern)).toBeUndefined()
  })

  it.each([
    ['(?=0)[0-9]+', 'look-around'],
    ['(?<!0)[0-9]+', 'look-around'],
    ['([0-9])\\1', 'back-references'],
    ['(?<d>[0-9])\\k<d>', 'back-references'],
    ['((([0-9]{100}){100}){100})', 'add up to 1000'],
    ['+49[0-9]+', 'written \\+'],
    ['[0-9', 'missing closing ]'],
  ])('refuses %s and says why', (pattern, words) => {
    expect(patternProblem(pattern)).toContain(words)
  })
})
