import { expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { createLocate, parseServer } from './system-locate.ts'

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
