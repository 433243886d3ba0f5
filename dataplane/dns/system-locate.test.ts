import { expect, it, onTestFinished } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Quota } from './quota.ts'
import { reply, scriptDns } from './scripted-dns.ts'
import { createLocate, createPeerLocate, limited, parseServer } from './system-locate.ts'

it.each([
  ['192.0.2.53', { address: '192.0.2.53', port: 53 }],
  ['192.0.2.53:5353', { address: '192.0.2.53', port: 5353 }],
  ['2001:db8::53', { address: '2001:db8::53', port: 53 }],
  ['[2001:db8::53]:5353', { address: '2001:db8::53', port: 5353 }],
  ['dns.example', undefined],
  ['192.0.2.53:0', undefined],
  ['192.0.2.53:70000', undefined],
  ['[192.0.2.53]:53', undefined],
  ['', undefined],
])('the DNS server %j is %j', (text, server) => {
  expect(parseServer(text)).toEqual(server)
})

it('a name that the operating system knows needs no DNS server', async () => {
  const { sites, ttlSeconds } = await createLocate(systemClock)({ host: 'localhost', transport: 'UDP' }, ['IPv4'])
  expect(sites).toEqual([{ priority: 0, weight: 0, port: 5060, addresses: ['127.0.0.1'] }])
  expect(ttlSeconds).toBe(30)
})

it('names that peers make up do not keep the names of a configuration waiting', async () => {
  const dns = await scriptDns((query) => {
    const { name = '' } = query.questions?.[0] ?? {}
    if (name.endsWith('silent.test')) return []
    return [reply(query, { answers: [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }] })]
  })
  onTestFinished(() => dns.close())
  const clock = new ManualClock()
  const ofPeers = createPeerLocate(clock, [dns.server])
  const ofTrunks = createLocate(clock, [dns.server])
  const turnedAway = Promise.withResolvers<unknown>()
  for (let index = 0; index < 1000; index++) {
    ofPeers({ host: `a${index}.silent.test`, port: 5060, transport: 'UDP' }, ['IPv4']).catch(turnedAway.resolve)
  }
  const { sites } = await ofTrunks({ host: 'carrier.test', port: 5060, transport: 'UDP' }, ['IPv4'])
  expect(sites).toMatchObject([{ addresses: ['192.0.2.1'] }])
  expect(await turnedAway.promise).toMatchObject({
    code: 'Failing',
    message: expect.stringContaining('too many questions wait for the DNS'),
  })
})

it('names that peers make up reach the operating system in turn, and beyond those that may wait not at all', async () => {
  const system = Promise.withResolvers<string[]>()
  const hosts: string[] = []
  const lookUp = limited(
    (host) => {
      hosts.push(host)
      return system.promise
    },
    new Quota({ atOnce: 1, waiting: 1 }),
  )
  const found = ['a', 'b'].map((host) => lookUp(host, ['IPv4']))
  await expect(lookUp('c', ['IPv4'])).rejects.toThrow('too many names wait for the operating system')
  expect(hosts).toEqual(['a'])
  system.resolve(['192.0.2.1'])
  await Promise.all(found)
  expect(hosts).toEqual(['a', 'b'])
})
