import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import type { Site } from '../dns/locate.ts'
import { Peer } from './peer.ts'
import { HostResolution } from './resolution.ts'
import { listener, settle } from './trunks-fixture.ts'

async function peerAt(...sites: Site[]) {
  const clock = new ManualClock()
  const resolution = new HostResolution({ clock, locate: async () => ({ sites, ttlSeconds: 60 }) })
  const config = { host: 'sip.carrier.example', transport: 'UDP', listener: 'udp' } as const
  const peer = new Peer(config, { clock, resolution, listener: listener(), onChange: () => {} })
  await settle()
  const order = (random: number, favoured?: string) => peer.order(() => random, favoured).map(({ address }) => address)
  const passOver = (address: string) => {
    for (const endpoint of peer.endpoints) if (endpoint.address === address) peer.passOver(endpoint)
  }
  return { clock, order, passOver }
}

const site = (priority: number, ...addresses: string[]): Site => ({ priority, weight: 1, port: 5060, addresses })

describe('the order of the endpoints of a peer', () => {
  it('is drawn by server, and the addresses of one stay together (RFC 2782)', async () => {
    const { order } = await peerAt(site(10, '192.0.2.1', '192.0.2.11'), site(10, '192.0.2.2'), site(20, '192.0.2.3'))
    expect(order(0)).toEqual(['192.0.2.1', '192.0.2.11', '192.0.2.2', '192.0.2.3'])
    expect(order(0.99)).toEqual(['192.0.2.2', '192.0.2.1', '192.0.2.11', '192.0.2.3'])
  })

  it('has those that failed last, better servers included, until their time is over', async () => {
    const { clock, order, passOver } = await peerAt(site(10, '192.0.2.1', '192.0.2.11'), site(20, '192.0.2.3'))
    passOver('192.0.2.1')
    expect(order(0)).toEqual(['192.0.2.11', '192.0.2.3', '192.0.2.1'])
    passOver('192.0.2.11')
    expect(order(0)).toEqual(['192.0.2.3', '192.0.2.1', '192.0.2.11'])
    clock.advance(30_000)
    expect(order(0)).toEqual(['192.0.2.1', '192.0.2.11', '192.0.2.3'])
  })

  it('begins with the favoured one among equals, and with nothing worse', async () => {
    const { order, passOver } = await peerAt(
      site(10, '192.0.2.1'),
      site(10, '192.0.2.2', '192.0.2.22'),
      site(20, '192.0.2.3'),
    )
    expect(order(0, '192.0.2.22:5060')).toEqual(['192.0.2.22', '192.0.2.2', '192.0.2.1', '192.0.2.3'])
    expect(order(0, '192.0.2.3:5060')).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.22', '192.0.2.3'])
    passOver('192.0.2.22')
    expect(order(0, '192.0.2.22:5060')).toEqual(['192.0.2.2', '192.0.2.1', '192.0.2.3', '192.0.2.22'])
    const single = await peerAt(site(0, '192.0.2.1', '192.0.2.2'))
    expect(single.order(0, '192.0.2.2:5060')).toEqual(['192.0.2.2', '192.0.2.1'])
  })
})
