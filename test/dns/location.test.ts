import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { DnsClient } from '../../dataplane/dns/dns-client.ts'
import type { DnsServer } from '../../dataplane/dns/exchange.ts'
import { Locator, type Sought } from '../../dataplane/dns/locate.ts'
import { selectionOrder } from '../../dataplane/dns/selection.ts'
import { startKnot } from './knot.ts'

const many = Array.from({ length: 200 }, (_, index) => `many 60 A 192.0.2.${index + 1}`)

/** TTLs as a carrier has them; `srv` leads to two sites and a spare, `pointed` by NAPTR to a name of another making. */
const records = [
  '_sip._udp.srv 60 SRV 10 60 5060 one',
  '_sip._udp.srv 60 SRV 10 20 5070 two',
  '_sip._udp.srv 60 SRV 20 0 5080 three',
  'one 60 A 192.0.2.1',
  'one 60 A 192.0.2.11',
  'two 60 A 192.0.2.2',
  'three 60 A 192.0.2.3',
  '_sips._tcp.srv 60 SRV 0 0 5061 two',
  'plain 60 A 192.0.2.9',
  'plain 60 AAAA 2001:db8::9',
  '_sip._udp.refuses 60 SRV 0 0 0 .',
  'refuses 60 A 192.0.2.10',
  'pointed 60 NAPTR 20 10 "s" "SIP+D2U" "" _late._udp',
  'pointed 60 NAPTR 10 20 "s" "SIP+D2U" "" _second._udp',
  'pointed 60 NAPTR 10 10 "s" "SIP+D2U" "" _first._udp',
  'pointed 60 NAPTR 10 5 "s" "SIP+D2T" "" _other._tcp',
  'pointed 60 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:info@carrier.test!" .',
  '_second._udp 60 SRV 0 0 5062 two',
  '_late._udp 60 SRV 0 0 5063 three',
  '_sip._udp.pointed 60 SRV 0 0 5064 one',
  '_sip._udp.alias 60 CNAME step',
  'step 60 CNAME _sip._udp.srv',
  '_sip._udp.half 60 SRV 0 1 5060 one',
  '_sip._udp.half 60 SRV 0 1 5060 nobody',
  '_sip._udp.void 60 SRV 0 1 5060 nobody',
  'loop 60 CNAME pool',
  'pool 60 CNAME loop',
  ...many,
]

function locator(server: DnsServer, clock = new ManualClock()) {
  const dns = new DnsClient({ clock, servers: [server], randomId: () => randomInt(65_536) })
  const located = new Locator(dns)
  const locate = (sought: Partial<Sought>) =>
    located.locate({ host: 'srv.carrier.test', transport: 'UDP', ...sought }, ['IPv4'])
  return { clock, locate, both: (host: string) => located.locate({ host, transport: 'UDP' }, ['IPv4', 'IPv6']) }
}

describe.skipIf(!inject('peers').knotd)('servers that a real DNS server names', () => {
  let knot: Awaited<ReturnType<typeof startKnot>>
  beforeAll(async () => {
    knot = await startKnot(records)
  })
  afterAll(() => knot.close())

  it('by SRV records when no port is given, with their ports and addresses (RFC 3263 §4.2)', async () => {
    const { sites, ttlSeconds } = await locator(knot.server).locate({})
    expect(sites).toEqual([
      { priority: 10, weight: 60, port: 5060, addresses: ['192.0.2.1', '192.0.2.11'] },
      { priority: 10, weight: 20, port: 5070, addresses: ['192.0.2.2'] },
      { priority: 20, weight: 0, port: 5080, addresses: ['192.0.2.3'] },
    ])
    expect(ttlSeconds).toBe(60)
  })

  it('in shares of their weights, and a higher priority value last (RFC 2782)', async () => {
    const { sites } = await locator(knot.server).locate({})
    const firsts = Array.from({ length: 4000 }, () => selectionOrder(sites, Math.random).map(({ port }) => port))
    expect(firsts.every((ports) => ports[2] === 5080)).toBe(true)
    const share = firsts.filter(([first]) => first === 5060).length / firsts.length
    // Three quarters; six standard deviations of 4,000 draws are 0.041.
    expect(Math.abs(share - 0.75)).toBeLessThan(0.045)
  })

  it('by SRV records of the transport: TLS asks for _sips._tcp (feature item 1, check 5)', async () => {
    expect((await locator(knot.server).locate({ transport: 'TLS' })).sites).toMatchObject([
      { port: 5061, addresses: ['192.0.2.2'] },
    ])
  })

  it('by address records alone when a port is given, whatever SRV records there are (RFC 3263 §4.2)', async () => {
    await expect(locator(knot.server).locate({ port: 5061, transport: 'TLS' })).rejects.toThrow(
      'srv.carrier.test has no IPv4 address: NODATA',
    )
    expect((await locator(knot.server).locate({ host: 'one.carrier.test', port: 5099 })).sites).toMatchObject([
      { port: 5099, addresses: ['192.0.2.1', '192.0.2.11'] },
    ])
  })

  it('by address records at the default port where there are no SRV records (RFC 3263 §4.2)', async () => {
    expect((await locator(knot.server).locate({ host: 'plain.carrier.test' })).sites).toMatchObject([
      { port: 5060, addresses: ['192.0.2.9'] },
    ])
    expect((await locator(knot.server).locate({ host: 'plain.carrier.test', transport: 'TLS' })).sites).toMatchObject([
      { port: 5061 },
    ])
    expect((await locator(knot.server).both('plain.carrier.test')).sites).toMatchObject([
      { addresses: ['192.0.2.9', '2001:db8::9'] },
    ])
  })

  it('none, when the SRV record says that there is no such service (RFC 2782)', async () => {
    await expect(locator(knot.server).locate({ host: 'refuses.carrier.test' })).rejects.toThrow(
      '_sip._udp.refuses.carrier.test says that there is no such service',
    )
  })

  it('by NAPTR records in order and preference, of the transport, where they are wanted (RFC 3263 §4.1)', async () => {
    const host = 'pointed.carrier.test'
    // The first of them names nothing, so that the next is taken.
    expect((await locator(knot.server).locate({ host, naptr: true })).sites).toMatchObject([{ port: 5062 }])
    expect((await locator(knot.server).locate({ host })).sites).toMatchObject([{ port: 5064 }])
    expect((await locator(knot.server).locate({ naptr: true })).sites).toHaveLength(3)
  })

  it('through aliases', async () => {
    expect((await locator(knot.server).locate({ host: 'alias.carrier.test' })).sites).toHaveLength(3)
    await expect(locator(knot.server).locate({ host: 'loop.carrier.test', port: 5060 })).rejects.toThrow(
      'loop.carrier.test has no IPv4 address',
    )
  })

  it('as far as they have addresses, and says which has none', async () => {
    const { sites, failure } = await locator(knot.server).locate({ host: 'half.carrier.test' })
    expect(sites).toMatchObject([{ addresses: ['192.0.2.1', '192.0.2.11'] }])
    expect(failure).toBe('nobody.carrier.test has no IPv4 address: NXDOMAIN')
    await expect(locator(knot.server).locate({ host: 'void.carrier.test' })).rejects.toThrow(
      'nobody.carrier.test has no IPv4 address: NXDOMAIN',
    )
  })

  it('more than fit into a packet, over TCP, and the first 16 are used', async () => {
    const { sites } = await locator(knot.server, undefined).locate({ host: 'many.carrier.test', port: 5060 })
    expect(sites[0]?.addresses).toHaveLength(16)
  })

  it('of an address are that address, without a question', async () => {
    const { locate } = locator({ address: '127.0.0.1', port: 9 })
    expect((await locate({ host: '192.0.2.77' })).sites).toMatchObject([{ port: 5060, addresses: ['192.0.2.77'] }])
    expect((await locate({ host: '2001:db8::1', port: 5071 })).sites).toMatchObject([{ port: 5071 }])
  })

  it('keep one answer for its TTL and have the change after it; the DNS dead, the last good one is kept for a day', async () => {
    const moving = await startKnot(['_sip._udp.srv 20 SRV 0 0 5060 one', 'one 60 A 192.0.2.1'])
    const { clock, locate } = locator(moving.server)
    expect(await locate({})).toMatchObject({ sites: [{ port: 5060 }], ttlSeconds: 20 })
    await moving.change(['_sip._udp.srv 20 SRV 0 0 5090 one', 'one 60 A 192.0.2.1'])
    clock.advance(19_000)
    expect(await locate({})).toMatchObject({ sites: [{ port: 5060 }], ttlSeconds: 1 })
    clock.advance(1000)
    expect(await locate({})).toMatchObject({ sites: [{ port: 5090 }], ttlSeconds: 20 })
    await moving.close()
    clock.advance(3_600_000)
    const stale = await locate({})
    expect(stale).toMatchObject({ sites: [{ port: 5090, addresses: ['192.0.2.1'] }], ttlSeconds: 30 })
    expect(stale.failure).toContain('ECONNREFUSED')
    clock.advance(86_400_000)
    await expect(locate({})).rejects.toMatchObject({ code: 'Failing' })
  })

  it('are no more when the DNS says so, after the time that the zone gives for it (RFC 2308)', async () => {
    const moving = await startKnot(['one 60 A 192.0.2.1'])
    const { clock, locate } = locator(moving.server)
    const here = { host: 'one.carrier.test', port: 5060 }
    await locate(here)
    await moving.change([])
    clock.advance(60_000)
    await expect(locate(here)).rejects.toMatchObject({ code: 'Gone' })
    await moving.change(['one 60 A 192.0.2.2'])
    clock.advance(59_000)
    await expect(locate(here)).rejects.toMatchObject({ code: 'Gone' })
    clock.advance(1000)
    expect((await locate(here)).sites).toMatchObject([{ addresses: ['192.0.2.2'] }])
    await moving.close()
  })

  it('are found by the next server when the first is dead', async () => {
    const clock = systemClock
    const servers = [{ address: '127.0.0.1', port: 9 }, knot.server]
    const dns = new DnsClient({ clock, servers, randomId: () => randomInt(65_536) })
    expect(
      (await new Locator(dns).locate({ host: 'srv.carrier.test', transport: 'UDP' }, ['IPv4'])).sites,
    ).toHaveLength(3)
  })
})
