import { describe, expect, it } from 'vitest'
import { parseMessage } from './parse.ts'

/** Lines ended by CRLF, then the empty line and the body. */
function text(lines: readonly string[], body = ''): string {
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

/** A request without fault but for the lines given, which take the place of those of the same name or are added. */
function request(start: string, ...lines: string[]): string {
  const method = start.split(' ')[0] ?? ''
  const usual = [
    'Max-Forwards: 70',
    'To: sip:j.user@example.com',
    'From: sip:caller@example.net;tag=134161461246',
    'Call-ID: torture.0ha0isndaksdj',
    `CSeq: 8 ${method}`,
    'Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw',
    'Content-Length: 0',
  ]
  const given = new Set(lines.map(nameOf))
  return text([start, ...usual.filter((line) => !given.has(nameOf(line))), ...lines])
}

function nameOf(line: string): string {
  return line.slice(0, line.search(/[ :]/)).toLowerCase()
}

function response(status: string, ...lines: string[]): string {
  return request('OPTIONS sip:a@example.com SIP/2.0', ...lines).replace(/^[^\r]*/, `SIP/2.0 ${status}`)
}

const TORTUOUS = text(
  [
    'INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0',
    'TO :',
    ' sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n',
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
    '  ;',
    '  tag = 98asjd8',
    'MaX-fOrWaRdS: 0068',
    'Call-ID: wsinv.ndaksdj@192.0.2.1',
    'Content-Length   : 5',
    'cseq: 0009',
    '  INVITE',
    'Via  : SIP  /   2.0',
    ' /UDP',
    '    192.0.2.2;branch=390skdjuw',
    's :',
    'NewFangledHeader:   newfangled value',
    ' continued newfangled value',
    'UnknownHeaderWithUnusualValue: ;;,,;;,;',
    'Content-Type: application/sdp',
    'Route:',
    ' <sip:services.example.com;lr;unknownwith=value;unknown-no-value>',
    'v:  SIP  / 2.0  / TCP     spindle.example.com   ;',
    '  branch  =   z9hG4bK9ikj8  ,',
    ' SIP  /    2.0   / UDP  192.168.255.111   ; branch=',
    ' z9hG4bK30239',
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
    '      newvalue ;',
    '  secondparam ; q = 0.33',
  ],
  'v=0\r\n',
)

const WIDE = "!interesting-Method0123456789_*+`.%indeed'~"

describe('valid messages of RFC 4475', () => {
  it.each([
    ['§3.1.1.1 a short tortuous INVITE', TORTUOUS],
    [
      '§3.1.1.2 a wide range of valid characters',
      request(
        `${WIDE} sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0`,
        'To: "BEL:\\\x07 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
        `From: token1~\` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="работающий";tag=_token~1'+\`*%!-.`,
        'Call-ID: intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{',
        "extensionHeader-!.%*+_`'~: \ufeff大停電",
      ),
    ],
    [
      '§3.1.1.3 %-escapes',
      request(
        'INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0',
        'To: sip:%75se%72@example.com',
        'From: <sip:I%20have%20spaces@example.net>;tag=938',
      ),
    ],
    [
      '§3.1.1.4 escaped NUL in URIs',
      request(
        'REGISTER sip:example.com SIP/2.0',
        'To: sip:null-%00-null@example.com',
        'From: sip:null-%00-null@example.com;tag=8',
        'Contact: <sip:%00@host5.example.com>',
        'Contact: <sip:%00%00@host5.example.com>',
      ),
    ],
    [
      '§3.1.1.5 % where it is no escape',
      request(
        'RE%47IST%45R sip:registrar.example.com SIP/2.0',
        'Contact: <sip:alias1@host1.example.com>',
        'C%6Fntact: <sip:alias2@host2.example.com>',
        'Contact: <sip:alias3@host3.example.com>',
      ),
    ],
    [
      '§3.1.1.6 no space between display name and bracket',
      request('OPTIONS sip:user@example.com SIP/2.0', 'From: caller<sip:caller@example.com>;tag=323'),
    ],
    [
      '§3.1.1.7 long values',
      request(
        'INVITE sip:user@example.com SIP/2.0',
        `To: "I have a user name of ${'extreme '.repeat(30)}proportion" <sip:user@example.com:6000;unknownparam1=${'very'.repeat(40)}>`,
        `Call-ID: ${'long.'.repeat(40)}callid`,
        ...Array.from(
          { length: 34 },
          (_, hop) => `v: SIP/2.0/TCP sip${hop}.example.com;branch=z9hG4bK${'very'.repeat(20)}${hop}`,
        ),
      ),
    ],
    ['§3.1.1.9 semicolons in the user part', request('OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0')],
    [
      '§3.1.1.10 many transports',
      request(
        'OPTIONS sip:user@example.com SIP/2.0',
        'Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw',
        'Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf',
        'Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en',
      ),
    ],
    ['§3.1.1.12 an unusual reason phrase', response('200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e')],
    ['§3.1.1.13 an empty reason phrase', response('100 ')],
    [
      '§3.3.4 unknown URI schemes in header fields',
      request(
        'REGISTER sip:example.com SIP/2.0',
        'To: isbn:2983792873',
        'From: <http://www.example.com>;tag=3234233',
        'Contact: <name:John_Smith>',
      ),
    ],
    [
      '§3.3.11 Max-Forwards of zero, which is for the next layer',
      request('OPTIONS sip:user@example.com SIP/2.0', 'Max-Forwards: 0'),
    ],
    [
      '§3.3.13 url parameters in a Contact',
      request('REGISTER sip:example.com SIP/2.0', 'Contact: <sip:+19725552222@gw1.example.net;unknownparam>'),
    ],
    [
      '§3.3.14 escaped headers in a Contact',
      request('REGISTER sip:example.com SIP/2.0', 'Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>'),
    ],
    [
      '§3.4.1 an RFC 2543 INVITE, without branch, tag and Max-Forwards',
      text([
        'INVITE sip:UserB@example.com SIP/2.0',
        'Via: SIP/2.0/UDP iftgw.example.com',
        'From: <sip:+13035551111@ift.client.example.net;user=phone>',
        'To: sip:+16505552222@ss1.example.net;user=phone',
        'Call-ID: inv2543.1717@ift.client.example.com',
        'CSeq: 56 INVITE',
        'Content-Length: 0',
      ]),
    ],
  ])('%s is accepted', (_title, message) => {
    expect(parseMessage(message)).toMatchObject({ ok: true })
  })

  it('§3.1.1.1: what is folded, spaced and abbreviated reads as anything else', () => {
    const result = parseMessage(TORTUOUS)
    if (!result.ok) throw new Error(result.reason)
    const { message } = result
    expect(message).toMatchObject({
      fromTag: '98asjd8',
      toTag: '1918181833n',
      cseq: 9,
      branch: '390skdjuw',
      sentBy: '192.0.2.2',
      body: 'v=0\r\n',
    })
    expect(message.values('Via')).toHaveLength(3)
    expect(message.get('Subject')).toBe('')
    expect(message.get('newfangledheader')).toBe('newfangled value continued newfangled value')
    expect(message.text).not.toMatch(/\r\n[ \t]/)
  })

  it('§3.1.1.2: NUL is refused even where the grammar has it, escaped in a display name', () => {
    const message = request('INVITE sip:a@example.com SIP/2.0', 'To: "NUL:\\\0" <sip:a@example.com>')
    expect(parseMessage(message)).toMatchObject({ ok: false, status: 0 })
  })

  it('a response is not refused for its Contact', () => {
    expect(parseMessage(response('200 OK', 'Contact: <sip:a@h'))).toMatchObject({ ok: true })
  })

  it('§3.1.1.8: octets after the body are no part of the message', () => {
    const first = request('REGISTER sip:example.com SIP/2.0')
    const result = parseMessage(first + request('INVITE sip:joe@example.com SIP/2.0'))
    expect(result).toMatchObject({ ok: true, message: { method: 'REGISTER', text: first, body: '' } })
  })

  it('§3.1.1.11: a body is anything', () => {
    const body = '--7a9cbec02ceef655\r\n\r\n\0\x01\xff\r\rbinary\n--7a9cbec02ceef655--'
    const result = parseMessage(request('MESSAGE sip:a@h SIP/2.0', `Content-Length: ${body.length}`) + body)
    expect(result).toMatchObject({ ok: true, message: { body } })
  })
})

const INVITE = 'INVITE sip:user@example.com SIP/2.0'

describe('invalid messages of RFC 4475', () => {
  it.each([
    ['§3.1.2.1 extra separators in Contact', request(INVITE, 'Contact: "Joe" <sip:joe@example.org>;;;;'), 400],
    ['§3.1.2.2 Content-Length larger than the message', request(INVITE, 'Content-Length: 9999'), 400],
    ['§3.1.2.3 a negative Content-Length', request(INVITE, 'Content-Length: -999'), 400],
    [
      '§3.1.2.4 an overlarge CSeq',
      request('REGISTER sip:example.com SIP/2.0', 'CSeq: 36893488147419103232 REGISTER'),
      400,
    ],
    ['§3.1.2.4 an overlarge Max-Forwards', request('REGISTER sip:example.com SIP/2.0', 'Max-Forwards: 300'), 400],
    ['§3.1.2.6 an open quote in a display name', request(INVITE, 'To: "Mr. J. User <sip:j.user@example.com>'), 400],
    ['§3.1.2.7 brackets around the Request-URI', request('INVITE <sip:user@example.com> SIP/2.0'), 400],
    ['§3.1.2.8 white space in the Request-URI', request('INVITE sip:user@example.com; lr SIP/2.0'), 400],
    ['§3.1.2.9 several spaces in the request line', request('INVITE  sip:user@example.com  SIP/2.0'), 400],
    [
      '§3.1.2.10 a space at the end of the request line',
      request('OPTIONS sip:remote-target@example.com SIP/2.0  '),
      400,
    ],
    [
      '§3.1.2.11 escaped headers in the Request-URI',
      request('INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0'),
      400,
    ],
    [
      '§3.1.2.13 a Contact with question mark and no brackets',
      request('REGISTER sip:example.com SIP/2.0', 'Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E'),
      400,
    ],
    [
      '§3.1.2.14 spaces within an address',
      request('OPTIONS sip:user@example.org SIP/2.0', 'To: "Watson, Thomas" < sip:t.watson@example.org >'),
      400,
    ],
    [
      '§3.1.2.15 a comma in an unquoted display name',
      request('OPTIONS sip:user@example.org SIP/2.0', 'From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43'),
      400,
    ],
    ['§3.1.2.16 an unknown version', request('OPTIONS sip:t.watson@example.org SIP/7.0'), 505],
    ['§3.1.2.17 a CSeq of another method', request('OPTIONS sip:user@example.com SIP/2.0', 'CSeq: 8 INVITE'), 400],
    [
      '§3.1.2.18 a CSeq of another method, the method unknown',
      request('NEWMETHOD sip:user@example.com SIP/2.0', 'CSeq: 8 INVITE'),
      400,
    ],
    [
      '§3.2.1 a branch with nothing after its cookie',
      request('OPTIONS sip:user@example.com SIP/2.0', 'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK'),
      400,
    ],
    [
      '§3.3.1 no Call-ID, From and To',
      text([INVITE, 'CSeq: 193942 INVITE', 'Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf']),
      400,
    ],
    [
      '§3.3.2 an unknown scheme in the Request-URI',
      request('OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0'),
      416,
    ],
    ['§3.3.3 a known scheme that is none of ours', request('OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0'), 416],
    ['§3.3.8 several values where there is one', request(INVITE, 'CSeq: 5 INVITE', 'CSeq: 59 INVITE'), 400],
    ['§3.3.8 several Call-IDs', request(INVITE, 'Call-ID: 98asdh@192.0.2.1', 'Call-ID: 98asdh@192.0.2.2'), 400],
    [
      '§3.3.8 several From',
      request(INVITE, 'From: <sip:caller@example.com>;tag=3413415', 'From: sip:user@example.net;tag=2'),
      400,
    ],
    [
      '§3.3.9 two Content-Lengths',
      request('OPTIONS sip:user@example.com SIP/2.0', 'Content-Length: 0', 'Content-Length: 5'),
      400,
    ],
  ])('%s gets %3$i', (_title, message, status) => {
    const result = parseMessage(message)
    expect(result).toMatchObject({ ok: false, status, message: { sentBy: expect.stringContaining('192.0.2') } })
  })

  it.each([
    ['§3.1.2.1 extra separators in the only Via', request(INVITE, 'Via: SIP/2.0/UDP 192.0.2.15;;,;,,')],
    [
      '§3.1.2.5 a response with an overlarge CSeq',
      response('503 Service Unavailable', 'CSeq: 9292394834772304023312 OPTIONS'),
    ],
    ['§3.1.2.19 an overlarge status code', response('4294967301 better not break the receiver')],
  ])('%s gets no answer', (_title, message) => {
    expect(parseMessage(message)).toMatchObject({ ok: false, status: 0, message: undefined })
  })
})

describe('messages of RFC 5118', () => {
  it.each([
    ['§4.1 an IPv6 reference in the Request-URI', 'REGISTER sip:[2001:db8::10] SIP/2.0', 200],
    ['§4.2 no brackets around it', 'REGISTER sip:2001:db8::10 SIP/2.0', 400],
    ['§4.3 what looks like a port is part of the address', 'REGISTER sip:[2001:db8::10:5070] SIP/2.0', 200],
    ['§4.4 a port after the brackets', 'REGISTER sip:[2001:db8::10]:5070 SIP/2.0', 200],
  ])('%s', (_title, start, status) => {
    const result = parseMessage(request(start))
    expect(result.ok ? 200 : result.status).toBe(status)
  })

  it('§4.5: received with and without brackets', () => {
    for (const received of ['[2001:db8::9:255]', '2001:db8::9:255']) {
      const via = `Via: SIP/2.0/UDP [2001:db8::9:1];received=${received};branch=z9hG4bKas3`
      expect(parseMessage(request('BYE sip:user@[2001:db8::10] SIP/2.0', via))).toMatchObject({ ok: true })
    }
  })
})
