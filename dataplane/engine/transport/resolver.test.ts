import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { type Lookup, Resolver } from './resolver.ts'

function setUp(): {
  clock: ManualClock
  resolver: Resolver
  asked: string[]
  answer: (error: Error | undefined, addresses: readonly string[]) => void
} {
  const clock = new ManualClock()
  const asked: string[] = []
  const waiting: Parameters<Lookup>[1][] = []
  const resolver = new Resolver(clock, (host, done) => {
    asked.push(host)
    waiting.push(done)
  })
  return { clock, resolver, asked, answer: (error, addresses) => waiting.shift()?.(error, addresses) }
}

function resolve(resolver: Resolver, host: string): string[][] {
  const found: string[][] = []
  resolver.resolve(host, (addresses) => found.push([...addresses]))
  return found
}

describe('the resolver', () => {
  it('gives an address back at once, IPv6 without brackets', () => {
    const { resolver, asked } = setUp()
    expect(resolve(resolver, '192.0.2.1')).toEqual([['192.0.2.1']])
    expect(resolve(resolver, '[2001:db8::1]')).toEqual([['2001:db8::1']])
    expect(asked).toEqual([])
  })

  it('asks once for a name, however many wait and however it is written, and remembers it for 30 s', () => {
    const { clock, resolver, asked, answer } = setUp()
    const first = resolve(resolver, 'sip.example')
    const second = resolve(resolver, 'SIP.example')
    answer(undefined, ['192.0.2.1', '192.0.2.2'])
    expect([first, second]).toEqual([[['192.0.2.1', '192.0.2.2']], [['192.0.2.1', '192.0.2.2']]])
    expect(resolve(resolver, 'sip.example')).toHaveLength(1)
    expect(asked).toEqual(['sip.example'])
    clock.advance(30_001)
    expect(resolve(resolver, 'sip.example')).toHaveLength(0)
    expect(asked).toHaveLength(2)
  })

  it('gives no address for a name that has none, and asks again after 3 s', () => {
    const { clock, resolver, asked, answer } = setUp()
    const found = resolve(resolver, 'nowhere.example')
    answer(new Error('ENOTFOUND'), [])
    expect(found).toEqual([[]])
    expect(resolve(resolver, 'nowhere.example')).toEqual([[]])
    clock.advance(3001)
    resolve(resolver, 'nowhere.example')
    expect(asked).toHaveLength(2)
  })
})
