import { describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import { admitSource, findInboundTrunk } from './inbound-trunk.ts'
import { health, listener, runningConfig, target, trunk } from './testing/configuration.ts'

const config = runningConfig({
  listeners: [listener({ name: 'udp' }), listener({ name: 'outside', port: 5080 })],
  trunks: [
    trunk({ name: 'pbx', targets: [target({ name: 'a', host: '192.0.2.10' })], allowedSources: ['10.0.0.0/8'] }),
    trunk({ name: 'lab', allowedSources: ['10.1.0.0/16', '192.0.2.10'] }),
    trunk({ name: 'lab-2', allowedSources: ['10.1.0.0/16'] }),
    trunk({ name: 'east', listeners: ['outside'], targets: [target({ name: 'a', host: '127.0.0.1', port: 5090 })] }),
    trunk({ name: 'west', listeners: ['outside'], targets: [target({ name: 'a', host: '127.0.0.1', port: 5070 })] }),
    trunk({ name: 'v6', allowedSources: ['2001:db8::/32'] }),
  ],
  routes: [],
})

describe('the trunk a source belongs to', () => {
  it.each([
    ['the address of a target comes before any block', '192.0.2.10', 5060, 'udp', 'pbx'],
    ['the longest block wins; the same block goes to the first by name', '10.1.2.3', 5060, 'udp', 'lab'],
    ['a shorter block takes the rest', '10.2.2.3', 5060, 'udp', 'pbx'],
    ['the port tells apart two trunks at one address', '127.0.0.1', 5070, 'outside', 'west'],
    ['an unknown port there goes to the first by name', '127.0.0.1', 40000, 'outside', 'east'],
    ['a trunk counts only on its own listeners', '127.0.0.1', 5070, 'udp', undefined],
    ['blocks count only on the listeners of their trunk', '10.1.2.3', 5060, 'outside', undefined],
    ['IPv4 in IPv6 clothes is IPv4', '::ffff:10.2.2.3', 5060, 'udp', 'pbx'],
    ['IPv6 blocks', '2001:db8:1::1', 5060, 'udp', 'v6'],
    ['anybody else is nobody', '203.0.113.1', 5060, 'udp', undefined],
  ])('%s', (_case, address, port, listenerName, expected) => {
    const source = { address, port, listener: listenerName }
    expect(findInboundTrunk(source, config, health(config)).trunk?.name).toBe(expected)
    const running = { current: config, onChange: () => {} }
    expect(admitSource(running, health(config), source)).toBe(expected !== undefined)
  })

  it('says what it overlaps with', () => {
    const source = { address: '10.1.2.3', port: 5060, listener: 'udp' }
    expect(findInboundTrunk(source, config, health(config)).because).toBe(
      '10.1.2.3 port 5060 on listener udp is in the allowed sources of trunk lab, taken before lab-2 by name',
    )
  })

  it.each([
    ['with a certificate for its trunk, by the host of a target', '192.0.2.20', ['sip.carrier.example'], true],
    ['with one for a name that the trunk allows', '192.0.2.20', ['carrier.example'], true],
    ['with any certificate, where the trunk has no names', '192.0.2.21', ['whoever.example'], true],
    ['with one for somebody else', '192.0.2.20', ['pbx.example'], false],
    ['with one for a name below (RFC 5922 section 7.2)', '192.0.2.20', ['a.carrier.example'], false],
    ['without a certificate', '192.0.2.21', [], false],
    ['of no trunk, with a certificate', '192.0.2.99', ['carrier.example'], false],
  ])('on a listener that asks for certificates, a source %s: %s', (_who, address, certified, expected) => {
    const minVersion = 'TLSv1.2'
    const tls = { certificate: '', key: new Secret(''), others: [], clientAuthorities: 'any' }
    const secured = runningConfig({
      listeners: [listener({ name: 'tls', transport: 'TLS', tls: { ...tls, minVersion } })],
      trunks: [
        trunk({
          name: 'carrier',
          listeners: ['tls'],
          targets: [target({ name: 'a', host: 'sip.carrier.example', transport: 'TLS', listener: 'tls' })],
          allowedSources: ['192.0.2.20'],
          tls: { verify: true, allowedNames: ['carrier.example'], minVersion },
        }),
        trunk({ name: 'by-address', listeners: ['tls'], allowedSources: ['192.0.2.21'] }),
      ],
      routes: [],
    })
    const source = { address, port: 40000, listener: 'tls', names: certified }
    const running = { current: secured, onChange: () => {} }
    expect(admitSource(running, health(secured), source)).toBe(expected)
  })

  it('admits nobody before the first configuration', () => {
    const source = { address: '192.0.2.10', port: 5060, listener: 'udp' }
    expect(admitSource({ current: undefined, onChange: () => {} }, health(config), source)).toBe(false)
  })
})
