import { describe, expect, it } from 'vitest'
import { formatNameAddr, parseNameAddr, parseNameAddrs } from './name-addr.ts'
import { parseMessage, readMessage } from './parse.ts'
import type { ParsedMessage } from './parsed-message.ts'
import { buildResponse } from './response.ts'
import { serialiseText } from './serialise.ts'
import { formatUri, parseUri } from './uri.ts'
import { formatVia, parseVia } from './via.ts'

const SDP = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n'

const seeds: readonly string[] = [
  [
    'INVITE sip:+15550123@sbc.example.com:5060;user=phone SIP/2.0',
    'Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1;rport, SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bKx',
    'Max-Forwards: 70',
    'From: "Alice \\"A\\" Example" <sip:+15550100@pbx.example.com>;tag=9fxced76sl',
    'To: Bob <sip:+15550123@sbc.example.com>',
    'Call-ID: 3848276298220188511@pbx.example.com',
    'CSeq: 1 INVITE',
    'Contact: <sip:+15550100@192.0.2.10;transport=udp>;+sip.instance="<urn:uuid:1>"',
    'Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr>',
    'Supported: timer, replaces',
    'Content-Type: application/sdp',
    `Content-Length: ${SDP.length}`,
    '',
    SDP,
  ],
  [
    'SIP/2.0 200 OK',
    'v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;received=192.0.2.9;rport=5999',
    'f: <sip:a@example.com>;tag=1',
    't: <tel:+1-555-0100;ext=1>;tag=2',
    'i: x',
    'CSeq: 2 BYE',
    'l: 0',
    '',
    '',
  ],
  [
    'REGISTER sip:[2001:db8::10]:5070 SIP/2.0',
    'Via: SIP/2.0/UDP h.example.com;branch=z9hG4bK2',
    'From: sip:%61@example.com;tag=1',
    'To: sip:a@example.com',
    'Call-ID: y',
    'CSeq: 3 REGISTER',
    'Contact: *',
    'Authorization: Digest username="a", realm="b, c", nonce="d", uri="sip:h", response="e"',
    'Expires: 0',
    '',
    '',
  ],
].map((lines) => lines.join('\r\n'))

/** Mulberry32: the same numbers on every run. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const SPICE = [
  '\r',
  '\n',
  '\r\n',
  '\r\n ',
  '\0',
  '"',
  '\\',
  '<',
  '>',
  ',',
  ';',
  ':',
  '=',
  '%',
  '@',
  '[',
  ']',
  '?',
  ' ',
  '\t',
  '\xff',
  '/',
  '-1',
  '99999999999',
  'tag=',
  'branch=',
  'SIP/2.0',
]

function mutate(text: string, below: (limit: number) => number): string {
  let mutated = text
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(mutated.length + 1)
    const to = Math.min(mutated.length, at + below(below(2) === 0 ? 4 : 120))
    const other = seeds[below(seeds.length)] ?? ''
    const from = below(other.length)
    const inserts = [
      SPICE[below(SPICE.length)] ?? '',
      String.fromCharCode(below(256)),
      '',
      mutated.slice(at, to) + mutated.slice(at, to),
      other.slice(from, from + below(200)),
    ]
    mutated = mutated.slice(0, at) + (inserts[below(inserts.length)] ?? '') + mutated.slice(below(2) === 0 ? at : to)
  }
  return mutated
}

/** Whatever is accepted has to read the same a second time, and nothing in it may break out of its line. */
function checkAccepted(message: ParsedMessage): void {
  const again = parseMessage(message.text)
  if (!again.ok) throw new Error(`accepted once, then ${again.reason}`)
  const headers = [...message.headers()]
  expect([...again.message.headers()]).toEqual(headers)
  expect(again.message.body).toBe(message.body)
  for (const [name, value] of headers)
    if (/[\r\n\0]/.test(name + value)) throw new Error(`${name} holds a control character`)
  const startLine = message.text.slice(0, message.text.indexOf('\r\n'))
  const written = parseMessage(serialiseText({ startLine, headers, body: message.body }))
  if (!written.ok) throw new Error(`written and then ${written.reason}`)
  const { callId, fromTag, toTag, cseq, branch, sentBy, method } = message
  expect(written.message).toMatchObject({ callId, fromTag, toTag, cseq, branch, sentBy, method })
}

function checkParts(message: ParsedMessage): void {
  for (const via of message.values('Via')) {
    const parsed = parseVia(via)
    if (parsed !== undefined) expect(parseVia(formatVia(parsed))).toEqual(parsed)
  }
  for (const name of ['From', 'To', 'Contact', 'Route']) {
    for (const line of message.lines(name)) {
      parseNameAddrs(line)
      const parsed = parseNameAddr(line)
      if (parsed !== undefined) expect(parseNameAddr(formatNameAddr(parsed))).toEqual(parsed)
    }
  }
  const uri = parseUri(message.uri)
  if (uri !== undefined) expect(parseUri(formatUri(uri))).toEqual(uri)
}

describe('20,000 mutations of real messages', () => {
  it('throw nothing, and give a sound message, a sound answer, or silence', () => {
    const below = random(3261)
    const verdicts = { accepted: 0, answered: 0, silent: 0 }
    for (let round = 0; round < 20_000; round++) {
      const text = mutate(seeds[round % seeds.length] ?? '', below)
      readMessage(text)
      const result = parseMessage(text)
      if (result.ok) {
        verdicts.accepted++
        checkAccepted(result.message)
        checkParts(result.message)
      } else if (result.message === undefined) verdicts.silent++
      else {
        verdicts.answered++
        checkParts(result.message)
        const answer = serialiseText(
          buildResponse(result.message, { status: result.status, reason: result.reason, toTag: 't' }),
        )
        expect(answer.startsWith(`SIP/2.0 ${result.status} `)).toBe(true)
        expect(parseVia(result.message.get('Via') ?? '')).toBeDefined()
      }
    }
    for (const count of Object.values(verdicts)) expect(count).toBeGreaterThan(1000)
  })
})

describe('64 KiB made to be slow', () => {
  const fill = (part: string, bytes = 65_000): string => part.repeat(Math.floor(bytes / part.length))
  const [invite = ''] = seeds
  const withLine = (line: string): string => invite.replace('Max-Forwards: 70', line)

  it.each([
    ['bare LF', invite.replace('\r\n', fill('\n'))],
    ['bare CR', invite.replace('\r\n', fill('\r'))],
    ['lines ended by a bare LF', invite.replace('\r\n', `\r\n${fill('a\n')}`)],
    ['lines without colon', invite.replace('\r\n', `\r\n${fill('a\r\n')}`)],
    ['empty lines', fill('\r\n')],
    ['tiny header lines', invite.replace('\r\n', `\r\n${fill('a:\r\n')}`)],
    ['folded lines', withLine(`X: ${fill('a\r\n ')}`)],
    ['blank folded lines', withLine(`X:${fill('\r\n \t')}`)],
    ['blanks', withLine(`X:${fill(' ')}a`)],
    ['a long request line', invite.replace('sip:', `sip:${fill('%61')}`)],
    ['parameters of the Request-URI', invite.replace(';user=phone', fill(';a=b'))],
    ['open brackets', withLine(`f: ${fill('<')}`)],
    ['open quotes', withLine(`Contact: ${fill('"\\"')}`)],
    ['Contacts', withLine(fill(`Contact: ${fill('<a:b>,', 8000)}<a:b>\r\n`))],
    ['Vias', withLine(fill(`Via: ${fill('SIP/2.0/UDP a;branch=b,', 8000)}SIP/2.0/UDP a\r\n`))],
    ['spaced Vias', invite.replace('SIP/2.0/UDP', `SIP${fill(' ')}/2.0/UDP`)],
    ['tags', withLine(`To: <sip:a@h>${fill(';tag=1')}`)],
    ['digits', withLine(`CSeq: ${fill('1')} INVITE`)],
  ])('does not succeed with %s', (_what, text) => {
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now()
      const result = parseMessage(text)
      if (result.ok) for (const [name] of result.message.headers()) result.message.values(name)
      return performance.now() - start
    })
    // About a millisecond each; what is quadratic in 64 KiB takes seconds.
    expect(Math.min(...times)).toBeLessThan(250)
  })
})
