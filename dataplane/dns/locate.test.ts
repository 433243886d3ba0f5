import { describe, expect, it } from 'vitest'
import type { DnsAnswer } from './dns-client.ts'
import { Locator, type LookUpHost } from './locate.ts'

const address = (text: string, ttlSeconds = 60): DnsAnswer => ({
  kind: 'Records',
  records: [{ type: text.includes(':') ? 'AAAA' : 'A', name: 'x', ttlSeconds, address: text }],
  ttlSeconds,
})
const service = (target: string, port = 5070, ttlSeconds = 60): DnsAnswer => ({
  kind: 'Records',
  records: [{ type: 'SRV', name: 'x', ttlSeconds, priority: 1, weight: 2, port, target }],
  ttlSeconds,
})
const nothing: DnsAnswer = { kind: 'Nothing', cause: 'NXDOMAIN', ttlSeconds: 40 }
const failed: DnsAnswer = { kind: 'Failed', cause: 'no answer from DNS server', ttlSeconds: 5 }

/** A DNS that says this, and nothing of all else. */
function setUp(says: Readonly<Record<string, DnsAnswer>>, lookUpHost?: LookUpHost) {
  const asked: string[] = []
  const query = async (name: string, type: string) => {
    asked.push(`${type} ${name}`)
    return says[`${type} ${name}`] ?? nothing
  }
  const locator = new Locator({ query }, lookUpHost)
  const locate = (host: string, transport = 'UDP') => locator.locate({ host, transport }, ['IPv4'])
  return { asked, locate, locator }
}

describe('a host without port', () => {
  it.each([
    ['UDP', '_sip._udp', 5060],
    ['TCP', '_sip._tcp', 5060],
    ['TLS', '_sips._tcp', 5061],
    ['WS', '_sip._ws', 80],
    ['WSS', '_sips._ws', 443],
  ])('over %s is asked for as %s, and has port %i without SRV records', async (transport, prefix, port) => {
    const { asked, locate } = setUp({ 'A h.test': address('192.0.2.1') })
    expect((await locate('h.test', transport)).sites).toMatchObject([{ port, addresses: ['192.0.2.1'] }])
    expect(asked).toEqual([`SRV ${prefix}.h.test`, 'A h.test'])
  })

  it('is found by its addresses while the SRV query fails, says so, and is looked up again soon', async () => {
    const { locate } = setUp({ 'SRV _sip._udp.h.test': failed, 'A h.test': address('192.0.2.1', 3600) })
    expect(await locate('h.test')).toEqual({
      sites: [{ priority: 0, weight: 0, port: 5060, addresses: ['192.0.2.1'] }],
      ttlSeconds: 5,
      failure: '_sip._udp.h.test: no answer from DNS server',
    })
  })

  it('that has no SRV records is looked at again when that answer is over, too', async () => {
    expect((await setUp({ 'A h.test': address('192.0.2.1', 3600) }).locate('h.test')).ttlSeconds).toBe(40)
  })

  it('is used for as long as the shortest of its records', async () => {
    const { locate } = setUp({
      'SRV _sip._udp.h.test': service('a.test', 5070, 300),
      'A a.test': address('192.0.2.1', 20),
    })
    expect((await locate('h.test')).ttlSeconds).toBe(20)
  })

  it('whose SRV records name no port has no such service', async () => {
    const { locate } = setUp({ 'SRV _sip._udp.h.test': service('a.test', 0), 'A a.test': address('192.0.2.1') })
    await expect(locate('h.test')).rejects.toMatchObject({ code: 'Gone' })
  })

  it('whose only SRV record names "." is decidedly not served, nor found by its addresses (RFC 2782)', async () => {
    const { locate } = setUp({ 'SRV _sip._udp.h.test': service('', 0), 'A h.test': address('192.0.2.1') })
    await expect(locate('h.test')).rejects.toMatchObject({ code: 'Refused' })
  })

  it('fails as the DNS fails: for now, or since there is no such thing', async () => {
    await expect(setUp({ 'A h.test': failed }).locate('h.test')).rejects.toMatchObject({
      code: 'Failing',
      message: 'h.test has no IPv4 address: no answer from DNS server',
    })
    await expect(setUp({}).locate('h.test')).rejects.toMatchObject({ code: 'Gone' })
  })
})

describe('the operating system', () => {
  it('is asked for the address of a name that the DNS does not have, and for names of one label alone', async () => {
    const hosts: string[] = []
    const lookUpHost: LookUpHost = async (host) => {
      hosts.push(host)
      return ['127.0.0.9']
    }
    const { asked, locate } = setUp({}, lookUpHost)
    expect((await locate('pbx.voice')).sites).toMatchObject([{ port: 5060, addresses: ['127.0.0.9'] }])
    expect((await locate('pbx')).sites).toMatchObject([{ port: 5060, addresses: ['127.0.0.9'] }])
    expect(hosts).toEqual(['pbx.voice', 'pbx'])
    expect(asked).toEqual(['SRV _sip._udp.pbx.voice', 'A pbx.voice'])
  })

  it('that does not know it either leaves it at that', async () => {
    const { locate } = setUp({}, () => Promise.reject(new Error('ENOTFOUND')))
    await expect(locate('pbx')).rejects.toThrow('pbx has no IPv4 address: the system knows none')
  })
})

it('of one host the first 16 addresses of each family are used, for a peer may own the name', async () => {
  const many = (type: 'A' | 'AAAA', prefix: string): DnsAnswer => ({
    kind: 'Records',
    records: Array.from({ length: 60 }, (_, index) => ({
      type,
      name: 'x',
      ttlSeconds: 60,
      address: `${prefix}${index}`,
    })),
    ttlSeconds: 60,
  })
  const { locator } = setUp(
    { 'A h.test': many('A', '198.18.0.'), 'AAAA h.test': many('AAAA', '2001:db8::') },
    async () => Array.from({ length: 60 }, (_, index) => `198.18.1.${index}`),
  )
  const both = (host: string) => locator.locate({ host, port: 5060, transport: 'UDP' }, ['IPv4', 'IPv6'])
  const addresses = (await both('h.test')).sites.flatMap((site) => site.addresses)
  expect(addresses).toHaveLength(32)
  expect(addresses.slice(15, 17)).toEqual(['198.18.0.15', '2001:db8::0'])
  expect((await both('pbx')).sites[0]?.addresses).toHaveLength(16)
})

it('addresses of both families are found where both can be used, also when one is missing', async () => {
  const { locator } = setUp({
    'A h.test': address('192.0.2.1'),
    'AAAA h.test': address('2001:db8::1'),
    'A v4.test': address('192.0.2.4'),
  })
  const both = (host: string) => locator.locate({ host, port: 5060, transport: 'UDP' }, ['IPv4', 'IPv6'])
  expect((await both('h.test')).sites).toMatchObject([{ addresses: ['192.0.2.1', '2001:db8::1'] }])
  expect((await both('v4.test')).sites).toMatchObject([{ addresses: ['192.0.2.4'] }])
})
