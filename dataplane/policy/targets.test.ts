import { describe, expect, it } from 'vitest'
import { arrange, rank } from './targets.ts'

const item = (name: string, priority: number, weight: number) => ({ name, priority, weight })
const names = (items: { name: string }[]) => items.map(({ name }) => name).join('')

describe('the order of targets', () => {
  it('tries all of a lower priority value before any of a higher one', () => {
    expect(names(rank([item('c', 2, 9), item('a', 0, 1), item('b', 1, 9)], () => 0))).toBe('abc')
  })

  it.each([
    [0, 'abc'],
    [0.24, 'abc'],
    [0.26, 'bac'],
    [0.99, 'cba'],
  ])('draws by weight among equals (RFC 2782): %f gives %s', (random, order) => {
    expect(names(rank([item('a', 0, 1), item('b', 0, 2), item('c', 0, 1)], () => random))).toBe(order)
  })

  it('tries weight 0 after all others of its priority', () => {
    expect(names(rank([item('z', 0, 0), item('a', 0, 1), item('b', 1, 1)], () => 0.99))).toBe('azb')
  })

  it('spreads calls by the weights', () => {
    let seed = 1
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647
    let first = 0
    for (let i = 0; i < 10_000; i++) if (rank([item('a', 0, 3), item('b', 0, 1)], random)[0]?.name === 'a') first++
    expect(first).toBeGreaterThan(7_300)
    expect(first).toBeLessThan(7_700)
  })
})

describe('a scheme of hunting', () => {
  const three = [item('a', 0, 1), item('b', 1, 2), item('c', 2, 1)]
  const order = (scheme: Parameters<typeof arrange>[1], random: number, turn: number) =>
    names(arrange(three, scheme, { random: () => random, turn: () => turn }, 'carrier'))

  it.each([
    ['Priority', 0.99, 5, 'abc'],
    ['RoundRobin', 0.99, 0, 'abc'],
    ['RoundRobin', 0.99, 1, 'bca'],
    ['RoundRobin', 0.99, 5, 'cab'],
    ['Weighted', 0.26, 5, 'bac'],
    ['Weighted', 0.99, 5, 'cba'],
    ['Random', 0, 5, 'abc'],
    ['Random', 0.99, 5, 'cba'],
  ] as const)('%s with %f and turn %i gives the order', (scheme, random, turn, expected) => {
    expect(order(scheme, random, turn)).toBe(expected)
  })

  it('of Random spreads calls alike, whatever weights and priorities say', () => {
    let seed = 7
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647
    const firsts = { a: 0, b: 0, c: 0 } as Record<string, number>
    for (let call = 0; call < 9000; call++) {
      const first = arrange(three, 'Random', { random, turn: () => 0 }, 'carrier')[0]?.name ?? ''
      firsts[first] = (firsts[first] ?? 0) + 1
    }
    for (const count of Object.values(firsts)) expect(Math.abs(count - 3000)).toBeLessThan(200)
  })
})
