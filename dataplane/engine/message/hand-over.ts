import { randomUUID } from 'node:crypto'
import { readMessage } from './parse.ts'
import type { SipMessage } from './sip-message.ts'

/** The header field of an order in whose place a whole message was handed over. */
export const HANDED_OVER = 'X-Handed-Over'

/**
 * Messages on their way between the engine and an application of the same process. In the frames that go between them stands
 * a short message in the place of each, with what the protocol's library reads itself; the port behind it takes the message
 * by that, as the engine has read it. Text that is not ASCII is read in two ways, byte by byte and as UTF-8, so it stays
 * in the frame. What the application orders goes the other way likewise, whatever it holds.
 */
export class HandOver {
  readonly #orders = new Map<string, string>()
  /** Begins what an order is handed over by. It is random: no header field that a peer has sent is taken for it. */
  readonly #prefix = `${randomUUID()}-`
  readonly #mark = `\r\n${HANDED_OVER}: ${this.#prefix}`
  #now = new Map<string, SipMessage | string>()
  #before = new Map<string, SipMessage | string>()
  #count = 0
  #closed = false

  /** The text for the frame that stands for the message. */
  put(message: SipMessage): string {
    const { text, callId, cseq, method } = message
    if (!isPlain(text)) return text
    // What drachtio-srf makes a PRACK of (RFC 3262 section 7.2).
    const rseq = message.kind === 'response' ? message.get('RSeq') : undefined
    return this.#keep(text, callId, rseq === undefined ? '' : `CSeq: ${cseq} ${method}\r\nRSeq: ${rseq}\r\n`, message)
  }

  /** The same of a message that was written, not read: it is read when somebody takes it. */
  putWritten(text: string): string {
    const [, callId, cseq] = /\r\nCall-ID: ([^\r\n]*)\r\n(CSeq: [^\r\n]*\r\n)/.exec(text) ?? []
    if (callId === undefined || cseq === undefined || !isPlain(text)) return text
    return this.#keep(text, callId, cseq, text)
  }

  /** What the text of a frame stands for; undefined when it stands for itself. */
  take(text: string): SipMessage | undefined {
    const found = this.#now.get(text) ?? this.#before.get(text)
    if (typeof found !== 'string') return found
    const read = readMessage(found)
    return read.ok ? read.message : undefined
  }

  /** Value of the header field `HANDED_OVER` for an order that stands for the message, which is to be sent. */
  order(text: string): string {
    const number = String(++this.#count)
    // The engine has one character per byte.
    if (!this.#closed) this.#orders.set(number, isPlain(text) ? text : Buffer.from(text).toString('latin1'))
    return this.#prefix + number
  }

  /** The message that an order stands for; the text of the order where it stands for itself. Can be taken once. */
  takeOrder(text: string): string {
    const at = text.indexOf(this.#mark)
    if (at < 0) return text
    const start = at + this.#mark.length
    const number = text.slice(start, text.indexOf('\r\n', start))
    const order = this.#orders.get(number)
    this.#orders.delete(number)
    return order ?? text
  }

  /** The connection has ended, and with it the orders that are on their way; of later ones nothing is kept either. */
  close(): void {
    this.#closed = true
    this.#orders.clear()
  }

  /** Frames leave: what those before them stood for is taken by now, or never. */
  turn(): void {
    const done = this.#before
    done.clear()
    this.#before = this.#now
    this.#now = done
  }

  #keep(text: string, callId: string, more: string, kept: SipMessage | string): string {
    const startLine = text.slice(0, text.indexOf('\r\n'))
    const short = `${startLine}\r\nCall-ID: ${callId}\r\n${more}${HANDED_OVER}: ${++this.#count}\r\n\r\n`
    this.#now.set(short, kept)
    return short
  }
}

/** Whether its bytes are the same in both encodings: ASCII alone has one byte a character in UTF-8. */
function isPlain(text: string): boolean {
  return Buffer.byteLength(text) === text.length
}
