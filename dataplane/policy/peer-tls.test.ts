import { describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import { tlsTowards } from './peer-tls.ts'
import { listener, runningConfig, target, trunk } from './testing/configuration.ts'

const own = { certificate: 'own certificate', key: new Secret('own key'), others: [], minVersion: 'TLSv1.2' as const }
const config = runningConfig({
  routes: [],
  listeners: [listener({ name: 'tls', transport: 'TLS', port: 5061, tls: own })],
  trunks: [
    trunk({
      name: 'carrier',
      listeners: ['tls'],
      targets: [target({ name: 'a', host: 'sip.carrier.example', port: 5061, transport: 'TLS', listener: 'tls' })],
      tls: {
        verify: true,
        authorities: 'authorities of the carrier',
        allowedNames: ['carrier.example'],
        credentials: { certificate: 'ours for the carrier', key: new Secret('our key') },
        minVersion: 'TLSv1.3',
      },
    }),
    trunk({
      name: 'pbx',
      listeners: ['tls'],
      targets: [target({ name: 'a', host: '192.0.2.7', port: 5061, transport: 'TLS', listener: 'tls' })],
      tls: { verify: false, serverName: 'pbx.example', allowedNames: [], minVersion: 'TLSv1.2' },
    }),
  ],
})
const health = {
  trunksAt: (address: string) =>
    address === '192.0.2.1' ? [{ trunk: 'carrier', host: 'sip.carrier.example', port: 5061 }] : [],
} as unknown as TrunkHealth

const towards = (host: string, address: string, port = 5061) =>
  tlsTowards({ listener: 'tls', host, address, port }, config, health)

const ofCarrier = {
  identity: 'carrier sip.carrier.example',
  serverName: 'sip.carrier.example',
  verify: true,
  authorities: 'authorities of the carrier',
  names: ['sip.carrier.example', 'carrier.example'],
  credentials: { certificate: 'ours for the carrier', key: 'our key' },
  minVersion: 'TLSv1.3',
}

describe('what is asked of a TLS peer', () => {
  it.each([
    ['by the host of the URI', towards('SIP.carrier.example', '192.0.2.99')],
    ['by the address, as inside a dialog', towards('192.0.2.1', '192.0.2.1')],
    ['by the address alone, where its Contact has another port', towards('192.0.2.1', '192.0.2.1', 5099)],
  ])('is what its trunk says, which is found %s', (_how, asked) => {
    expect(asked).toEqual(ofCarrier)
  })

  it('of a target that is an address is its serverName, with the certificate of the listener', () => {
    expect(towards('192.0.2.7', '192.0.2.7')).toEqual({
      identity: 'pbx pbx.example',
      serverName: 'pbx.example',
      verify: false,
      authorities: undefined,
      names: ['pbx.example'],
      credentials: { certificate: 'own certificate', key: 'own key' },
      minVersion: 'TLSv1.2',
    })
  })

  it('of a peer of no trunk is a certificate of a public authority for the host of the URI', () => {
    expect(towards('elsewhere.example', '198.51.100.1')).toMatchObject({
      verify: true,
      authorities: undefined,
      names: ['elsewhere.example'],
    })
  })

  it('of a trunk on another listener is what is asked of anybody', () => {
    const asked = tlsTowards(
      { listener: 'other', host: 'sip.carrier.example', address: '192.0.2.1', port: 5061 },
      config,
      health,
    )
    expect(asked).toMatchObject({ authorities: undefined, names: ['sip.carrier.example'] })
  })
})
