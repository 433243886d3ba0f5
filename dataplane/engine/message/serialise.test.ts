import { describe, expect, it } from 'vitest'
import { parseMessage } from './parse.ts'
import { buildResponse } from './response.ts'
import { serialise, serialiseText, UnsafeHeaderError } from './serialise.ts'

const START = 'INVITE sip:b@example.com SIP/2.0'

describe('a message written', () => {
  it('has its header fields in order, long names, and its own Content-Length', () => {
    const headers = [
      ['v', 'SIP/2.0/UDP h;branch=b'],
      ['content-length', '99'],
      ['X-own', 'a'],
    ] as const
    expect(serialiseText({ startLine: START, headers, body: 'v=0' })).toBe(
      `${START}\r\nVia: SIP/2.0/UDP h;branch=b\r\nX-own: a\r\nContent-Length: 3\r\n\r\nv=0`,
    )
  })

  it('counts bytes, in latin1 and in UTF-8', () => {
    const parts = { startLine: START, headers: [['Subject', 'Jürgen']], body: 'ü' } as const
    expect(serialise(parts).toString('latin1')).toContain('Jürgen\r\nContent-Length: 1\r\n\r\nü')
    expect(serialise(parts, 'utf8').toString('utf8')).toContain('Jürgen\r\nContent-Length: 2\r\n\r\nü')
    expect(serialiseText(parts, 'utf8')).toContain('Content-Length: 2')
  })

  it('carries a body of bytes as it is', () => {
    const body = Buffer.from([0, 255, 13, 10])
    const bytes = serialise({ startLine: START, headers: [], body })
    expect(bytes.subarray(-4)).toEqual(body)
    expect(bytes.toString('latin1')).toContain('Content-Length: 4\r\n')
    expect(serialiseText({ startLine: START, headers: [], body })).toBe(bytes.toString('latin1'))
  })

  it.each([
    ['CR and LF in a value', START, 'Subject', 'a\r\nX: b'],
    ['a bare CR in a value', START, 'Subject', 'a\rb'],
    ['a bare LF in a value', START, 'Subject', 'a\nb'],
    ['NUL in a value', START, 'Subject', 'a\0b'],
    ['LF in a name', START, 'Subject: a\nX', 'b'],
    ['a colon in a name', START, 'X: y', 'b'],
    ['an empty name', START, '', 'b'],
    ['CR and LF in the start line', `${START}\r\nX: y`, 'Subject', 'a'],
    // Its lower byte is LF: cut down to latin1 it would begin a new line.
    ['a character that latin1 would cut down to LF', START, 'Subject', 'a\u010ab'],
  ])('is refused with %s', (_what, startLine, name, value) => {
    expect(() => serialise({ startLine, headers: [[name, value]] })).toThrow(UnsafeHeaderError)
    expect(() => serialiseText({ startLine, headers: [[name, value]] })).toThrow(UnsafeHeaderError)
  })

  it('is refused with a body that latin1 cannot carry, and taken in UTF-8', () => {
    const parts = { startLine: START, headers: [], body: '\u0444' }
    expect(() => serialise(parts)).toThrow(/above U\+00FF/)
    expect(serialise(parts, 'utf8').toString('utf8')).toContain('Content-Length: 2')
  })

  it('reads as it was written', () => {
    const headers: [string, string][] = [
      ['Via', 'SIP/2.0/UDP h;branch=z9hG4bKb'],
      ['From', '"A, \\"B\\"" <sip:a@h>;tag=1'],
      ['To', '<sip:b@h>'],
      ['Call-ID', 'x'],
      ['CSeq', '1 INVITE'],
      ['X-Own', 'a;b,c'],
      ['Subject', ''],
    ]
    const result = parseMessage(serialise({ startLine: START, headers, body: 'v=0' }).toString('latin1'))
    if (!result.ok) throw new Error(result.reason)
    expect([...result.message.headers()]).toEqual([...headers, ['Content-Length', '3']])
    expect(result.message.body).toBe('v=0')
  })
})

describe('a response', () => {
  const request = (...extra: string[]) => {
    const lines = [
      START,
      'Via: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/UDP two;branch=z9hG4bK2',
      'v: SIP/2.0/UDP three;branch=z9hG4bK3',
      'f: <sip:a@h>;tag=1',
      'Call-ID: x',
      'CSeq: 7 INVITE',
      'Record-Route: <sip:p1;lr>, <sip:p2;lr>',
      'Timestamp: 54',
      'Subject: not copied',
      ...(extra.length === 0 ? ['To: "B" <sip:b@h>'] : extra),
    ]
    const result = parseMessage(`${lines.join('\r\n')}\r\n\r\n`)
    if (!result.ok) throw new Error(result.reason)
    return result.message
  }

  it('has what it takes from its request (RFC 3261 §8.2.6.2), and the route set of a dialog (§12.1.1)', () => {
    const parts = buildResponse(request(), { status: 180, toTag: 't', headers: [['Contact', '<sip:b@h>']] })
    expect(serialiseText(parts).split('\r\n')).toEqual([
      'SIP/2.0 180 Ringing',
      'Via: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/UDP two;branch=z9hG4bK2',
      'Via: SIP/2.0/UDP three;branch=z9hG4bK3',
      'Record-Route: <sip:p1;lr>, <sip:p2;lr>',
      'From: <sip:a@h>;tag=1',
      'To: "B" <sip:b@h>;tag=t',
      'Call-ID: x',
      'CSeq: 7 INVITE',
      'Contact: <sip:b@h>',
      'Content-Length: 0',
      '',
      '',
    ])
  })

  it('keeps the tag that To has (RFC 3261 §8.2.6.2)', () => {
    const parts = buildResponse(request('To: <sip:b@h>;tag=old'), { status: 200, toTag: 'new' })
    expect(parts.headers).toContainEqual(['To', '<sip:b@h>;tag=old'])
  })

  it('of 100 has no tag and no routes, but the Timestamp (RFC 3261 §8.2.6.1)', () => {
    const text = serialiseText(buildResponse(request(), { status: 100, toTag: 't' }))
    expect(text).toContain('To: "B" <sip:b@h>\r\n')
    expect(text).toContain('Timestamp: 54\r\n')
    expect(text).not.toContain('Record-Route')
  })

  it('of a failure has no routes', () => {
    expect(serialiseText(buildResponse(request(), { status: 404 }))).not.toContain('Record-Route')
  })

  it('has the reason given, or the registered one', () => {
    expect(buildResponse(request(), { status: 486 }).startLine).toBe('SIP/2.0 486 Busy Here')
    expect(buildResponse(request(), { status: 486, reason: 'No' }).startLine).toBe('SIP/2.0 486 No')
    expect(buildResponse(request(), { status: 499 }).startLine).toBe('SIP/2.0 499 Client Error')
  })

  it('can be made of a malformed request, with what it has', () => {
    const malformed = parseMessage(`${START}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: x y\r\nX:\n1\r\n\r\n`)
    if (malformed.ok || malformed.message === undefined) throw new Error('not refused with a message')
    const text = serialiseText(buildResponse(malformed.message, { status: malformed.status, reason: malformed.reason }))
    expect(text).toMatch(
      /^SIP\/2\.0 400 .*\r\nVia: SIP\/2\.0\/UDP h;branch=z9hG4bK1\r\nFrom: x y\r\nContent-Length: 0\r\n\r\n$/,
    )
  })
})
