import { describe, expect, it } from 'vitest'
import { canonicalBlock, canonicalHost, familyOf } from './address.ts'

describe('canonicalBlock', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1'],
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['2001:db8::1/128', '2001:db8::1'],
    ['2001:db8:1:2:3:4:5:6/33', '2001:db8::/33'],
    ['::/0', '::/0'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ])('spells %s as %s', (text, canonical) => {
    expect(canonicalBlock(text)).toBe(canonical)
  })

  it.each(['999.1.1.1', '192.0.2.0/33', '1.2.3', '2001:db8::/129', '::1::2', 'sip.example', '', '192.0.2.1/x'])(
    'does not take "%s"',
    (text) => {
      expect(canonicalBlock(text)).toBeUndefined()
    },
  )
})

describe('hosts', () => {
  it('are equal whatever their case, closing dot or spelling of zeros', () => {
    expect(canonicalHost('SIP.Carrier.example.')).toBe(canonicalHost('sip.carrier.example'))
    expect(canonicalHost('2001:db8:0::1')).toBe(canonicalHost('2001:DB8::1'))
  })

  it('have a family only when they are addresses', () => {
    expect(familyOf('192.0.2.1')).toBe('IPv4')
    expect(familyOf('::1')).toBe('IPv6')
    expect(familyOf('sip.example')).toBeUndefined()
  })
})
