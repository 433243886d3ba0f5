import { describe, expect, it } from 'vitest'
import { selectionOrder } from './selection.ts'

const item = (name: string, priority: number, weight: number) => ({ name, priority, weight })
const names = (items: readonly { name: string }[]) => items.map(({ name }) => name).join('')

/** Numbers in [0, 1) that cover the range evenly. */
function evenly(count: number): () => number {
  let step = 0
  return () => ((step++ * 7919) % count) / count
}

describe('the order of SRV records (RFC 2782)', () => {
  it('has lower priority values first, whatever the weights', () => {
    const items = [item('c', 30, 100), item('a', 10, 0), item('b', 20, 1)]
    for (let turn = 0; turn < 50; turn++) expect(names(selectionOrder(items, Math.random))).toBe('abc')
  })

  it('gives each of one priority its share of the first places', () => {
    const items = [item('a', 0, 1), item('b', 0, 3), item('c', 0, 6)]
    const random = evenly(10_007)
    const firsts = Array.from({ length: 10_007 }, () => selectionOrder(items, random)[0]?.name ?? '')
    const share = (name: string) => firsts.filter((first) => first === name).length / firsts.length
    expect(share('c')).toBeGreaterThan(share('b'))
    expect(share('b')).toBeGreaterThan(share('a'))
  })

  it('puts weight 0 first only when the number drawn is 0, "a very small chance"', () => {
    const items = [item('a', 0, 99), item('z', 0, 0)]
    expect(names(selectionOrder(items, () => 0))).toBe('za')
    expect(names(selectionOrder(items, () => 0.01))).toBe('az')
    expect(names(selectionOrder(items, () => 0.999))).toBe('az')
  })

  it('draws among nothing but zeros too', () => {
    const items = [item('a', 0, 0), item('b', 0, 0)]
    expect(names(selectionOrder(items, () => 0))).toBe('ab')
    expect(names(selectionOrder(items, () => 0.9))).toBe('ba')
  })

  it('keeps everything, once', () => {
    const items = Array.from({ length: 30 }, (_, index) => item(String(index), index % 3, index % 5))
    const order = selectionOrder(items, Math.random)
    expect(new Set(order)).toEqual(new Set(items))
    expect(order).toHaveLength(30)
    expect(selectionOrder([], Math.random)).toEqual([])
  })
})
