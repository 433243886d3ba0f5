import { expect, it } from 'vitest'
import type { FoundEndpoints } from '../engine/transport/resolver.ts'
import type { Site } from './locate.ts'
import { nextHopLookup } from './next-hop-lookup.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

it('a name has at most 16 endpoints of each family, those to be tried first', async () => {
  const sites = numbers(10).map<Site>((site) => ({
    priority: site,
    weight: 0,
    port: 5060,
    addresses: [...numbers(6).map((host) => `192.0.${site}.${host}`), `2001:db8::${site}`],
  }))
  const lookUp = nextHopLookup(async () => ({ sites, ttlSeconds: 60 }), Math.random)
  const { promise, resolve } = Promise.withResolvers<FoundEndpoints | undefined>()
  lookUp({ host: 'sip.test', port: undefined, transport: 'UDP' }, resolve)
  const addresses = (await promise)?.endpoints.map(({ address }) => address) ?? []
  expect(addresses.filter((address) => !address.includes(':'))).toEqual(
    sites.flatMap((site) => site.addresses.slice(0, 6)).slice(0, 16),
  )
  expect(addresses.filter((address) => address.includes(':'))).toHaveLength(10)
  expect(addresses.slice(5, 8)).toEqual(['192.0.0.5', '2001:db8::0', '192.0.1.0'])
})
