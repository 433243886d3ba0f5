import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { type Located, LocateError, type Sought } from '../dns/locate.ts'
import { canonicalAddress, HostResolution, type HostWatch } from './resolution.ts'
import { settle } from './trunks-fixture.ts'

/** A DNS whose next answer the test sets; failures are thrown. */
function scripted(first: Located | LocateError) {
  const dns = { answer: first, asked: [] as string[] }
  const clock = new ManualClock()
  const resolution = new HostResolution({
    clock,
    locate: async ({ host }, families) => {
      dns.asked.push(`${host} ${families.join()}`)
      if (dns.answer instanceof Error) throw dns.answer
      return dns.answer
    },
  })
  const watch = (sought: Partial<Sought> = {}, onChange = () => {}) =>
    resolution.watch({ host: 'sip.carrier.example', transport: 'UDP', ...sought }, 'IPv4', onChange)
  return { dns, clock, resolution, watch }
}

const found = (ttlSeconds: number, ...addresses: string[]): Located => ({
  sites: [{ priority: 0, weight: 0, port: 5060, addresses }],
  ttlSeconds,
})
const silence = new LocateError('Failing', 'sip.carrier.example has no IPv4 address: ETIMEOUT')
const gone = new LocateError('Gone', 'sip.carrier.example has no IPv4 address: NXDOMAIN')
const addresses = (watch: HostWatch) => watch.endpoints.map(({ address }) => address)

describe('a literal address', () => {
  it('is there at once, in canonical form, and nobody is asked', () => {
    const { dns, clock, resolution, watch } = scripted(silence)
    expect(watch({ host: '192.0.2.1' })).toMatchObject({ endpoints: [{ name: '192.0.2.1:5060' }], settled: true })
    const sixth = resolution.watch({ host: '2001:DB8:0:0::1', port: 5070, transport: 'UDP' }, 'IPv6', () => {})
    expect(sixth.endpoints).toEqual([{ address: '2001:db8::1', port: 5070, name: '[2001:db8::1]:5070' }])
    expect(dns.asked).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('of the other family than its listener is no address', () => {
    const { resolution } = scripted(silence)
    const watch = resolution.watch({ host: '192.0.2.1', transport: 'UDP' }, 'IPv6', () => {})
    expect(watch).toMatchObject({ endpoints: [], settled: true })
    expect(watch.failure).toBe('192.0.2.1 is not an IPv6 address, as its listener is')
  })
})

describe('a name', () => {
  it.each([
    { ttl: 60, waits: 60 },
    { ttl: 0, waits: 1 },
    { ttl: 86_400, waits: 3600 },
  ])('with a TTL of $ttl s is looked up again after $waits s', async ({ ttl, waits }) => {
    const { dns, clock, watch } = scripted(found(ttl, '192.0.2.1'))
    watch()
    await settle()
    clock.advance(waits * 1000 - 1)
    expect(dns.asked).toHaveLength(1)
    clock.advance(1)
    expect(dns.asked).toEqual(['sip.carrier.example IPv4', 'sip.carrier.example IPv4'])
  })

  it('tells a change, and only a change', async () => {
    const { dns, clock, watch } = scripted(found(60, '192.0.2.1', '192.0.2.2'))
    let told = 0
    const watched = watch({}, () => told++)
    expect(watched).toMatchObject({ endpoints: [], settled: false })
    await settle()
    expect([told, addresses(watched)]).toEqual([1, ['192.0.2.1', '192.0.2.2']])
    clock.advance(60_000)
    await settle()
    expect(told).toBe(1)
    dns.answer = found(60, '192.0.2.2')
    clock.advance(60_000)
    await settle()
    expect([told, addresses(watched)]).toEqual([2, ['192.0.2.2']])
  })

  it('keeps its last good servers while the DNS says nothing, says so, and asks after 5 s, 10 s … 60 s', async () => {
    const { dns, clock, watch } = scripted(found(60, '192.0.2.1'))
    const watched = watch()
    await settle()
    dns.answer = silence
    clock.advance(60_000)
    await settle()
    expect(addresses(watched)).toEqual(['192.0.2.1'])
    expect(watched.failure).toBe('sip.carrier.example has no IPv4 address: ETIMEOUT')
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
    expect([addresses(watched), watched.failure]).toEqual([['192.0.2.9'], undefined])
    dns.answer = silence
    clock.advance(60_000)
    await settle()
    const before = dns.asked.length
    clock.advance(5000)
    expect(dns.asked).toHaveLength(before + 1)
  })

  it.each([
    { says: 'nothing', error: silence, minutes: 24 * 60 },
    { says: 'that there is none', error: gone, minutes: 5 },
  ])('is given up $minutes min after the DNS began to say $says', async ({ error, minutes }) => {
    const { dns, clock, watch } = scripted(found(5, '192.0.2.1'))
    const watched = watch()
    await settle()
    dns.answer = error
    const advance = async (seconds: number) => {
      for (let left = seconds; left > 0; left -= 5) {
        clock.advance(5000)
        await settle()
      }
    }
    await advance(minutes * 60 - 65)
    expect(addresses(watched)).toEqual(['192.0.2.1'])
    await advance(135)
    expect(watched.endpoints).toEqual([])
    expect(watched.failure).toBe(error.message)
  })

  it('without servers is looked up when a call wants one, once a second at most', async () => {
    const { dns, clock, watch } = scripted(silence)
    let told = 0
    const watched = watch({}, () => told++)
    watched.hasten()
    await settle()
    clock.advance(5000)
    await settle()
    expect(dns.asked).toHaveLength(2)
    clock.advance(999)
    watched.hasten()
    expect(dns.asked).toHaveLength(2)
    dns.answer = found(60, '192.0.2.1')
    clock.advance(1)
    watched.hasten()
    watched.hasten()
    await settle()
    expect([dns.asked.length, addresses(watched), told]).toEqual([3, ['192.0.2.1'], 2])
    clock.advance(59_999)
    watched.hasten()
    expect([dns.asked.length, clock.pending]).toEqual([3, 1])
  })

  it('whose service is decidedly not available has no servers from then on (RFC 2782)', async () => {
    const { dns, clock, watch } = scripted(found(60, '192.0.2.1'))
    const watched = watch()
    await settle()
    dns.answer = new LocateError('Refused', '_sip._udp.sip.carrier.example says that there is no such service')
    clock.advance(60_000)
    await settle()
    expect([addresses(watched), watched.failure]).toEqual([[], dns.answer.message])
  })

  it('keeps what the DNS tells in part, and says what it did not tell', async () => {
    const { watch } = scripted({
      ...found(60, '192.0.2.1'),
      failure: 'two.carrier.example has no IPv4 address: ETIMEOUT',
    })
    const watched = watch()
    await settle()
    expect(addresses(watched)).toEqual(['192.0.2.1'])
    expect(watched.failure).toBe('two.carrier.example has no IPv4 address: ETIMEOUT')
  })

  it('that exists without an address counts as a failure', async () => {
    const { watch } = scripted(found(60))
    const watched = watch()
    await settle()
    expect(watched.failure).toBe('no address')
  })

  it('has its servers in the order of their priorities, each endpoint once, and 16 at most', async () => {
    const site = (priority: number, port: number, ...list: string[]) => ({ priority, weight: 1, port, addresses: list })
    const many = Array.from({ length: 40 }, (_, index) => `192.0.2.${index}`)
    const { watch } = scripted({
      sites: [site(20, 5060, ...many), site(10, 5070, '192.0.2.1'), site(10, 5060, '192.0.2.1')],
      ttlSeconds: 60,
    })
    const watched = watch()
    await settle()
    expect(watched.endpoints.slice(0, 3).map(({ name }) => name)).toEqual([
      '192.0.2.1:5070',
      '192.0.2.1:5060',
      '192.0.2.0:5060',
    ])
    expect(watched.endpoints).toHaveLength(16)
    expect(new Set(watched.endpoints.map(({ name }) => name)).size).toBe(16)
  })

  it('that several watch is looked up once, until the last one stops', async () => {
    const { dns, clock, watch } = scripted(found(60, '192.0.2.1'))
    const one = watch()
    const two = watch({ host: 'SIP.carrier.example' })
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

  it('is another one for another transport or with NAPTR, since SRV records differ, but not with a port', async () => {
    const { dns, watch } = scripted(found(60, '192.0.2.1'))
    watch()
    watch({ transport: 'TCP' })
    watch({ naptr: true })
    watch({ port: 5060 })
    watch({ port: 5060, transport: 'TCP' })
    await settle()
    expect(dns.asked).toHaveLength(4)
  })

  it('that nobody watches any more when its answer comes is forgotten', async () => {
    const { clock, watch } = scripted(found(60, '192.0.2.1'))
    let told = 0
    watch({}, () => told++).stop()
    await settle()
    expect([told, clock.pending]).toEqual([0, 0])
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
