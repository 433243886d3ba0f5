import { describe, expect, it } from 'vitest'
import { didYouMean, nearest } from './nearest.ts'

describe('nearest', () => {
  const fields = ['name', 'host', 'port', 'transport', 'priority', 'weight', 'expiresSeconds']

  it.each([
    ['prot', 'port'],
    ['transprot', 'transport'],
    ['HOST', 'host'],
    ['wieght', 'weight'],
    ['expires', 'expiresSeconds'],
    ['nam', 'name'],
  ])('takes "%s" for "%s"', (word, meant) => {
    expect(nearest(word, fields)).toBe(meant)
  })

  it.each(['x', 'codec', 'completelyDifferent', ''])('has no guess for "%s"', (word) => {
    expect(nearest(word, fields)).toBeUndefined()
  })

  it('prefers few edits over a longer word that contains the mistyped one', () => {
    expect(nearest('port', ['transport', 'ports'])).toBe('ports')
  })

  it('is a phrase to put behind a message, or nothing', () => {
    expect(didYouMean('prot', fields)).toBe('; did you mean "port"?')
    expect(didYouMean('codec', fields)).toBe('')
  })
})
