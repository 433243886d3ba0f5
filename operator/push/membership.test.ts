import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { Membership } from './membership.ts'

function setUp() {
  const clock = new ManualClock()
  const told: (readonly string[])[] = []
  const membership = new Membership({
    clock,
    graceMilliseconds: 5_000,
    settleMilliseconds: 3_000,
    onChange: (members) => told.push(members),
  })
  return { clock, membership, told }
}

describe('Membership', () => {
  it('waits at first until all expected replicas are there', () => {
    const { membership, told } = setUp()
    membership.expect(2)
    membership.join('b')
    expect(told).toEqual([])
    membership.join('a')
    expect(told).toEqual([['a', 'b']])
  })

  it('waits no longer than the time to settle', () => {
    const { clock, membership, told } = setUp()
    membership.expect(3)
    membership.join('a')
    clock.advance(2_999)
    expect(told).toEqual([])
    clock.advance(1)
    expect(told).toEqual([['a']])
    membership.join('b')
    expect(told).toEqual([['a'], ['a', 'b']])
  })

  it('says nothing when a lost replica is back in time', () => {
    const { clock, membership, told } = setUp()
    membership.expect(2)
    membership.join('a')
    membership.join('b')
    membership.lose('a')
    clock.advance(4_999)
    membership.join('a')
    clock.advance(60_000)
    expect(told).toEqual([['a', 'b']])
    expect(clock.pending).toBe(0)
  })

  it('gives away the work of a replica that stays lost', () => {
    const { clock, membership, told } = setUp()
    membership.expect(2)
    membership.join('a')
    membership.join('b')
    membership.lose('a')
    clock.advance(5_000)
    expect(told.at(-1)).toEqual(['b'])
  })

  it('gives away the work of a replica that leaves, at once', () => {
    const { membership, told } = setUp()
    membership.expect(2)
    membership.join('a')
    membership.join('b')
    membership.leave('b')
    expect(told.at(-1)).toEqual(['a'])
  })

  it('tells a large fleet of many newcomers at once', () => {
    const { clock, membership, told } = setUp()
    const join = (from: number, to: number) => {
      for (let index = from; index < to; index++) membership.join(`edge-${String(index).padStart(3, '0')}`)
    }
    membership.expect(100)
    join(0, 100)
    join(100, 500)
    expect(told.map(({ length }) => length)).toEqual([100])
    clock.advance(80)
    expect(told.map(({ length }) => length)).toEqual([100, 500])
    membership.leave('edge-007')
    clock.advance(480)
    expect(told.map(({ length }) => length)).toEqual([100, 500, 499])
    clock.advance(1_000)
    expect([told.length, clock.pending]).toEqual([3, 0])
  })

  it('leaves no timer behind', () => {
    const { clock, membership } = setUp()
    membership.join('a')
    membership.join('b')
    membership.lose('a')
    membership.stop()
    expect(clock.pending).toBe(0)
  })
})
