import { describe, expect, it } from 'vitest'
import { bareHost, formatHostPort, ipFamily, sameAddress, unmapped } from './address.ts'

describe('addresses', () => {
  it('have a family, or are none', () => {
    expect(['192.0.2.1', '2001:db8::1', '[::1]', 'example.com', ''].map(ipFamily)).toEqual([4, 6, 0, 0, 0])
  })

  it('of IPv6 stand in brackets where a port follows', () => {
    expect(formatHostPort('::1', 5060)).toBe('[::1]:5060')
    expect(formatHostPort('192.0.2.1', 5060)).toBe('192.0.2.1:5060')
    expect(bareHost('[::1]')).toBe('::1')
    expect(bareHost('example.com')).toBe('example.com')
  })

  it('are the same however an IPv6 one is written', () => {
    expect(sameAddress('2001:db8::1', '2001:0DB8:0:0:0:0:0:1')).toBe(true)
    expect(sameAddress('2001:db8::1', '2001:db8::2')).toBe(false)
    expect(sameAddress('192.0.2.1', '192.0.2.10')).toBe(false)
  })

  it('of IPv4 that come mapped into IPv6 are IPv4', () => {
    expect(unmapped('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(unmapped('::ffff:1')).toBe('::ffff:1')
    expect(unmapped('2001:db8::1')).toBe('2001:db8::1')
  })
})
