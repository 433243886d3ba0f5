import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { type FoundEndpoints, type Lookup, Resolver } from './resolver.ts'

function setUp() {
  const clock = new ManualClock()
  const asked: string[] = []
  const waiting: Parameters<Lookup>[1][] = []
  const resolver = new Resolver(clock, ({ host, port, transport }, done) => {
    asked.push(`${host} ${port ?? transport}`)
    waiting.push(done)
  })
  const answer = (found: FoundEndpoints | undefined) => waiting.shift()?.(found)
  return { clock, resolver, asked, answer }
}

function resolve(resolver: Resolver, host: string, port?: number, transport = 'UDP'): string[][] {
  const found: string[][] = []
  resolver.resolve(host, port, transport, (endpoints) =>
    found.push(endpoints.map((endpoint) => `${endpoint.address} ${endpoint.port}`)),
  )
  return found
}

const two: FoundEndpoints = {
  endpoints: [
    { address: '192.0.2.1', port: 5070 },
    { address: '192.0.2.2', port: 5080 },
  ],
  ttlSeconds: 30,
}

describe('the resolver', () => {
  it('gives an address back at once, IPv6 without brackets, at the port of the URI or of the transport', () => {
    const { resolver, asked } = setUp()
    expect(resolve(resolver, '192.0.2.1')).toEqual([['192.0.2.1 5060']])
    expect(resolve(resolver, '[2001:db8::1]', 5070)).toEqual([['2001:db8::1 5070']])
    expect(resolve(resolver, '192.0.2.1', undefined, 'TLS')).toEqual([['192.0.2.1 5061']])
    expect(asked).toEqual([])
  })

  it('asks once for a name, however many wait and however it is written, and remembers it for its TTL', () => {
    const { clock, resolver, asked, answer } = setUp()
    const first = resolve(resolver, 'sip.example')
    const second = resolve(resolver, 'SIP.example')
    answer(two)
    expect([first, second]).toEqual(Array.from({ length: 2 }, () => [['192.0.2.1 5070', '192.0.2.2 5080']]))
    expect(resolve(resolver, 'sip.example')).toHaveLength(1)
    expect(asked).toEqual(['sip.example UDP'])
    clock.advance(30_001)
    expect(resolve(resolver, 'sip.example')).toHaveLength(0)
    expect(asked).toHaveLength(2)
  })

  it('asks apart for another transport, since SRV records differ, and for a port (RFC 3263 §4.2)', () => {
    const { resolver, asked } = setUp()
    resolve(resolver, 'sip.example')
    resolve(resolver, 'sip.example', undefined, 'TLS')
    resolve(resolver, 'sip.example', 5060)
    resolve(resolver, 'sip.example', 5060, 'TCP')
    expect(asked).toEqual(['sip.example UDP', 'sip.example TLS', 'sip.example 5060'])
  })

  it('gives no address for a name that has none, and asks again after 3 s', () => {
    const { clock, resolver, asked, answer } = setUp()
    const found = resolve(resolver, 'nowhere.example')
    answer(undefined)
    expect(found).toEqual([[]])
    expect(resolve(resolver, 'nowhere.example')).toEqual([[]])
    clock.advance(3001)
    resolve(resolver, 'nowhere.example')
    expect(asked).toHaveLength(2)
  })

  it('puts an endpoint that failed last, for half a minute (RFC 3263 §4.3)', () => {
    const { clock, resolver, answer } = setUp()
    resolve(resolver, 'sip.example')
    answer({ ...two, ttlSeconds: 3600 })
    resolver.failed({ address: '192.0.2.1', port: 5070 })
    expect(resolve(resolver, 'sip.example')).toEqual([['192.0.2.2 5080', '192.0.2.1 5070']])
    clock.advance(30_000)
    expect(resolve(resolver, 'sip.example')).toEqual([['192.0.2.1 5070', '192.0.2.2 5080']])
  })
})
