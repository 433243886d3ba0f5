import { sourceOf } from './chars.ts'
import { type Identity, readIdentity } from './identity.ts'
import { ParsedMessage } from './parsed-message.ts'
import { type LineLimits, limits, type Scan, scanHeaders, unfold } from './scan.ts'
import { type Problem, readStartLine, type StartLine } from './start-line.ts'
import { endOfReadableVia } from './via.ts'

/**
 * A message, or why it is none. `status` is what to answer, with `reason` as its phrase and `message` to build the
 * answer from; it is 0, without a message, when nothing may be answered: a response, an ACK, or a text whose top Via does
 * not tell where it came from, so that the answer would find no way.
 */
export type ParseResult =
  | { readonly ok: true; readonly message: ParsedMessage }
  | { readonly ok: false; readonly status: 0; readonly reason: string; readonly message: undefined }
  | { readonly ok: false; readonly status: number; readonly reason: string; readonly message: ParsedMessage }

interface Reading {
  readonly text: string
  readonly start: StartLine
  readonly scan: Scan
  readonly identity: Identity
}

/**
 * Reads one whole message from the network and checks what anybody after us could read in two ways. The message's text
 * is what was checked: folded lines are put together, and octets beyond Content-Length are gone.
 */
export function parseMessage(text: string): ParseResult {
  const reading = read(text)
  if (reading === undefined) return refuse('No SIP Message')
  const problem = findProblem(reading, text.length)
  if (problem === undefined) return { ok: true, message: build(reading, bodyEnd(reading)) }
  const { start, identity } = reading
  if (problem.status === 0 || start.kind === 'response') return refuse(problem.reason)
  // RFC 3261 §17.1.1.3 and §8.2: an ACK has no response.
  if (start.method === 'ACK' || identity.cseqMethod === 'ACK') return refuse(problem.reason)
  const answered = answerable(reading)
  if (answered === undefined) return refuse(problem.reason)
  return { ok: false, status: problem.status, reason: problem.reason, message: build(answered, answered.text.length) }
}

/** What the answer to a malformed request is made of, without NUL; undefined where none would find its way. */
function answerable(reading: Reading): Reading | undefined {
  const plain = holdsNul(reading) ? read(reading.text.replaceAll('\0', '?')) : reading
  if (plain === undefined || plain.scan.ambiguous) return undefined
  return plain.identity.topViaEnd < 0 ? withReadableVia(plain) : plain
}

/**
 * The request without the end of its top Via that cannot be read. RFC 4475 §3.1.2.1 has separators without parameters in
 * the only Via: "An element receiving this request should respond with a 400 Bad Request error."
 */
function withReadableVia({ text, start, scan }: Reading): Reading | undefined {
  const line = scan.names.indexOf('Via')
  if (line < 0) return undefined
  const viaEnd = scan.offsets[2 * line + 1] ?? 0
  const cut = endOfReadableVia(sourceOf(text), scan.offsets[2 * line] ?? 0, viaEnd, start.problem?.status === 505)
  const mended = cut < 0 ? undefined : read(text.slice(0, cut) + text.slice(viaEnd))
  return mended === undefined || mended.identity.topViaEnd < 0 ? undefined : mended
}

/**
 * Reads a message that needs no checking against the world: one the engine has let through, or one an application wrote,
 * which may lack what the engine adds, have a placeholder for its Request-URI, and a Content-Length that counts
 * characters. Only its lines have to be readable; they may be longer than what comes from the network, since what is
 * carried grows by a space or the long form of a name.
 */
export function readMessage(text: string): ParseResult {
  const reading = read(text, boundless)
  if (reading === undefined || !reading.start.readable) return refuse('Malformed Start Line')
  if (reading.scan.problem !== undefined) return refuse(reading.scan.problem)
  if (holdsNul(reading)) return refuse('NUL in Header Field')
  return { ok: true, message: build(reading, reading.text.length) }
}

function refuse(reason: string): ParseResult {
  return { ok: false, status: 0, reason, message: undefined }
}

const boundless: LineLimits = { headerLines: Infinity, headerBytes: Infinity }

function read(received: string, bounds: LineLimits = limits): Reading | undefined {
  const begin = skipEmptyLines(received)
  const feed = received.indexOf('\n', begin)
  if (feed < 0) return undefined
  const whole = received.indexOf('\r', begin) === feed - 1
  let source = sourceOf(received)
  const start = readStartLine(source, begin, whole ? feed - 1 : feed)
  const headers = feed + 1 - begin
  const text = withVersion(begin === 0 ? received : received.slice(begin), start, headers)
  if (text !== received) source = sourceOf(text)
  let scan = scanHeaders(source, headers, bounds)
  if (scan.folded) {
    source = sourceOf(unfold(text, headers))
    scan = scanHeaders(source, headers, bounds)
    if (scan.folded) return undefined
  }
  if (!whole) scan.problem = 'Line Not Ended by CRLF'
  const identity = readIdentity(source, scan, start.method, start.problem?.status === 505)
  return { text: source.text, start, scan, identity }
}

/**
 * RFC 3261 §7.1: "The SIP-Version string is case-insensitive, but implementations MUST send upper-case." Whoever reads the
 * text after us may know nothing of the first half.
 */
function withVersion(text: string, start: StartLine, headers: number): string {
  const at = start.kind === 'response' ? 0 : headers - 9
  if (!start.readable || start.problem !== undefined || text.startsWith('SIP/2.0', at)) return text
  return `${text.slice(0, at)}SIP/2.0${text.slice(at + 7)}`
}

/**
 * RFC 3261 §7.5: "Implementations processing SIP messages over stream-oriented transports MUST ignore any CRLF
 * appearing before the start-line"; on datagrams it does no harm.
 */
function skipEmptyLines(text: string): number {
  let at = 0
  while (text.charCodeAt(at) === 13 && text.charCodeAt(at + 1) === 10) at += 2
  return at
}

function findProblem(reading: Reading, length: number): Problem | undefined {
  const { start, scan, identity } = reading
  // RFC 3261 §25.1 allows it escaped in a quoted string, and there alone, but it ends texts in many programs behind us.
  if (holdsNul(reading)) return { status: 400, reason: 'NUL in Header Field' }
  // RFC 3261 §21.5.7: "The server was unable to process the request since the message length exceeded its capabilities."
  if (length > limits.messageBytes) return { status: 513, reason: 'Message Too Large' }
  if (start.problem !== undefined) return start.problem
  const reason = scan.problem ?? identity.problem
  if (reason !== undefined) return { status: 400, reason }
  // RFC 3261 §18.3: "If the transport packet ends before the end of the message body, this is considered an error.
  // If the message is a response, it MUST be discarded. If the message is a request, the element SHOULD generate a
  // 400 (Bad Request) response."
  if (scan.bodyStart + identity.contentLength > reading.text.length) {
    return { status: 400, reason: 'Content-Length beyond End of Message' }
  }
  return undefined
}

/** In the start line or a header field; a body may hold anything. */
function holdsNul({ text, scan }: Reading): boolean {
  const at = text.indexOf('\0')
  return at >= 0 && at < scan.bodyStart
}

/** RFC 3261 §18.3: "If there are additional bytes in the transport packet beyond the end of the body, they MUST be discarded." */
function bodyEnd({ text, scan, identity }: Reading): number {
  return identity.contentLength < 0 ? text.length : scan.bodyStart + identity.contentLength
}

function build({ text, start, scan, identity }: Reading, end: number): ParsedMessage {
  return new ParsedMessage(end === text.length ? text : text.slice(0, end), start, scan, identity)
}
