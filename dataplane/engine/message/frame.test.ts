import { describe, expect, it } from 'vitest'
import { invalidMessages } from '../testdata/torture-invalid.ts'
import type { TortureMessage } from '../testdata/torture-message.ts'
import { semanticMessages } from '../testdata/torture-semantics.ts'
import { binaryBody, tortuous, twoRequests, validMessages } from '../testdata/torture-valid.ts'
import { StreamFramer } from './frame.ts'

function message(call: number, body = ''): string {
  return `OPTIONS sip:a@h SIP/2.0\r\nCall-ID: ${call}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

/** What comes out when the stream is cut into pieces of that size. */
function frame(stream: string, size: number): { messages: string[]; pings: number; error: string | undefined } {
  const framer = new StreamFramer()
  const bytes = Buffer.from(stream, 'latin1')
  const messages: Buffer[] = []
  let pings = 0
  let error: string | undefined
  for (let at = 0; at < bytes.length; at += size) {
    const framed = framer.push(bytes.subarray(at, at + size))
    messages.push(...framed.messages)
    pings += framed.pings
    error = framed.error
  }
  return { messages: messages.map((bytes) => bytes.toString('latin1')), pings, error }
}

describe.each([1, 2, 3, 7, 64, 100_000])('a stream in pieces of %i bytes', (size) => {
  it('is cut into its messages', () => {
    const messages = [message(1), message(2, 'v=0\r\n\r\n\0'), message(3, 'x'.repeat(5000)), message(4)]
    expect(frame(messages.join(''), size)).toEqual({ messages, pings: 0, error: undefined })
  })

  it('tells of each double CRLF between messages (RFC 5626 §3.5.1)', () => {
    const stream = `\r\n\r\n${message(1)}\r\n\r\n\r\n\r\n${message(2)}\r\n${message(3)}`
    expect(frame(stream, size)).toEqual({ messages: [message(1), message(2), message(3)], pings: 3, error: undefined })
  })

  it.each([
    ['l', 'OPTIONS sip:a@h SIP/2.0\r\nl:3\r\n\r\nabc'],
    ['in capitals, with space', 'OPTIONS sip:a@h SIP/2.0\r\nCONTENT-LENGTH  :  3 \r\n\r\nabc'],
    ['folded', 'OPTIONS sip:a@h SIP/2.0\r\nContent-Length:\r\n 3\r\n\r\nabc'],
    ['said twice', 'OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 3\r\nl: 3\r\n\r\nabc'],
  ])('reads a Content-Length %s', (_how, text) => {
    expect(frame(text + message(1), size).messages).toEqual([text, message(1)])
  })

  it.each([
    [
      'a message has no Content-Length (RFC 3261 §18.3)',
      'OPTIONS sip:a@h SIP/2.0\r\nCall-ID: 1\r\n\r\n',
      /no Content-Length/,
    ],
    ['Content-Length is negative', 'OPTIONS sip:a@h SIP/2.0\r\nContent-Length: -1\r\n\r\n', /malformed Content-Length/],
    ['Content-Length is empty', 'OPTIONS sip:a@h SIP/2.0\r\nContent-Length: \r\n\r\n', /malformed Content-Length/],
    [
      'there are two Content-Lengths',
      'OPTIONS sip:a@h SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nab',
      /two different/,
    ],
    ['a message is announced too large', 'OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 65536\r\n\r\n', /too large/],
    ['header fields do not end', `OPTIONS sip:a@h SIP/2.0\r\nX: ${'x'.repeat(70_000)}`, /too large/],
    ['it is something else', '\x16\x03\x01\x02\0\x01\0\x01\xfc', /does not speak SIP/],
    ['a carriage return stands alone', '\rOPTIONS', /does not speak SIP/],
  ])('is out of step when %s', (_why, text, error) => {
    const framed = frame(message(1) + text + message(2), size)
    expect(framed.messages).toEqual([message(1)])
    expect(framed.error).toMatch(error)
  })
})

describe.each([1, 64, 100_000])('messages of RFC 4475 on a stream in pieces of %i bytes', (size) => {
  it('§3.1.1.1, §3.1.1.11: what is folded, and a body with NUL and lone LF, are cut where they end', () => {
    const binary = textOf(validMessages, '3.1.1.11')
    expect(frame(tortuous + binary + tortuous, size).messages).toEqual([tortuous, binary, tortuous])
    expect(binary.endsWith(binaryBody)).toBe(true)
  })

  it('§3.1.1.8: what is one message in a datagram is two here', () => {
    const second = twoRequests.rest.slice(2)
    // The body of the second goes on after its 150 octets.
    expect(frame(twoRequests.first + twoRequests.rest, size).messages).toEqual([twoRequests.first, second.slice(0, -5)])
  })

  it('§3.1.2.2: a Content-Length larger than the message waits for the rest', () => {
    expect(frame(textOf(invalidMessages, '3.1.2.2'), size)).toEqual({ messages: [], pings: 0, error: undefined })
  })

  it.each([
    ['3.1.2.3', invalidMessages],
    ['3.3.9', semanticMessages],
  ])('§%s: "the framing error is not recoverable, and the connection should be closed"', (section, collection) => {
    const { messages, error } = frame(textOf(collection, section), size)
    expect(messages).toEqual([])
    expect(error).toMatch(/Content-Length/)
  })
})

/** The message itself, which stands before what is made of it. */
function textOf(collection: readonly TortureMessage[], section: string): string {
  const torture = collection.find((each) => each.section === section)
  if (torture === undefined) throw new Error(`no message of §${section}`)
  return torture.text
}

describe('CRLFs while a ping of our own is out (RFC 5626 §3.5.1)', () => {
  it.each([
    ['a single one is the answer', '\r\n', 0, 1],
    ['a single one before a message is the answer', `\r\n${message(1)}`, 0, 1],
    ['a double one is a ping of the peer', '\r\n\r\n', 1, 0],
    ['a double one before a message is a ping of the peer', `\r\n\r\n${message(1)}`, 1, 0],
    ['three are both', '\r\n\r\n\r\n', 1, 1],
    ['one and, after a message, two are both', `\r\n${message(1)}\r\n\r\n`, 1, 1],
  ])('%s', (_what, stream, pings, pongs) => {
    const framer = new StreamFramer()
    framer.pinged()
    expect(framer.push(Buffer.from(stream))).toMatchObject({ pings, pongs })
    expect(framer.pongDue).toBe(pongs === 0)
  })

  it('one from before is no answer', () => {
    const framer = new StreamFramer()
    framer.push(Buffer.from(`${message(1)}\r\n`))
    framer.pinged()
    expect(framer.push(Buffer.from(message(2)))).toMatchObject({ pings: 0, pongs: 0 })
    expect(framer.pongDue).toBe(true)
  })

  it('an answer that comes in two pieces is one', () => {
    const framer = new StreamFramer()
    framer.pinged()
    expect(framer.push(Buffer.from('\r'))).toMatchObject({ pings: 0, pongs: 0 })
    expect(framer.push(Buffer.from(`\n${message(1)}`))).toMatchObject({ pings: 0, pongs: 1 })
    expect(framer.pongDue).toBe(false)
  })
})

describe('a framer', () => {
  it('gives messages that later pieces do not change', () => {
    const framer = new StreamFramer()
    const bytes = Buffer.from(message(1, 'abc'))
    framer.push(bytes.subarray(0, 20))
    const [first] = framer.push(bytes.subarray(20)).messages
    framer.push(Buffer.from(message(2, 'x'.repeat(300)).slice(0, 200)))
    expect(first?.toString()).toBe(message(1, 'abc'))
  })

  it('takes time in proportion to the bytes, when they come one by one', () => {
    const fastest = (stream: string): number => {
      const times = Array.from({ length: 4 }, () => {
        const start = performance.now()
        frame(stream, 1)
        return performance.now() - start
      })
      return Math.min(...times)
    }
    const headers = (bytes: number): string => message(1).replace('Call-ID', `${'X:\r\n'.repeat(bytes / 4)}Call-ID`)
    // As many bytes in sixty messages as in one: a search from the start at every byte takes thirty times as long.
    expect(fastest(headers(60_000))).toBeLessThan(10 * fastest(headers(1000).repeat(60)))
  })
})
