import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { canonicalAddress, dnsResolve, HostResolution, type Resolved } from './resolution.ts'
import { settle } from './trunks-fixture.ts'

/** A DNS whose next answer the test sets; failures are thrown as the code given. */
function scripted(first: Resolved | string) {
  const dns = { answer: first, asked: [] as string[] }
  const clock = new ManualClock()
  const resolution = new HostResolution({
    clock,
    resolve: async (host, family) => {
      dns.asked.push(`${host} ${family}`)
      if (typeof dns.answer === 'string') throw Object.assign(new Error('lookup failed'), { code: dns.answer })
      return dns.answer
    },
  })
  return { dns, clock, resolution }
}

const found = (ttlSeconds: number, ...addresses: string[]): Resolved => ({ addresses, ttlSeconds })

describe('a literal address', () => {
  it('is there at once, in canonical form, and nobody is asked', () => {
    const { dns, clock, resolution } = scripted('EUNUSED')
    expect(resolution.watch('192.0.2.1', 'IPv4', () => {})).toMatchObject({ addresses: ['192.0.2.1'], settled: true })
    expect(resolution.watch('2001:DB8:0:0::1', 'IPv6', () => {}).addresses).toEqual(['2001:db8::1'])
    expect(dns.asked).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('of the other family than its listener is no address', () => {
    const { resolution } = scripted('EUNUSED')
    const watch = resolution.watch('192.0.2.1', 'IPv6', () => {})
    expect(watch).toMatchObject({ addresses: [], settled: true })
    expect(watch.failure).toBe('192.0.2.1 is not an IPv6 address, as its listener is')
  })
})

describe('a name', () => {
  it.each([
    { ttl: 60, waits: 60 },
    { ttl: 0, waits: 5 },
    { ttl: 86_400, waits: 3600 },
  ])('with a TTL of $ttl s is looked up again after $waits s', async ({ ttl, waits }) => {
    const { dns, clock, resolution } = scripted(found(ttl, '192.0.2.1'))
    resolution.watch('sip.carrier.example', 'IPv4', () => {})
    await settle()
    clock.advance(waits * 1000 - 1)
    expect(dns.asked).toHaveLength(1)
    clock.advance(1)
    expect(dns.asked).toEqual(['sip.carrier.example IPv4', 'sip.carrier.example IPv4'])
  })

  it('tells a change, and only a change', async () => {
    const { dns, clock, resolution } = scripted(found(60, '192.0.2.1', '192.0.2.2'))
    let told = 0
    const watch = resolution.watch('sip.carrier.example', 'IPv4', () => told++)
    expect(watch).toMatchObject({ addresses: [], settled: false })
    await settle()
    expect([told, watch.addresses]).toEqual([1, ['192.0.2.1', '192.0.2.2']])
    clock.advance(60_000)
    await settle()
    expect(told).toBe(1)
    dns.answer = found(60, '192.0.2.2')
    clock.advance(60_000)
    await settle()
    expect([told, watch.addresses]).toEqual([2, ['192.0.2.2']])
  })

  it('keeps its last good addresses while the DNS fails, says so, and asks after 5 s, 10 s … 60 s', async () => {
    const { dns, clock, resolution } = scripted(found(60, '192.0.2.1'))
    const watch = resolution.watch('sip.carrier.example', 'IPv4', () => {})
    await settle()
    dns.answer = 'ETIMEOUT'
    clock.advance(60_000)
    await settle()
    expect(watch.addresses).toEqual(['192.0.2.1'])
    expect(watch.failure).toBe('sip.carrier.example has no IPv4 address: ETIMEOUT')
    for (const seconds of [5, 10, 20, 40, 60, 60]) {
      const before = dns.asked.length
      clock.advance(seconds * 1000 - 1)
      expect(dns.asked).toHaveLength(before)
      clock.advance(1)
      await settle()
      expect(dns.asked).toHaveLength(before + 1)
    }
    dns.answer = found(60, '192.0.2.9')
    clock.advance(60_000)
    await settle()
    expect(watch).toMatchObject({ addresses: ['192.0.2.9'], failure: undefined })
    dns.answer = 'ETIMEOUT'
    clock.advance(60_000)
    await settle()
    const before = dns.asked.length
    clock.advance(5000)
    expect(dns.asked).toHaveLength(before + 1)
  })

  it('that exists without an address counts as a failure', async () => {
    const { resolution } = scripted(found(60))
    const watch = resolution.watch('sip.carrier.example', 'IPv4', () => {})
    await settle()
    expect(watch.failure).toBe('sip.carrier.example has no IPv4 address: no address')
  })

  it('with very many addresses keeps the first 16', async () => {
    const many = Array.from({ length: 40 }, (_, index) => `192.0.2.${index}`)
    const { resolution } = scripted(found(60, ...many))
    const watch = resolution.watch('sip.carrier.example', 'IPv4', () => {})
    await settle()
    expect(watch.addresses).toEqual(many.slice(0, 16))
  })

  it('that several watch is looked up once, until the last one stops', async () => {
    const { dns, clock, resolution } = scripted(found(60, '192.0.2.1'))
    const one = resolution.watch('sip.carrier.example', 'IPv4', () => {})
    const two = resolution.watch('SIP.carrier.example', 'IPv4', () => {})
    await settle()
    expect(dns.asked).toHaveLength(1)
    one.stop()
    clock.advance(60_000)
    await settle()
    expect(dns.asked).toHaveLength(2)
    two.stop()
    two.stop()
    expect(clock.pending).toBe(0)
  })

  it('that nobody watches any more when its answer comes is forgotten', async () => {
    const { clock, resolution } = scripted(found(60, '192.0.2.1'))
    let told = 0
    resolution.watch('sip.carrier.example', 'IPv4', () => told++).stop()
    await settle()
    expect([told, clock.pending]).toEqual([0, 0])
  })

  it('that the operating system knows resolves without a DNS server', async () => {
    const { addresses, ttlSeconds } = await dnsResolve()('localhost', 'IPv4')
    expect(addresses).toContain('127.0.0.1')
    expect(ttlSeconds).toBe(30)
  })
})

describe('the canonical form', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:0DB8:0000::A', '2001:db8::a'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['not an address: at all', 'not an address: at all'],
  ])('of %s is %s', (address, canonical) => {
    expect(canonicalAddress(address)).toBe(canonical)
  })
})
