import { describe, expect, it } from 'vitest'
import { parseMessage, readMessage } from './parse.ts'
import type { ParsedMessage } from './parsed-message.ts'

const START = 'INVITE sip:b@example.com SIP/2.0'
const USUAL = [
  'Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKabc',
  'From: <sip:a@example.com>;tag=1',
  'To: <sip:b@example.com>',
  'Call-ID: x@example.com',
  'CSeq: 1 INVITE',
]

function invite(extra: readonly string[] = [], body = ''): string {
  return [START, ...USUAL, ...extra, '', body].join('\r\n')
}

/** The usual INVITE with one of its lines replaced, or left out. */
function inviteWith(name: string, ...lines: string[]): string {
  return [START, ...USUAL.flatMap((line) => (line.startsWith(`${name}:`) ? lines : [line])), '', ''].join('\r\n')
}

function accept(text: string): ParsedMessage {
  const result = parseMessage(text)
  if (!result.ok) throw new Error(result.reason)
  return result.message
}

it('a version in lower case is read, and is upper case for everybody after us (RFC 3261 §7.1)', () => {
  const rest =
    'Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n'
  for (const [start, wanted] of [
    ['BYE sip:b@h sIp/2.0', 'BYE sip:b@h SIP/2.0'],
    ['sip/2.0 200 OK', 'SIP/2.0 200 OK'],
  ]) {
    const result = parseMessage(`${start}\r\n${rest}`)
    expect(result).toMatchObject({ ok: true, message: { text: `${wanted}\r\n${rest}`, cseq: 1 } })
  }
})

describe('a message', () => {
  it('is found by long, short and oddly written names', () => {
    const message = accept(invite(['sUPPORTED: timer', 'k: replaces, 100rel', 'X-Own: 1', 'c: application/sdp'], 'v=0'))
    expect(message.get('k')).toBe('timer')
    expect(message.lines('Supported')).toEqual(['timer', 'replaces, 100rel'])
    expect(message.values('supported')).toEqual(['timer', 'replaces', '100rel'])
    expect(message.get('x-own')).toBe('1')
    expect(message.has('X-OWN')).toBe(true)
    expect(message.has('Content-Type')).toBe(true)
    expect(message.has('X-Other')).toBe(false)
    expect(message.get('constructor')).toBeUndefined()
    expect(message.body).toBe('v=0')
  })

  it('gives its header fields in order, with long names', () => {
    const message = accept(invite(['l: 0', 'x-own:', 'm:<sip:a@h>']))
    expect([...message.headers()].slice(5)).toEqual([
      ['Content-Length', '0'],
      ['x-own', ''],
      ['Contact', '<sip:a@h>'],
    ])
  })

  it('may have several Identity header fields (RFC 8224)', () => {
    const identity = 'eyJh.eyJh.sig;info=<https://cert.example.org/1.crt>;alg=ES256;ppt=div'
    expect(accept(invite([`Identity: ${identity}`, `y: ${identity}`])).values('Identity')).toEqual([identity, identity])
  })

  it('keeps commas of header fields that are no lists (RFC 3261 §7.3.1)', () => {
    const challenge = 'Digest realm="a, b", nonce="1"'
    const message = accept(
      invite([`Authorization: ${challenge}`, `Authorization: ${challenge}`, 'Date: Sat, 13 Nov 2010 23:29:00 GMT']),
    )
    expect(message.values('Authorization')).toEqual([challenge, challenge])
    expect(message.values('Date')).toHaveLength(1)
  })

  it('has the keys of its transaction and dialog', () => {
    expect(accept(invite())).toMatchObject({
      kind: 'request',
      method: 'INVITE',
      uri: 'sip:b@example.com',
      callId: 'x@example.com',
      fromTag: '1',
      toTag: '',
      cseq: 1,
      branch: 'z9hG4bKabc',
      sentBy: '192.0.2.1:5060',
    })
  })

  it('that is a response has the method of its CSeq', () => {
    const message = accept(invite().replace(START, 'SIP/2.0 180 Ringing Now'))
    expect(message).toMatchObject({ kind: 'response', method: 'INVITE', status: 180, reason: 'Ringing Now', uri: '' })
  })

  it('loses what stands beyond its Content-Length (RFC 3261 §18.3), and empty lines before it (§7.5)', () => {
    const message = accept(`\r\n\r\n${invite(['Content-Length: 3'], 'v=0junk')}`)
    expect(message.body).toBe('v=0')
    expect(message.text.startsWith(START)).toBe(true)
    expect(message.text.endsWith('\r\n\r\nv=0')).toBe(true)
  })

  it('has a body to its end without Content-Length, NUL and bare LF in it included', () => {
    expect(accept(invite([], 'a\0\n\rb')).body).toBe('a\0\n\rb')
  })

  it('is put together where it was folded, but for its body (RFC 3261 §7.3.1)', () => {
    const message = accept(invite(['Subject: I know\r\n \t you', 'Supported: a,\r\n b'], 'v=0\r\n x'))
    expect(message.get('Subject')).toBe('I know you')
    expect(message.values('Supported')).toEqual(['a', 'b'])
    expect(message.body).toBe('v=0\r\n x')
  })

  it('takes another top Via, and nothing else moves', () => {
    const second = 'SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKdef'
    const before = accept(
      inviteWith('Via', `Via: ${'SIP/2.0/UDP h;rport;branch=z9hG4bKabc'} , ${second}`, `Via: ${second}`),
    )
    const after = before.withTopVia('SIP/2.0/UDP h;rport=5099;branch=z9hG4bKabc;received=192.0.2.7')
    expect(after.values('Via')).toEqual([
      'SIP/2.0/UDP h;rport=5099;branch=z9hG4bKabc;received=192.0.2.7',
      second,
      second,
    ])
    expect([...after.headers()]).toEqual([...accept(after.text).headers()])
    expect(after.body).toBe(before.body)
    expect(after.withTopVia('SIP/2.0/UDP h').values('Via')).toEqual(['SIP/2.0/UDP h', second, second])
  })
})

describe('a response of a peer that repeats its tag', () => {
  it('has the first tag of To, which is that of the request', () => {
    const text = inviteWith('To', 'To: <sip:b@example.com>;tag=1;tag=2').replace(START, 'SIP/2.0 200 OK')
    expect(accept(text).toTag).toBe('1')
  })
})

describe('a request that could be read in two ways', () => {
  it.each([
    ['two From', invite(['f: <sip:c@example.com>;tag=2'])],
    ['two To', invite(['To: <sip:c@example.com>'])],
    ['two Call-IDs', invite(['i: y'])],
    ['two CSeqs', invite(['CSeq: 2 INVITE'])],
    ['two Max-Forwards', invite(['Max-Forwards: 1', 'Max-Forwards: 70'])],
    ['two Content-Lengths', invite(['Content-Length: 0', 'l: 3'], 'v=0')],
    ['two Content-Lengths that agree', invite(['Content-Length: 3', 'l: 3'], 'v=0')],
    ['two Session-Expires', invite(['Session-Expires: 90', 'x: 1800'])],
    ['two tags', inviteWith('From', 'From: <sip:a@example.com>;tag=1;tag=2')],
    ['a tag without value', inviteWith('From', 'From: <sip:a@example.com>;tag')],
    ['a tag with the separator of another protocol', inviteWith('From', 'From: <sip:a@example.com>;tag=1|2')],
    ['two addresses in To', inviteWith('To', 'To: <sip:b@example.com>, <sip:c@example.com>')],
    ['two branches', inviteWith('Via', 'Via: SIP/2.0/UDP 192.0.2.1;branch=a;branch=b', 'Via: SIP/2.0/UDP h')],
    ['a Call-ID of two words', inviteWith('Call-ID', 'Call-ID: x y')],
    ['a Call-ID with a semicolon', inviteWith('Call-ID', 'Call-ID: x;from-tag=1')],
    ['an empty Call-ID', inviteWith('Call-ID', 'Call-ID:')],
    ['a CSeq that is not less than 2**31 (RFC 3261 §8.1.1.5)', inviteWith('CSeq', 'CSeq: 2147483648 INVITE')],
    ['a CSeq with a sign', inviteWith('CSeq', 'CSeq: +1 INVITE')],
    ['a CSeq without method', inviteWith('CSeq', 'CSeq: 1')],
    ['a CSeq with two methods', inviteWith('CSeq', 'CSeq: 1 INVITE BYE')],
    ['a CSeq of another method', inviteWith('CSeq', 'CSeq: 1 invite')],
    ['Max-Forwards above 255 (RFC 3261 §20.22)', invite(['Max-Forwards: 256'])],
    ['Max-Forwards that is no number', invite(['Max-Forwards: 7O'])],
    ['an empty Content-Length', invite(['Content-Length:'])],
    ['a Content-Length with a sign', invite(['Content-Length: +3'], 'v=0')],
    ['a hexadecimal Content-Length', invite(['Content-Length: 0x3'], 'v=0')],
    ['a Content-Length of two numbers', invite(['Content-Length: 3, 3'], 'v=0')],
    ['a Content-Length that is too large to count', invite([`Content-Length: ${'9'.repeat(400)}`])],
    ['a bare LF', invite(['X-A: 1\nX-B: 2'])],
    ['a bare LF at the end of the request line', invite().replace('\r\n', '\n')],
    ['a line without colon', invite(['nonsense'])],
    ['a line without name', invite([': nonsense'])],
    ['a name with a space', invite(['X Y: 1'])],
    ['a folded request line', invite().replace(' SIP/2.0\r\n', '\r\n SIP/2.0\r\n')],
    ['a tab in the request line', invite().replace('INVITE sip', 'INVITE\tsip')],
    ['another version, as no version is written', invite().replace('SIP/2.0\r\n', 'SIP/2\r\n')],
    ['no empty line at the end', invite().slice(0, -2)],
    ['a star for To', inviteWith('To', 'To: *')],
    ['a star among Contacts', invite(['Contact: <sip:a@h>, *'])],
    ['a malformed Contact after a good one', invite(['Contact: <sip:a@h>, <sip:a@h'])],
  ])('has %s: 400', (_title, text) => {
    const result = parseMessage(text)
    // Via is read even where it is malformed in the end, since the second is on a line of its own.
    if (!text.includes('branch=b'))
      expect(result).toMatchObject({ ok: false, status: 400, message: { sentBy: '192.0.2.1:5060' } })
    else expect(result).toMatchObject({ ok: false, status: 0 })
  })

  it.each([
    ['a bare CR in a header field', invite(['X-A: 1\rX-B: 2'])],
    ['a bare CR before CRLF', invite(['X-A: 1\r'])],
  ])('has %s: silence', (_title, text) => {
    expect(parseMessage(text)).toMatchObject({ ok: false, status: 0, message: undefined })
  })

  it.each([
    ['in a header field', invite(['X-A: \0'])],
    ['in the Request-URI', invite().replace('sip:b', 'sip:\0b')],
    ['in a display name, where the grammar has it (§25.1)', inviteWith('To', 'To: "a\\\0" <sip:b@example.com>')],
    [
      'in the host of Via, whose end it looks like',
      inviteWith('Via', 'Via: SIP/2.0/UDP 192.0.2.1:5060\0;branch=z9hG4bK1'),
    ],
  ])('has NUL %s: 400, and the answer has none', (_title, text) => {
    const result = parseMessage(text)
    expect(result).toMatchObject({ ok: false, status: 400, message: { sentBy: '192.0.2.1:5060' } })
    expect(result.message?.text).not.toContain('\0')
  })

  it.each([
    ['SIP/2.0/UDP 192.0.2.1:5060;;,;,,', 'SIP/2.0/UDP 192.0.2.1:5060'],
    ['SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport;;x', 'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport'],
    ['SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=', 'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1'],
    ['SIP/2.0/UDP 192.0.2.1:5060 x;branch=z9hG4bK1', 'SIP/2.0/UDP 192.0.2.1:5060'],
  ])('has the Via %s: 400 with what can be read of it (RFC 4475 §3.1.2.1)', (via, readable) => {
    const result = parseMessage(inviteWith('Via', `Via: ${via}`))
    expect(result).toMatchObject({ ok: false, status: 400, reason: 'Malformed Via' })
    expect(result.message?.lines('Via')).toEqual([readable])
  })

  it.each([
    'SIP/2.0/UDP [::1;branch=z9hG4bK1',
    'SIP/2.0/UDP h:0x1',
    'UDP h;;',
    'SIP/2.0/UDP h;branch=1;branch=2',
    ';;',
  ])('has the Via %s: silence, since who sent it or for which branch is a guess', (via) => {
    expect(parseMessage(inviteWith('Via', `Via: ${via}`))).toMatchObject({ status: 0, message: undefined })
  })

  it('has CR in a display name: silence', () => {
    expect(parseMessage(inviteWith('From', 'From: "a\r\\b" <sip:a@example.com>;tag=1'))).toMatchObject({ status: 0 })
  })
})

describe('a request that lacks something', () => {
  it.each(['From', 'To', 'Call-ID', 'CSeq'])('lacks %s: 400 by name', (name) => {
    expect(parseMessage(inviteWith(name))).toMatchObject({ ok: false, status: 400, reason: `Missing ${name}` })
  })

  it.each([
    ['Malformed From', 'From', 'From: <sip:a@example.com>;tag="a|b"'],
    ['Malformed To', 'To', 'To: <sip:b@example.com>;tag="a b"'],
    ['Malformed Via', 'Via', 'Via: SIP/2.0/UDP h;branch="z9hG4bK 1"'],
  ])('%s: a quoted tag or branch is no token (RFC 3261 §25.1)', (reason, name, line) => {
    expect(parseMessage(inviteWith(name, line))).toMatchObject({ ok: false, reason })
  })

  it('lacks Via: silence, since no answer would find its way', () => {
    expect(parseMessage(inviteWith('Via'))).toMatchObject({ ok: false, status: 0 })
  })

  it('lacks Max-Forwards: accepted (RFC 3261 §16.3)', () => {
    expect(accept(invite()).has('Max-Forwards')).toBe(false)
  })

  it('lacks the tag of From: accepted (RFC 3261 §12.1.1)', () => {
    expect(accept(inviteWith('From', 'From: <sip:a@example.com>')).fromTag).toBe('')
  })
})

describe('what is never answered', () => {
  it.each([
    ['nothing', ''],
    ['empty lines', '\r\n\r\n'],
    ['one line without end', 'INVITE sip:a@h SIP/2.0'],
    ['noise', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    ['another protocol', 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n'],
    ['a malformed ACK (RFC 3261 §17.1.1.3)', inviteWith('CSeq', 'CSeq: 1 BYE').replace('INVITE', 'ACK')],
    ['a malformed request with the CSeq of an ACK', inviteWith('CSeq', 'CSeq: 1 ACK')],
    [
      'a response with two tags in From',
      inviteWith('From', 'From: <sip:a@h>;tag=1;tag=2').replace(START, 'SIP/2.0 200 OK'),
    ],
    ['a response that lacks CSeq', inviteWith('CSeq').replace(START, 'SIP/2.0 200 OK')],
    [
      'a response of two Vias lines of which the first is broken',
      inviteWith('Via', 'Via: x', 'Via: SIP/2.0/UDP h').replace(START, 'SIP/2.0 200 OK'),
    ],
    ['a response cut short (RFC 3261 §18.3)', invite(['Content-Length: 10'], 'v=0').replace(START, 'SIP/2.0 200 OK')],
    [
      'a request whose only Via is of another version (RFC 3261 §20.42)',
      inviteWith('Via', 'Via: SIP/7.0/UDP h;branch=z9hG4bK1'),
    ],
    ['a status of two digits', invite().replace(START, 'SIP/2.0 20 OK')],
    ['a status of four digits', invite().replace(START, 'SIP/2.0 2000 OK')],
    ['a status below 100', invite().replace(START, 'SIP/2.0 099 OK')],
    ['a status above 699', invite().replace(START, 'SIP/2.0 700 OK')],
    ['a response of another version', invite().replace(START, 'SIP/3.0 200 OK')],
    ['a CR in a reason phrase', invite().replace(START, 'SIP/2.0 200 O\rK')],
  ])('is %s', (_title, text) => {
    expect(parseMessage(text)).toMatchObject({ ok: false, status: 0, message: undefined })
  })
})

describe('limits', () => {
  it('allow 256 header lines and no more', () => {
    const lines = Array.from({ length: 251 }, (_, line) => `X-${line}: 1`)
    expect(parseMessage(invite(lines)).ok).toBe(true)
    expect(parseMessage(invite([...lines, 'X: 1']))).toMatchObject({ status: 400, reason: 'Too Many Header Fields' })
  })

  it('allow 8,192 characters a header line and no more', () => {
    expect(parseMessage(invite([`X: ${'a'.repeat(8189)}`])).ok).toBe(true)
    expect(parseMessage(invite([`X: ${'a'.repeat(8190)}`]))).toMatchObject({
      status: 400,
      reason: 'Header Field Too Long',
    })
    expect(parseMessage(invite([`X: a\r\n ${'a'.repeat(8190)}`]))).toMatchObject({ status: 400 })
  })

  it('allow 512 characters a Content-Type and no more, since its reader takes the square of that', () => {
    const type = (length: number) => invite([`Content-Type: multipart/mixed;x=${'a'.repeat(length - 18)}`])
    expect(parseMessage(type(512)).ok).toBe(true)
    expect(parseMessage(type(513))).toMatchObject({ status: 400, reason: 'Content-Type Too Long' })
  })

  it('count a byte of a Content-Type that is neither ASCII nor UTF-8 as the three that it is when it was read as UTF-8', () => {
    const type = (bytes: number, byte = '\xff') => invite([`Content-Type: text/${byte.repeat(bytes)}`])
    const replaced = Buffer.from('\ufffd').toString('latin1')
    expect(parseMessage(type(169, replaced)).ok).toBe(true)
    expect(parseMessage(type(170, replaced))).toMatchObject({ status: 400, reason: 'Content-Type Too Long' })
    expect(parseMessage(type(169)).ok).toBe(true)
    expect(parseMessage(type(170))).toMatchObject({ status: 400, reason: 'Content-Type Too Long' })
  })

  it('allow 65,536 characters a message and no more (RFC 3261 §21.5.7)', () => {
    const room = 65_536 - invite().length
    expect(parseMessage(invite([], 'a'.repeat(room))).ok).toBe(true)
    expect(parseMessage(invite([], 'a'.repeat(room + 1)))).toMatchObject({ status: 513, reason: 'Message Too Large' })
  })
})

describe('a message from our own side', () => {
  it('may lack what is added later, and count characters in its Content-Length', () => {
    const text = 'BYE placeholder SIP/2.0\r\nX-Name: Jürgen\r\ncontent-length: 99\r\n\r\nv=ü'
    const result = readMessage(text)
    if (!result.ok) throw new Error(result.reason)
    expect(result.message).toMatchObject({ method: 'BYE', uri: 'placeholder', body: 'v=ü', callId: '' })
    expect(result.message.get('X-Name')).toBe('Jürgen')
  })

  it('may have lines longer and more than a message from the network', () => {
    const lines = Array.from({ length: 300 }, () => `X-Name: ${'a'.repeat(9000)}\r\n`).join('')
    expect(readMessage(`BYE placeholder SIP/2.0\r\n${lines}\r\n`).ok).toBe(true)
  })

  it.each([
    ['a start line of one word', 'BYE\r\n\r\n'],
    ['a bare LF', 'BYE a SIP/2.0\nX: 1\r\n\r\n'],
    ['a bare CR', 'BYE a SIP/2.0\r\nX: 1\r2\r\n\r\n'],
    ['NUL', 'BYE a SIP/2.0\r\nX: \0\r\n\r\n'],
    ['a line without colon', 'BYE a SIP/2.0\r\nX\r\n\r\n'],
    ['two From', 'BYE a SIP/2.0\r\nFrom: <sip:a@h>\r\nf: <sip:b@h>\r\n\r\n'],
    ['no empty line', 'BYE a SIP/2.0\r\nX: 1\r\n'],
  ])('is refused with %s', (_title, text) => {
    expect(readMessage(text).ok).toBe(false)
  })
})
