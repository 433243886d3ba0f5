import { describe, expect, it } from 'vitest'
import type { RegistrationConfig } from '#api/snapshot.ts'
import { Secret } from '#lib/secret.ts'
import { findInboundTrunk } from './inbound-trunk.ts'
import { numberOf } from './registered-contact.ts'
import { health, runningConfig, target, trunk } from './testing/configuration.ts'

function account(number: string, contactUser = number): RegistrationConfig {
  return {
    account: 'main',
    registrar: 'primary',
    number,
    contactUser,
    bulk: contactUser === '',
    host: '198.51.100.1',
    port: 5060,
    transport: 'UDP',
    listener: 'udp',
    expiresSeconds: 3600,
    refreshPercent: 80,
    retry: { minSeconds: 5, maxSeconds: 120 },
    username: 'u',
    password: new Secret('p'),
  }
}

const one = (name: string, registrations: RegistrationConfig[]) =>
  trunk({ name, registrations, targets: [target({ name: 'a', host: '198.51.100.1' })] })
const config = runningConfig({
  trunks: [
    one('amber', [account('+15550100')]),
    one('blue', [account('+15550200', 'c0ffee')]),
    one('coral', [account('pbx', '')]),
  ],
  routes: [],
})
const source = { address: '198.51.100.1', port: 5060, listener: 'udp' }

describe('trunks behind one address', () => {
  it.each([
    ['+15550100', 'amber', 'calls the Contact registered by trunk amber'],
    ['c0ffee', 'blue', 'calls the Contact registered by trunk blue'],
    ['+15559999', 'amber', 'taken before blue, coral by name'],
  ])('are told apart by the Contact that is called: %s', (user, expected, because) => {
    const found = findInboundTrunk({ ...source, user }, config, health(config))
    expect(found.trunk?.name).toBe(expected)
    expect(found.because).toContain(because)
  })

  it('are told apart by the port first, which a caller cannot choose as it likes', () => {
    const apart = runningConfig({
      trunks: [
        one('amber', [account('+15550100')]),
        trunk({ name: 'pbx', targets: [target({ name: 'a', host: '198.51.100.1', port: 5080 })] }),
      ],
      routes: [],
    })
    const found = findInboundTrunk({ ...source, port: 5080, user: '+15550100' }, apart, health(apart))
    expect(found.trunk?.name).toBe('pbx')
  })

  it('do not open the door to other addresses, whatever Contact they call (feature item 29.4)', () => {
    const found = findInboundTrunk({ ...source, address: '203.0.113.66', user: 'c0ffee' }, config, health(config))
    expect(found.trunk).toBeUndefined()
  })
})

describe('the number that was dialled', () => {
  it('is that of the account where the Contact hides it, and else what stands in the Request-URI', () => {
    expect(numberOf(config.contacts, 'c0ffee')).toBe('+15550200')
    expect(numberOf(config.contacts, '+15550100')).toBe('+15550100')
    expect(numberOf(config.contacts, '112')).toBe('112')
    expect(numberOf(config.contacts, '')).toBe('')
  })
})
