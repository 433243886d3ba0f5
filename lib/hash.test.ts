import { describe, expect, it } from 'vitest'
import { canonicalJson, contentHash, rendezvousOrder, rendezvousOwner } from './hash.ts'

describe('canonicalJson', () => {
  it('gives equal text for equal content whatever the order of the keys', () => {
    expect(canonicalJson({ b: 1, a: { d: [2, 1], c: null } })).toBe(canonicalJson({ a: { c: null, d: [2, 1] }, b: 1 }))
  })

  it('keeps the order of lists, which means something', () => {
    expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]))
  })
})

describe('contentHash', () => {
  it('is 16 hex digits and differs for different text', () => {
    expect(contentHash('a')).toMatch(/^[0-9a-f]{16}$/)
    expect(contentHash('a')).not.toBe(contentHash('b'))
  })
})

describe('rendezvousOwner', () => {
  const members = ['edge-0', 'edge-1', 'edge-2']
  const keys = Array.from({ length: 300 }, (_, index) => `carrier/account-${index}/primary`)

  it('knows no owner when there is nobody', () => {
    expect(rendezvousOwner('key', [])).toBeUndefined()
  })

  it('does not depend on the order in which members are known', () => {
    for (const key of keys) expect(rendezvousOwner(key, members)).toBe(rendezvousOwner(key, members.toReversed()))
  })

  it('gives each member a fair share', () => {
    for (const member of members) {
      expect(keys.filter((key) => rendezvousOwner(key, members) === member).length).toBeGreaterThan(60)
    }
  })

  it('moves only the keys of the member that leaves', () => {
    const left = members.filter((member) => member !== 'edge-1')
    for (const key of keys) {
      const before = rendezvousOwner(key, members)
      if (before !== 'edge-1') expect(rendezvousOwner(key, left)).toBe(before)
    }
  })
})

describe('rendezvousOrder', () => {
  const members = [
    { name: 'a', weight: 1 },
    { name: 'b', weight: 3 },
    { name: 'c', weight: 0 },
  ]
  const keys = Array.from({ length: 2_000 }, (_, index) => `call-${index}@198.51.100.1`)
  const firsts = (among: typeof members) => keys.map((key) => rendezvousOrder(key, among)[0]?.name)

  it('puts each member first for its share of the keys, and weight 0 last for all', () => {
    const share = firsts(members).filter((name) => name === 'b').length / keys.length
    expect(share).toBeGreaterThan(0.7)
    expect(share).toBeLessThan(0.8)
    for (const key of keys) expect(rendezvousOrder(key, members)[2]?.name).toBe('c')
  })

  it('does not depend on the order in which members are known', () => {
    for (const key of keys) expect(rendezvousOrder(key, members)).toEqual(rendezvousOrder(key, members.toReversed()))
  })

  it('gives the keys of a member that goes away to the next in order, and moves no others', () => {
    for (const key of keys.slice(0, 200)) {
      const [first, ...rest] = rendezvousOrder(key, members)
      expect(
        rendezvousOrder(
          key,
          members.filter((member) => member !== first),
        ),
      ).toEqual(rest)
    }
  })

  it('has an order among members of weight 0, too', () => {
    const idle = ['x', 'y'].map((name) => ({ name, weight: 0 }))
    expect(new Set(keys.map((key) => rendezvousOrder(key, idle)[0]?.name))).toEqual(new Set(['x', 'y']))
  })
})
