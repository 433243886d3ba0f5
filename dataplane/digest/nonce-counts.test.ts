import { describe, expect, it } from 'vitest'
import { NonceCounts } from './nonce-counts.ts'

describe('the counts of a nonce', () => {
  it('are taken once each (RFC 7616 section 3.4)', () => {
    const counts = new NonceCounts(0)
    expect([counts.take('n', 5, 1), counts.take('n', 5, 1), counts.take('n', 5, 2), counts.take('n', 5, 2)]).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  it('may come in another order, as far as can be remembered', () => {
    const counts = new NonceCounts(0)
    const taken = (count: number) => counts.take('n', 5, count)
    expect([40, 39, 40, 9, 9, 8, 10].map(taken)).toEqual([true, true, false, true, false, false, true])
  })

  it('agree with a memory of all of them, within the window', () => {
    const counts = new NonceCounts(0)
    const all = new Set<number>()
    let highest = 0
    let seed = 7
    for (let round = 0; round < 5000; round++) {
      seed = (seed * 1103515245 + 12345) % 2 ** 31
      const count = Math.max(1, highest - 20 + (seed % 60))
      const expected = !all.has(count) && count > highest - 32
      expect(counts.take('n', 5, count)).toBe(expected || (highest === 0 && !all.has(count)))
      all.add(count)
      highest = Math.max(highest, count)
    }
  })

  it('are counted apart for each nonce, up to the highest there is', () => {
    const counts = new NonceCounts(0)
    expect([counts.take('a', 5, 0xffffffff), counts.take('b', 5, 1), counts.take('a', 5, 0xffffffff)]).toEqual([
      true,
      true,
      false,
    ])
  })

  it('of nonces made before this process are refused, since one before it may have taken them', () => {
    const counts = new NonceCounts(1000)
    expect([counts.take('old', 999, 1), counts.take('new', 1000, 1)]).toEqual([false, true])
  })

  it('take bounded memory: what was forgotten is refused, and so is what is as old and was never seen', () => {
    const counts = new NonceCounts(0, 3)
    for (const [index, nonce] of ['a', 'b', 'c', 'd'].entries()) expect(counts.take(nonce, 10 + index, 1)).toBe(true)
    expect(counts.size).toBe(3)
    expect([counts.take('a', 10, 2), counts.take('never seen', 10, 1)]).toEqual([false, false])
    expect([counts.take('b', 11, 2), counts.take('never seen', 11, 1)]).toEqual([true, true])
  })

  it('are forgotten when the nonce is too old', () => {
    const counts = new NonceCounts(0)
    counts.take('a', 10, 1)
    counts.take('b', 20, 1)
    counts.forget(15)
    expect([counts.size, counts.knows('a', 10), counts.take('b', 20, 2)]).toEqual([1, false, true])
  })
})
