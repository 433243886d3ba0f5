import { describe, expect, it } from 'vitest'
import { holdsName } from '../message/domain-name.ts'
import { certifiedAddresses, sipDomains } from './peer-name.ts'

function certificate(subjectaltname?: string, CN?: string) {
  return { ...(subjectaltname !== undefined && { subjectaltname }), subject: { CN } } as Parameters<
    typeof sipDomains
  >[0]
}

describe('the SIP domains of a certificate (RFC 5922 §7.1)', () => {
  it.each([
    ['a sip: URI without a user', 'URI:sip:Example.com', undefined, ['example.com']],
    ['a sip: URI rather than a DNS name', 'DNS:host.example.com, URI:sip:example.com', undefined, ['example.com']],
    ['no URI of a person, and no other scheme', 'URI:sip:a@b.example, URI:sips:c.example', undefined, []],
    [
      'every DNS name where there is no sip: URI',
      'DNS:a.example, URI:http://x, DNS:b.example',
      undefined,
      ['a.example', 'b.example'],
    ],
    ['no CN beside a subjectAltName', 'DNS:a.example', 'b.example', ['a.example']],
    ['the CN where there is no subjectAltName', undefined, 'B.example', ['b.example']],
    ['no name of a certificate without any', undefined, undefined, []],
    // Node quotes values that would look like several: CVE-2021-44532.
    ['a quoted value as one name', 'DNS:"a.example, DNS:evil.example"', undefined, ['a.example, dns:evil.example']],
    ['what stands after a quoted value', 'DNS:"x\\"y", DNS:b.example', undefined, ['x"y', 'b.example']],
  ])('are %s', (_what, alternatives, commonName, domains) => {
    expect(sipDomains(certificate(alternatives, commonName))).toEqual(domains)
  })

  it('are no IP addresses, which stand apart', () => {
    const shown = certificate('IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, DNS:a.example')
    expect(sipDomains(shown)).toEqual(['a.example'])
    expect(certifiedAddresses(shown)).toEqual(['192.0.2.1', '2001:db8::1'])
  })
})

describe('comparing names (RFC 5922 §7.2)', () => {
  it.each([
    ['CARRIER.example.', true],
    ['sip.carrier.example', false],
    ['example', false],
  ])('%s and carrier.example: %s', (name, same) => {
    expect(holdsName(['carrier.example'], [name])).toBe(same)
  })

  it('matches no wildcard', () => {
    expect(holdsName(['*.carrier.example', '*'], ['sip.carrier.example'])).toBe(false)
  })
})
