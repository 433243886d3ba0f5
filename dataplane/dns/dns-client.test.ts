import { once } from 'node:events'
import { createServer } from 'node:net'
import { decode } from 'dns-packet'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { DnsClient } from './dns-client.ts'
import type { Limits } from './quota.ts'
import { type Reply, reply, type Script, scriptDns } from './scripted-dns.ts'

const address = { type: 'A', name: 'one.carrier.test', ttl: 60, data: '192.0.2.1' } as const
const alias = (name: string, data: string) => ({ type: 'CNAME', name, ttl: 20, data }) as const

async function setUp(...scripts: Script[]) {
  return setUpWithin(undefined, ...scripts)
}

async function setUpWithin(limits: Limits | undefined, ...scripts: Script[]) {
  const servers = await Promise.all(scripts.map(scriptDns))
  onTestFinished(async () => void (await Promise.all(servers.map((one) => one.close()))))
  const clock = new ManualClock()
  let id = 100
  const dns = new DnsClient({ clock, servers: servers.map(({ server }) => server), randomId: () => id++, limits })
  return { clock, dns, servers, ask: () => dns.query('one.carrier.test', 'A') }
}

const always =
  (...replies: Reply[]): Script =>
  (query) =>
    replies.map((one) => reply(query, one))
const silent: Script = () => []

describe('an answer', () => {
  it('counts only with the ID and the question of the query (RFC 5452 §9.1)', async () => {
    const forged = { ...address, data: '203.0.113.66' }
    const { ask } = await setUp((query) => [
      reply(query, { answers: [forged], id: (query.id ?? 0) + 1 }),
      reply(query, { answers: [forged], name: 'two.carrier.test' }),
      Buffer.from('neither'),
      reply(query, { answers: [address] }),
    ])
    expect(await ask()).toMatchObject({ kind: 'Records', records: [{ address: '192.0.2.1' }] })
  })

  it('is asked for once, however many want it and however they write it', async () => {
    const { dns, servers } = await setUp(always({ answers: [address] }))
    await Promise.all([dns.query('one.carrier.test', 'A'), dns.query('ONE.carrier.test.', 'A')])
    await dns.query('One.Carrier.test', 'A')
    expect(servers[0]?.asked).toEqual(['A one.carrier.test'])
  })

  it.each([
    { ttl: 0, seconds: 5 },
    { ttl: 100, seconds: 100 },
    { ttl: 86_400, seconds: 3600 },
    { ttl: 2 ** 31 + 5, seconds: 5 },
  ])('with a TTL of $ttl s is used for $seconds s', async ({ ttl, seconds }) => {
    const { clock, ask, servers } = await setUp(always({ answers: [{ ...address, ttl }] }))
    expect(await ask()).toMatchObject({ ttlSeconds: seconds })
    clock.advance(seconds * 1000 - 1)
    await ask()
    expect(servers[0]?.asked).toHaveLength(1)
    clock.advance(1)
    await ask()
    expect(servers[0]?.asked).toHaveLength(2)
  })

  it('is kept up to its 64th record, however many a zone has', async () => {
    const answers = Array.from({ length: 70 }, (_, index) => ({ ...address, name: 'm', data: `198.18.0.${index}` }))
    const { dns } = await setUp(always({ answers }))
    const answer = await dns.query('m', 'A')
    expect(answer.kind === 'Records' && answer.records).toHaveLength(64)
  })

  it('that ends with an alias is followed by a question for what it names, and lives as long as the shortest', async () => {
    const { ask, servers } = await setUp((query) => [
      query.questions?.[0]?.name === 'one.carrier.test'
        ? reply(query, { answers: [alias('one.carrier.test', 'two.carrier.test')] })
        : reply(query, { answers: [{ ...address, name: 'two.carrier.test' }] }),
    ])
    expect(await ask()).toMatchObject({ kind: 'Records', records: [{ address: '192.0.2.1' }], ttlSeconds: 20 })
    expect(servers[0]?.asked).toEqual(['A one.carrier.test', 'A two.carrier.test'])
  })

  it('of aliases without end is none', async () => {
    let serial = 0
    const { ask } = await setUp((query) => {
      const { name = '' } = query.questions?.[0] ?? {}
      return [reply(query, { answers: [alias(name, `a${++serial}.carrier.test`)] })]
    })
    expect(await ask()).toMatchObject({ kind: 'Failed', cause: 'more than 8 aliases' })
  })

  it('that there is nothing lives as long as the zone says, at least 5 s (RFC 2308 §5)', async () => {
    const soa = { mname: 'ns', rname: 'h', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 40 }
    const authorities = [{ type: 'SOA', name: 'carrier.test', ttl: 90, data: soa }] as const
    const withSoa = await setUp(always({ rcode: 3, authorities }))
    expect(await withSoa.ask()).toEqual({ kind: 'Nothing', cause: 'NXDOMAIN', ttlSeconds: 40 })
    const without = await setUp(always({}))
    expect(await without.ask()).toEqual({ kind: 'Nothing', cause: 'NODATA', ttlSeconds: 5 })
  })
})

describe('a server that', () => {
  it.each([
    { does: 'answers SERVFAIL', script: always({ rcode: 2 }), cause: 'answered SERVFAIL' },
    { does: 'answers REFUSED', script: always({ rcode: 5 }), cause: 'answered REFUSED' },
    {
      does: 'sends garbage under the right ID',
      script: (query) => [
        Buffer.concat([reply(query, {}).subarray(0, 2), Buffer.from('8180ffffffffffffffff01', 'hex')]),
      ],
      cause: 'answered malformed',
    },
  ] satisfies { does: string; script: Script; cause: string }[])(
    '$does: the next is asked',
    async ({ script, cause }) => {
      const { ask, servers } = await setUp(script, always({ answers: [address] }))
      expect(await ask()).toMatchObject({ kind: 'Records' })
      expect(servers.map(({ asked }) => asked.length)).toEqual([1, 1])
      const alone = await setUp(script)
      expect(await alone.ask()).toMatchObject({ kind: 'Failed', cause: expect.stringContaining(cause) })
      expect(alone.servers[0]?.asked).toHaveLength(2)
    },
  )

  it('cannot be sent to is passed over for the next', async () => {
    const { clock, servers } = await setUp(always({ answers: [address] }))
    const broadcast = { address: '255.255.255.255', port: 53 }
    const dns = new DnsClient({
      clock,
      servers: [broadcast, ...servers.map(({ server }) => server)],
      randomId: () => 1,
    })
    expect(await dns.query('one.carrier.test', 'A')).toMatchObject({ kind: 'Records' })
    const alone = new DnsClient({ clock, servers: [broadcast], randomId: () => 1 })
    expect(await alone.query('one.carrier.test', 'A')).toMatchObject({
      kind: 'Failed',
      cause: expect.stringContaining('EACCES'),
    })
  })

  it('is silent costs 2 s once: the one that answered is asked first from then on', async () => {
    const { clock, dns, ask, servers } = await setUp(silent, always({ answers: [address] }))
    const asked = servers[0]?.next()
    const answer = ask()
    await asked
    clock.advance(2000)
    expect(await answer).toMatchObject({ kind: 'Records' })
    expect(await dns.query('two.carrier.test', 'A')).toMatchObject({ kind: 'Nothing' })
    expect(servers.map((one) => one.asked)).toEqual([
      ['A one.carrier.test'],
      ['A one.carrier.test', 'A two.carrier.test'],
    ])
  })

  it('is the only one and silent is asked twice, and not again for 5 s', async () => {
    const { clock, ask, servers } = await setUp(silent)
    for (const attempt of [1, 2]) {
      const asked = servers[0]?.next()
      const answer = attempt === 1 ? ask() : undefined
      await asked
      clock.advance(2000)
      void answer
    }
    expect(await ask()).toMatchObject({ kind: 'Failed', cause: expect.stringContaining('no answer from DNS server') })
    clock.advance(4999)
    await ask()
    expect(servers[0]?.asked).toHaveLength(2)
  })

  it('does not know EDNS is asked without (RFC 6891 §7)', async () => {
    const { ask, servers } = await setUp((query) => [
      (query.additionals ?? []).length > 0 ? reply(query, { rcode: 1 }) : reply(query, { answers: [address] }),
    ])
    expect(await ask()).toMatchObject({ kind: 'Records' })
    expect(servers[0]?.asked).toHaveLength(2)
  })

  it('truncates and takes no TCP has no answer', async () => {
    const { ask } = await setUp((query) => {
      const packet = reply(query, {})
      packet.writeUInt16BE(packet.readUInt16BE(2) | 0x0200, 2)
      return [packet]
    })
    expect(await ask()).toMatchObject({ kind: 'Failed', cause: expect.stringContaining('ECONNREFUSED') })
  })
})

it('an answer that is truncated over TCP as well is a failure, and the last good one is kept', async () => {
  let isTruncated = false
  const script: Script = (query) => {
    const packet = reply(query, { answers: isTruncated ? [] : [address] })
    if (isTruncated) packet.writeUInt16BE(packet.readUInt16BE(2) | 0x0200, 2)
    return [packet]
  }
  const { clock, ask, servers } = await setUp(script)
  const tcp = createServer((socket) => {
    socket.on('data', (data) => {
      for (const packet of script(decode(data.subarray(2))))
        socket.write(Buffer.concat([Buffer.from([packet.length >> 8, packet.length & 255]), packet]))
    })
  })
  tcp.listen(servers[0]?.server.port, '127.0.0.1')
  await once(tcp, 'listening')
  onTestFinished(() => void tcp.close())
  expect(await ask()).toMatchObject({ kind: 'Records' })
  isTruncated = true
  clock.advance(60_000)
  expect(await ask()).toMatchObject({
    kind: 'Records',
    records: [{ address: '192.0.2.1' }],
    stale: expect.stringContaining('truncated over TCP'),
  })
})

describe('a name', () => {
  it.each(['', 'a..b', `${'x'.repeat(64)}.test`, `${'abcdefg.'.repeat(32)}test`, 'bad name.test', 'ümlaut.test'])(
    'that no DNS can have is not asked for: %j',
    async (name) => {
      const { dns, servers } = await setUp(silent)
      expect(await dns.query(name, 'A')).toMatchObject({ kind: 'Failed', cause: 'not a domain name' })
      expect(servers[0]?.asked).toEqual([])
    },
  )

  it('of many is asked for beside at most 127 others, and all have their answers', async () => {
    const { dns, servers } = await setUp(always({ answers: [] }))
    const names = Array.from({ length: 600 }, (_, index) => `n${index}.carrier.test`)
    const answers = await Promise.all(names.map((name) => dns.query(name, 'A')))
    expect(answers.every(({ kind }) => kind === 'Nothing')).toBe(true)
    expect(servers[0]?.asked).toHaveLength(600)
  })

  it('that was not used for longest is forgotten, when more are known than may be kept', async () => {
    const { clock, servers } = await setUp(always({ answers: [] }))
    const dns = new DnsClient({ clock, servers: servers.map(({ server }) => server), randomId: () => 1, entries: 2 })
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await dns.query(name, 'A')
    expect(servers[0]?.asked).toEqual(['A a', 'A b', 'A c', 'A b'])
  })

  it('beyond those that may wait fails at once, and is asked for when there is room again', async () => {
    const { clock, dns, servers } = await setUpWithin({ atOnce: 1, waiting: 1 }, (query) =>
      query.questions?.[0]?.name === 'silent.test' ? [] : [reply(query, { answers: [address] })],
    )
    const first = await dns.query('one.carrier.test', 'A')
    expect(first).toMatchObject({ kind: 'Records' })
    clock.advance(60_000)
    let asked = servers[0]?.next()
    const silence = dns.query('silent.test', 'A')
    const waits = dns.query('two.test', 'A')
    const shares = dns.query('two.test', 'A')
    const cause = 'too many questions wait for the DNS'
    expect(await dns.query('three.test', 'A')).toMatchObject({ kind: 'Failed', cause })
    expect(await dns.query('one.carrier.test', 'A')).toMatchObject({ kind: 'Records', stale: cause })
    await asked
    asked = servers[0]?.next()
    clock.advance(2000)
    await asked
    clock.advance(2000)
    expect(await silence).toMatchObject({ kind: 'Failed' })
    expect((await Promise.all([waits, shares])).map(({ kind }) => kind)).toEqual(['Nothing', 'Nothing'])
    expect(await dns.query('three.test', 'A')).toMatchObject({ kind: 'Nothing' })
    const again = await dns.query('one.carrier.test', 'A')
    expect(again.kind === 'Records' && again.stale).toBeUndefined()
  })

  it('cannot be asked for without servers', async () => {
    const dns = new DnsClient({ clock: systemClock, servers: [], randomId: () => 1 })
    expect(await dns.query('one.carrier.test', 'A')).toMatchObject({ kind: 'Failed', cause: 'there is no DNS server' })
  })
})
