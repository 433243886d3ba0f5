import { describe, expect, it } from 'vitest'
import { readMessage } from '../engine/message/parse.ts'
import { noTimer } from '../policy/session-timer.ts'
import { carriedHeaders, unsupportedOptions } from './header-relay.ts'
import { carriedReasons } from './reason-header.ts'

function message(startLine: string, method: string, lines: readonly string[], body = '') {
  const fixed = ['Via: SIP/2.0/UDP h;branch=z9hG4bK1', 'From: <sip:a@h>;tag=1', 'To: <sip:b@h>', 'Call-ID: c']
  const result = readMessage([startLine, ...fixed, `CSeq: 1 ${method}`, ...lines, '', body].join('\r\n'))
  if (!result.ok) throw new Error(result.reason)
  return result.message
}
const request = (method: string, lines: readonly string[], body?: string) =>
  message(`${method} sip:b@h SIP/2.0`, method, lines, body)
const response = (status: number, lines: readonly string[], method = 'INVITE') =>
  message(`SIP/2.0 ${status} R`, method, lines)

describe('the headers that cross', () => {
  it.each([
    [
      'compact forms arrive in long form',
      request('INFO', ['k: timer', 'e: gzip'], 'x'),
      [
        ['Content-Encoding', 'gzip'],
        ['Supported', 'timer'],
      ],
    ],
    ['headers that describe a body stay behind without one', request('INFO', ['Content-Language: en']), []],
    [
      'every line of a header',
      request('INFO', ['Accept: a/b', 'Accept: c/d']),
      [
        ['Accept', 'a/b'],
        ['Accept', 'c/d'],
      ],
    ],
    [
      'what is not listed does not cross',
      request('INFO', ['X-A: 1', 'Warning: 399 h "x"', 'Date: now', 'Server: s']),
      [],
    ],
    [
      'Supported keeps what works through the fleet',
      request('INFO', ['Supported: 100rel, timer, replaces']),
      [['Supported', 'timer']],
    ],
    ['Supported goes when nothing is left', request('INFO', ['Supported: 100rel']), []],
    [
      'Allow keeps what is carried',
      request('INFO', ['Allow: INVITE, REFER, UPDATE']),
      [['Allow', 'INVITE, UPDATE, PRACK']],
    ],
    [
      'an INVITE without Allow gets what everybody can (RFC 3261 section 5)',
      request('INVITE', []),
      [['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK']],
    ],
    ['a 2xx of INVITE, too', response(200, []), [['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK']]],
    ['an 18x not', response(180, []), []],
    ['nothing of the session timer by itself (RFC 4028)', response(422, ['Min-SE: 1800'], 'UPDATE'), []],
    [
      'Alert-Info without its host',
      response(180, ['Alert-Info: <http://10.0.0.1:80/ring>;info=x']),
      [['Alert-Info', '<http://203.0.113.1/ring>;info=x']],
    ],
    [
      'Alert-Info with a name',
      response(180, ['Alert-Info: <urn:alert:source:internal>']),
      [['Alert-Info', '<urn:alert:source:internal>']],
    ],
    [
      'no Alert-Info with a host that stands elsewhere in its URI',
      response(180, ['Alert-Info: <sip:ring@10.0.0.1>', 'Alert-Info: <urn:alert:tone:x>, <cid:ring@pbx.corp>']),
      [],
    ],
    [
      'Alert-Info with each of several URIs',
      response(180, ['Alert-Info: <urn:alert:tone:x>, <https://u@[2001:db8::1]:80?a=b>']),
      [['Alert-Info', '<urn:alert:tone:x>, <https://203.0.113.1?a=b>']],
    ],
    ['no Session-Expires of an 18x', response(183, ['Session-Expires: 90']), []],
  ])('%s', (_case, from, expected) => {
    expect(carriedHeaders(from, '203.0.113.1')).toEqual(expected)
  })
})

it('names the required options that are not supported', () => {
  expect(unsupportedOptions(request('INVITE', ['Require: timer, 100rel', 'Require: foo, replaces']))).toEqual([
    'foo',
    'replaces',
  ])
})

describe('Reason (RFC 3326)', () => {
  it.each([
    ['Q.850;cause=16', 'Q.850;cause=16'],
    ['Q.850 ; cause=16 ; text="Normal call clearing"', 'Q.850;cause=16;text="Normal call clearing"'],
    ['SIP;cause=486;text="at 10.0.0.1"', 'SIP;cause=486'],
    ['SIP;text="no cause"', undefined],
    ['@@', undefined],
  ])('%s crosses as %s', (value, expected) => {
    expect(carriedReasons(request('BYE', [`Reason: ${value}`]))).toEqual(
      expected === undefined ? [] : [['Reason', expected]],
    )
  })

  it('crosses with each of its values', () => {
    expect(carriedReasons(request('BYE', ['Reason: SIP;cause=200, Q.850;cause=16']))).toHaveLength(2)
  })

  it('crosses with the first value of each protocol (RFC 3326 section 2), and with eight at most', () => {
    const values = ['SIP;cause=200', 'sip;cause=486', 'Q.850;cause=16']
    expect(carriedReasons(request('BYE', [`Reason: ${values.join(', ')}`]))).toEqual([
      ['Reason', 'SIP;cause=200'],
      ['Reason', 'Q.850;cause=16'],
    ])
    const many = Array.from({ length: 600 }, (_, number) => `P${number};cause=1`)
    expect(carriedReasons(request('BYE', [`Reason: ${many.join(',')}`]))).toHaveLength(8)
  })

  it('say of the session timer what they are told, in one Supported with the rest', () => {
    const from = response(200, ['Supported: timer, resource-priority', 'Session-Expires: 90;refresher=uas'], 'UPDATE')
    const timer = { supported: true, required: true, expires: { seconds: 600, refresher: 'uac' }, minimum: 90 } as const
    expect(carriedHeaders(from, '203.0.113.1', { timer })).toEqual([
      ['Session-Expires', '600;refresher=uac'],
      ['Min-SE', '90'],
      ['Require', 'timer'],
      ['Supported', 'resource-priority, timer'],
    ])
    expect(carriedHeaders(from, '203.0.113.1', { timer: noTimer })).toEqual([['Supported', 'resource-priority']])
  })
})
