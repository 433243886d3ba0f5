import { message, request, response, type TortureMessage } from './torture-message.ts'

const invite = 'INVITE sip:user@example.com SIP/2.0'

/** RFC 4475 §3.1.2: what no grammar allows. */
export const invalidMessages: readonly TortureMessage[] = [
  ...refused([
    ['3.1.2.1', 'extra separators in Contact', request(invite, 'Contact: "Joe" <sip:joe@example.org>;;;;'), 400],
    ['3.1.2.2', 'Content-Length larger than the message', request(invite, 'Content-Length: 9999'), 400],
    ['3.1.2.3', 'a negative Content-Length', request(invite, 'Content-Length: -999'), 400],
    ['3.1.2.4', 'an overlarge CSeq', request('REGISTER sip:example.com SIP/2.0', 'CSeq: 36893488147419103232 REGISTER'), 400],
    ['3.1.2.4', 'an overlarge Max-Forwards', request('REGISTER sip:example.com SIP/2.0', 'Max-Forwards: 300'), 400],
    ['3.1.2.6', 'an open quote in a display name', request(invite, 'To: "Mr. J. User <sip:j.user@example.com>'), 400],
    ['3.1.2.7', 'brackets around the Request-URI', request('INVITE <sip:user@example.com> SIP/2.0'), 400],
    ['3.1.2.8', 'white space in the Request-URI', request('INVITE sip:user@example.com; lr SIP/2.0'), 400],
    ['3.1.2.9', 'several spaces in the request line', request('INVITE  sip:user@example.com  SIP/2.0'), 400],
    ['3.1.2.10', 'a space at the end of the request line', request('OPTIONS sip:remote@example.com SIP/2.0  '), 400],
    [
      '3.1.2.11',
      'escaped headers in the Request-URI',
      request('INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0'),
      400,
    ],
    [
      '3.1.2.13',
      'a Contact with question mark and no brackets',
      request('REGISTER sip:example.com SIP/2.0', 'Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E'),
      400,
    ],
    [
      '3.1.2.14',
      'spaces within an address',
      request('OPTIONS sip:user@example.org SIP/2.0', 'To: "Watson, Thomas" < sip:t.watson@example.org >'),
      400,
    ],
    [
      '3.1.2.15',
      'a comma in an unquoted display name',
      request('OPTIONS sip:user@example.org SIP/2.0', 'From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43'),
      400,
    ],
    [
      '3.1.2.16',
      'an unknown version',
      message([
        'OPTIONS sip:t.watson@example.org SIP/7.0',
        'Via:     SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw',
        'Max-Forwards:     70',
        'From:    A. Bell <sip:a.g.bell@example.com>;tag=qweoiqpe',
        'To:      T. Watson <sip:t.watson@example.org>',
        'Call-ID: badvers.31417@c.example.com',
        'CSeq:    1 OPTIONS',
        'l: 0',
      ]),
      505,
    ],
    ['3.1.2.17', 'a CSeq of another method', request('OPTIONS sip:user@example.com SIP/2.0', 'CSeq: 8 INVITE'), 400],
    [
      '3.1.2.18',
      'a CSeq of another method, the method unknown',
      request('NEWMETHOD sip:user@example.com SIP/2.0', 'CSeq: 8 INVITE'),
      400,
    ],
  ]),
  {
    section: '3.1.2.1',
    title: 'extra separators in the only Via',
    text: request(invite, 'Via: SIP/2.0/UDP 192.0.2.15;;,;,,'),
    parser: 'silent',
    answer: 'none',
    why: 'without a top Via that can be read an answer finds no way',
  },
  {
    section: '3.1.2.5',
    title: 'a response with an overlarge CSeq',
    text: response('503 Service Unavailable', 'CSeq: 9292394834772304023312 OPTIONS'),
    parser: 'silent',
    answer: 'none',
    why: 'a malformed response is dropped (RFC 3261 §18.1.2)',
  },
  {
    section: '3.1.2.12',
    title: 'a Date that is not in GMT',
    text: request(invite, 'Date: Fri, 01 Jan 2010 16:00:00 EST'),
    parser: 'accepted',
    answer: 'called',
    why: 'nothing here depends on Date, and it does not cross: "an element … could choose to ignore" it',
  },
  {
    section: '3.1.2.19',
    title: 'an overlarge status code',
    text: response('4294967301 better not break the receiver'),
    parser: 'silent',
    answer: 'none',
    why: 'a malformed response is dropped (RFC 3261 §18.1.2)',
  },
]

function refused(rows: readonly [section: string, title: string, text: string, status: number][]): TortureMessage[] {
  return rows.map(([section, title, text, status]) => ({
    ...{ section, title, text, parser: status, answer: status },
    why:
      status === 505
        ? 'another version of SIP (RFC 3261 §21.5.6)'
        : 'what can be read in two ways, or not at all, is answered with 400 and its reason (RFC 3261 §21.4.1)',
  }))
}
