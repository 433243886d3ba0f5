import { describe, expect, it } from 'vitest'
import { readMessage } from '../message/parse.ts'
import type { SipMessage } from '../message/sip-message.ts'
import { confirmByClient, dialogOfClient, dialogOfServer, refreshTarget, routeRequest } from './dialog.ts'

function message(lines: readonly string[]): SipMessage {
  const parsed = readMessage(`${lines.join('\r\n')}\r\n\r\n`)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

const invite = message([
  'INVITE sip:b@example.com SIP/2.0',
  'From: "A" <sip:a@example.com>;tag=a',
  'To: <sip:b@example.com>',
  'Call-ID: call',
  'CSeq: 7 INVITE',
  'Contact: "A" <sip:a@192.0.2.9:5062;ob>;expires=60',
  'Record-Route: <sip:p1;lr>, <sip:p2;lr>',
  'Record-Route: <sip:p3;lr>',
])

function answer(status: number, extra: readonly string[]): SipMessage {
  return message([
    `SIP/2.0 ${status} X`,
    'From: "A" <sip:a@example.com>;tag=a',
    'To: <sip:b@example.com>;tag=b',
    'Call-ID: call',
    'CSeq: 7 INVITE',
    ...extra,
  ])
}

const sent = { from: '<sip:a@example.com>;tag=a', fromTag: 'a', cseq: 7, listener: 'udp', uri: 'sip:b@example.com' }

describe('the state of a dialog', () => {
  it('at the server is what RFC 3261 §12.1.1 takes from the INVITE, and plain data', () => {
    const to = '<sip:b@example.com>;tag=b'
    const dialog = dialogOfServer(invite, { status: 180, to, toTag: 'b' }, 'udp')
    expect(dialog).toEqual({
      id: 'call;from-tag=a',
      role: 'uas',
      callId: 'call',
      localTag: 'b',
      remoteTag: 'a',
      local: to,
      remote: '"A" <sip:a@example.com>;tag=a',
      state: 'early',
      localSequence: 0,
      remoteSequence: 7,
      remoteTarget: 'sip:a@192.0.2.9:5062;ob',
      routeSet: ['<sip:p1;lr>', '<sip:p2;lr>', '<sip:p3;lr>'],
      listener: 'udp',
    })
    expect(JSON.parse(JSON.stringify(dialog))).toEqual(dialog)
  })

  it('at the client has the route set of the response in reverse (RFC 3261 §12.1.2)', () => {
    const response = answer(183, ['Contact: <sip:b@192.0.2.7>', 'Record-Route: <sip:p1;lr>, <sip:p2;lr>'])
    const dialog = dialogOfClient(sent, response)
    expect(dialog).toMatchObject({
      id: 'call;from-tag=a',
      role: 'uac',
      localTag: 'a',
      remoteTag: 'b',
      state: 'early',
      localSequence: 7,
      remoteSequence: 0,
      remoteTarget: 'sip:b@192.0.2.7',
      routeSet: ['<sip:p2;lr>', '<sip:p1;lr>'],
    })
    // §13.2.2.4: the 2xx confirms it, and its route set is computed again.
    confirmByClient(dialog, answer(200, ['Contact: <sip:b@192.0.2.8>', 'Record-Route: <sip:p9;lr>']))
    expect(dialog).toMatchObject({ state: 'confirmed', routeSet: ['<sip:p9;lr>'], remoteTarget: 'sip:b@192.0.2.8' })
  })

  it('keeps its target when a refresh tells no Contact, and the Request-URI when the peer never told one', () => {
    const dialog = dialogOfClient(sent, answer(200, []))
    expect(dialog.remoteTarget).toBe('sip:b@example.com')
    refreshTarget(dialog, answer(200, []))
    expect(dialog.remoteTarget).toBe('sip:b@example.com')
  })
})

describe('the remote target (RFC 3261 §19.1.1)', () => {
  it.each([
    ['sip:b@h:5062;transport=tcp;method=BYE?Subject=x', 'sip:b@h:5062;transport=tcp'],
    ['sip:b?c@h', 'sip:b?c@h'],
    ['sip:h?Subject=x', 'sip:h'],
  ])('of the Contact <%s> is %s', (contact, target) => {
    const request = message(['INVITE sip:x SIP/2.0', `Contact: <${contact}>`])
    expect(dialogOfServer(request, { status: 200, to: '<sip:x>;tag=t', toTag: 't' }, 'l').remoteTarget).toBe(target)
  })
})

describe('the way of a request (RFC 3261 §12.2.1.1)', () => {
  it.each([
    ['without routes is its target', [], { uri: 'sip:t', routes: [], nextHop: 'sip:t' }],
    [
      'begins at a loose router, and the target stays the Request-URI',
      ['<sip:p1;lr>', '<sip:p2>'],
      { uri: 'sip:t', routes: ['<sip:p1;lr>', '<sip:p2>'], nextHop: 'sip:p1;lr' },
    ],
    [
      'puts a strict router into the Request-URI and the target last',
      ['"P" <sip:p1;method=INVITE;x=1?h=v>;param', '<sip:p2;lr>'],
      { uri: 'sip:p1;x=1', routes: ['<sip:p2;lr>', '<sip:t>'], nextHop: 'sip:p1;method=INVITE;x=1?h=v' },
    ],
  ])('%s', (_title, routeSet, expected) => {
    expect(routeRequest('sip:t', routeSet)).toEqual(expected)
  })
})
