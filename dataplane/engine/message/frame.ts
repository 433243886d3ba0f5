import { isIn, TOKEN } from './chars.ts'
import { limits } from './scan.ts'

/** What a piece of a stream brought. */
export interface Framed {
  /** Whole messages, in order. */
  readonly messages: Buffer[]
  /** Double CRLFs between messages, each of which wants a single CRLF back (RFC 5626 §3.5.1). */
  pings: number
  /** Answers to pings of our own: a single CRLF each. */
  pongs: number
  /** Why the stream is out of step: nothing after this can be understood, and it has to be closed. */
  error: string | undefined
}

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Cuts a stream into SIP messages. RFC 3261 §18.3: "the Content-Length header field indicates the size of the body. The
 * Content-Length header field MUST be used with stream oriented transports." Time is linear in the bytes, however they are cut.
 */
export class StreamFramer {
  /** Bytes of the message that is not whole yet: the first `#length` of the buffer. */
  #pending = Buffer.alloc(0)
  #length = 0
  /** No end of the header fields before here. */
  #searched = 0
  /** Length of the message once its header fields are in; 0 before. */
  #wanted = 0
  /** CRLFs since the last message, or the last ping of our own, that answered nothing. */
  #emptyLines = 0
  #error: string | undefined
  /** A ping of our own is out: the next single CRLF between messages answers it, and sets this back. */
  pongDue = false

  /** A ping of our own goes out. What came before is no answer to it. */
  pinged(): void {
    this.pongDue = true
    this.#emptyLines = 0
  }

  /** Takes the next bytes in. After an error there is nothing but that error. */
  push(chunk: Buffer): Framed {
    const framed: Framed = { messages: [], pings: 0, pongs: 0, error: this.#error }
    let rest = chunk
    while (rest.length > 0 && this.#error === undefined) rest = this.#take(rest, framed)
    this.#countPong(framed)
    framed.error = this.#error
    return framed
  }

  /** Takes one message, or what there is of it, and gives what is left. */
  #take(chunk: Buffer, framed: Framed): Buffer {
    if (this.#length > 0) return this.#extend(chunk, framed)
    const start = this.#skipEmptyLines(chunk, framed)
    if (start === chunk.length) return chunk.subarray(start)
    const first = chunk[start] ?? 0
    const rest = chunk.subarray(start)
    const halfEmptyLine = first === 13 && rest.length === 1
    if (!halfEmptyLine && !isIn(first, TOKEN)) return this.#fail('The stream does not speak SIP')
    const headEnd = rest.indexOf(HEAD_END)
    const wanted = headEnd < 0 ? 0 : this.#messageLength(rest, headEnd + 4)
    if (this.#error === undefined && wanted > 0 && wanted <= rest.length) {
      this.#deliver(rest.subarray(0, wanted), framed)
      return rest.subarray(wanted)
    }
    return this.#extend(rest, framed)
  }

  /** Adds to the message in the making as much of the chunk as belongs to it. */
  #extend(chunk: Buffer, framed: Framed): Buffer {
    const before = this.#length
    // A carriage return alone was held, to see whether an empty line or nonsense follows.
    if (before === 1 && this.#pending[0] === 13) {
      if (chunk[0] !== 10) return this.#fail('The stream does not speak SIP')
      this.#length = 0
      this.#countEmptyLine(framed)
      return chunk.subarray(1)
    }
    this.#append(this.#wanted > 0 ? chunk.subarray(0, this.#wanted - before) : chunk)
    if (this.#wanted === 0 && !this.#findHead()) return chunk.subarray(chunk.length)
    if (this.#error !== undefined || this.#wanted > this.#length) return chunk.subarray(chunk.length)
    const used = this.#wanted - before
    this.#deliver(this.#pending.subarray(0, this.#wanted), framed)
    this.#pending = Buffer.alloc(0)
    this.#length = this.#searched = this.#wanted = 0
    return chunk.subarray(used)
  }

  #deliver(message: Buffer, framed: Framed): void {
    this.#countPong(framed)
    framed.messages.push(message)
    this.#emptyLines = 0
  }

  #findHead(): boolean {
    const headEnd = this.#pending.subarray(0, this.#length).indexOf(HEAD_END, Math.max(0, this.#searched - 3))
    this.#searched = this.#length
    if (headEnd >= 0) this.#wanted = this.#messageLength(this.#pending, headEnd + 4)
    else if (this.#length > limits.messageBytes) this.#fail('A message is too large')
    return headEnd >= 0
  }

  #append(bytes: Buffer): void {
    const length = this.#length + bytes.length
    if (length > this.#pending.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#pending.length, 2048))
      this.#pending.copy(larger, 0, 0, this.#length)
      this.#pending = larger
    }
    bytes.copy(this.#pending, this.#length)
    this.#length = length
  }

  /** Index of the first byte that is no part of an empty line. */
  #skipEmptyLines(chunk: Buffer, framed: Framed): number {
    let at = 0
    while (chunk[at] === 13 && chunk[at + 1] === 10) {
      this.#countEmptyLine(framed)
      at += 2
    }
    return at
  }

  #countEmptyLine(framed: Framed): void {
    this.#emptyLines++
    if (this.#emptyLines % 2 === 0) framed.pings++
  }

  /**
   * A CRLF without a second one is the answer to our ping. One with a second is a ping of the peer's own, which crossed ours:
   * to take half of it for an answer would make a peer that answers none look like one that has stopped to.
   */
  #countPong(framed: Framed): void {
    if (!this.pongDue || this.#emptyLines % 2 === 0) return
    this.pongDue = false
    this.#emptyLines--
    framed.pongs++
  }

  /** Length of the whole message by the header fields it begins with; 0 when they do not tell. */
  #messageLength(bytes: Buffer, headLength: number): number {
    const body = contentLength(bytes.toString('latin1', 0, headLength))
    if (typeof body === 'string') this.#fail(body)
    else if (headLength + body > limits.messageBytes) this.#fail('A message is too large')
    else return headLength + body
    return 0
  }

  #fail(error: string): Buffer {
    this.#error = error
    this.#pending = Buffer.alloc(0)
    this.#length = 0
    return this.#pending
  }
}

/** WebSocket keeps messages apart by itself (RFC 7118 §5.1), so that each piece is one, or a keepalive. */
export class WholeMessages {
  /** A ping of our own is out: the next CRLF answers it, and sets this back. */
  pongDue = false

  pinged(): void {
    this.pongDue = true
  }

  push(piece: Buffer): Framed {
    const framed: Framed = { messages: [], pings: 0, pongs: 0, error: undefined }
    const text = piece.length <= 4 ? piece.toString('latin1') : ''
    if (text === '\r\n\r\n') framed.pings++
    else if (text === '\r\n') {
      if (this.pongDue) framed.pongs++
      this.pongDue = false
    } else if (piece.length > 0) framed.messages.push(piece)
    return framed
  }
}

/** The number in Content-Length, or why there is none to rely on. */
function contentLength(head: string): number | string {
  const field = /\r\n(?:Content-Length|l)[ \t]*:([^\r]*(?:\r\n[ \t][^\r]*)*)/gi
  let length = -1
  for (let found = field.exec(head); found !== null; found = field.exec(head)) {
    const digits = (found[1] ?? '').trim()
    if (!/^\d{1,9}$/.test(digits)) return 'A message has a malformed Content-Length'
    if (length >= 0 && length !== Number(digits)) return 'A message has two different Content-Lengths'
    length = Number(digits)
  }
  return length < 0 ? 'A message has no Content-Length' : length
}
