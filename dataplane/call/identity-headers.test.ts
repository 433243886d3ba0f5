import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { parseUri } from '../engine/message/uri.ts'
import { readMessage } from '../engine/message/parse.ts'
import { listener, target } from '../policy/testing/configuration.ts'
import { callingNumber, callingUser, contactAt, identityHeaders, nextHop, targetUri } from './identity-headers.ts'

function attempt(fields: Partial<Parameters<typeof target>[0]> = {}) {
  return {
    route: 'out',
    trunk: 'carrier',
    target: target({ name: 'a', host: 'sip.carrier.example', ...fields }),
    address: '198.51.100.1',
    port: fields.port ?? 5060,
    listener: listener({ name: 'udp' }),
    sip: builtInBehaviour,
  }
}

function invite(lines: readonly string[]) {
  const result = readMessage(
    [
      'INVITE sip:b@h SIP/2.0',
      'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
      'Call-ID: c',
      'CSeq: 1 INVITE',
      ...lines,
      '',
      '',
    ].join('\r\n'),
  )
  if (!result.ok) throw new Error(result.reason)
  return result.message
}

describe('the Request-URI at a target', () => {
  it.each([
    ['sip:2000@10.0.0.1:5060', {}, 'sip:2000@sip.carrier.example'],
    ['sip:+49%3289@h;user=phone;maddr=10.0.0.1', {}, 'sip:+49%3289@sip.carrier.example;user=phone'],
    ['tel:+15550100;phone-context=x', {}, 'sip:+15550100@sip.carrier.example;user=phone'],
    // The number keeps what is said of it, and loses the domain and the trunk group of the caller's side (RFC 4904).
    [
      'sip:+15550100;npdi;rn=+15551;tgrp=tg1;trunk-context=pbx.corp;phone-context=pbx.corp@h',
      {},
      'sip:+15550100;npdi;rn=+15551@sip.carrier.example',
    ],
    ['sip:alice;day=tuesday@h', {}, 'sip:alice;day=tuesday@sip.carrier.example'],
    ['sip:2000@h?Subject=x', { port: 5080 }, 'sip:2000@sip.carrier.example:5080'],
    ['sip:2000@h;transport=udp', { transport: 'TCP' as const }, 'sip:2000@sip.carrier.example;transport=tcp'],
    ['sip:2000@h', { host: '2001:db8::1' }, 'sip:2000@[2001:db8::1]'],
  ])('%s at %j is %s', (called, fields, expected) => {
    const uri = parseUri(called)
    if (uri === undefined) throw new Error('not a URI')
    expect(targetUri(uri, attempt(fields))).toBe(expected)
  })

  it('is sent to the address that was chosen', () => {
    expect(nextHop(attempt({ port: 5080, transport: 'TCP' }))).toBe('sip:198.51.100.1:5080;transport=tcp')
  })
})

describe('From, To and the identities on the other leg', () => {
  it.each([
    ['"Alice" <sip:1000@pbx.corp:5060;user=phone;x=1>;tag=a', '"Alice" <sip:1000@203.0.113.1;user=phone>'],
    ['<sip:anonymous@anonymous.invalid>;tag=a', '<sip:anonymous@anonymous.invalid>'],
    ['<sip:+1555;tgrp=tg1;trunk-context=pbx.corp@h>;tag=a', '<sip:+1555@203.0.113.1>'],
    ['<sip:pbx.corp>;tag=a', '<sip:203.0.113.1>'],
    ['tel:+15550100;tag=a', '<sip:+15550100@203.0.113.1;user=phone>'],
  ])('From: %s becomes %s', (from, expected) => {
    const headers = identityHeaders(invite([`From: ${from}`, 'To: <sip:2000@pbx.corp>']), attempt())
    expect(headers).toEqual([
      ['From', expected],
      ['To', '<sip:2000@sip.carrier.example>'],
    ])
  })

  const asserted = [
    'From: <sip:a@h>;tag=1',
    'To: <sip:b@h>',
    'P-Asserted-Identity: "A" <sip:1000@pbx.corp>, <tel:+15550100>',
  ]

  it('an asserted identity keeps name and number', () => {
    expect(identityHeaders(invite(asserted), attempt()).slice(2)).toEqual([
      ['P-Asserted-Identity', '"A" <sip:1000@203.0.113.1>'],
      ['P-Asserted-Identity', '<sip:+15550100@203.0.113.1;user=phone>'],
    ])
  })

  it('an asserted identity stays behind when it is private (RFC 3325 section 7)', () => {
    expect(identityHeaders(invite([...asserted, 'Privacy: header;id']), attempt())).toHaveLength(2)
  })
})

it('our Contact names the listener, and its transport where that is not UDP', () => {
  expect(contactAt(listener({ name: 'udp' }), '1000')).toBe('<sip:1000@203.0.113.1:5060>')
  const v6 = listener({ name: 'tcp', transport: 'TCP', port: 5080, address: '2001:db8::1', ipFamily: 'IPv6' })
  expect(contactAt(v6, '')).toBe('<sip:[2001:db8::1]:5080;transport=tcp>')
})

it('the calling number is the user part of From without its escapes, and without parameters of the number', () => {
  const trunkGroup = 'From: <sip:+1555;tgrp=tg1;trunk-context=pbx.corp@h>;tag=1'
  expect(callingNumber(invite([trunkGroup, 'To: <sip:b@h>']))).toBe('+1555')
  expect(callingUser(invite([trunkGroup, 'To: <sip:b@h>']))).toBe('+1555')
  expect(callingNumber(invite(['From: "x" <sip:%31000@h>;tag=1', 'To: <sip:b@h>']))).toBe('1000')
})
