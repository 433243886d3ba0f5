import { decimal, skip, type Source, TOKEN } from './chars.ts'
import { parseUri, uriKind } from './uri.ts'

/** Why a message is refused, with the status to answer; 0 where nothing is to be answered. */
export interface Problem {
  readonly status: number
  readonly reason: string
}

/** The first line of a message. */
export interface StartLine {
  readonly kind: 'request' | 'response'
  /** Empty in a response, and where it cannot be read. */
  readonly method: string
  readonly uri: string
  readonly status: number
  readonly reason: string
  /** False when the line is not made of three parts as it has to be; the parts then say little. */
  readonly readable: boolean
  readonly problem: Problem | undefined
}

const MALFORMED: Problem = { status: 400, reason: 'Malformed Request Line' }
const UNKNOWN_VERSION: Problem = { status: 505, reason: 'Version Not Supported' }

/** Reads the line between `start` and `end`. */
export function readStartLine(source: Source, start: number, end: number): StartLine {
  return startsWithVersion(source, start) ? readStatusLine(source, start, end) : readRequestLine(source, start, end)
}

function startsWithVersion({ text, bytes }: Source, start: number): boolean {
  return ((bytes[start] ?? 0) | 0x20) === 0x73 && text.slice(start, start + 4).toUpperCase() === 'SIP/'
}

/** RFC 3261 §7.1: "Request-Line = Method SP Request-URI SP SIP-Version CRLF", and no other white space. */
function readRequestLine({ text, bytes }: Source, start: number, end: number): StartLine {
  const methodEnd = skip(bytes, start, end, TOKEN)
  const method = text.slice(start, methodEnd)
  const uriEnd = text.indexOf(' ', methodEnd + 1)
  if (methodEnd === start || bytes[methodEnd] !== 32 || uriEnd < 0 || uriEnd >= end) {
    return request(method, '', false, MALFORMED)
  }
  const uri = text.slice(methodEnd + 1, uriEnd)
  const version = end - uriEnd === 8 && text.startsWith('SIP/2.0', uriEnd + 1)
  const problem = version ? undefined : versionProblem(text.slice(uriEnd + 1, end))
  return request(method, uri, problem !== MALFORMED, problem ?? uriProblem(uri, bytes, methodEnd + 1))
}

function request(method: string, uri: string, readable: boolean, problem: Problem | undefined): StartLine {
  return { kind: 'request', method, uri, status: 0, reason: '', readable, problem }
}

/** RFC 3261 §7.1: "The SIP-Version string is case-insensitive". */
function versionProblem(version: string): Problem | undefined {
  if (version.toUpperCase() === 'SIP/2.0') return undefined
  return /^SIP\/\d+\.\d+$/i.test(version) ? UNKNOWN_VERSION : MALFORMED
}

function uriProblem(uri: string, bytes: Buffer, start: number): Problem | undefined {
  const kind = uriKind(bytes, start, start + uri.length)
  if (kind === 'malformed') return { status: 400, reason: 'Malformed Request-URI' }
  // RFC 3261 §8.2.2.1: "If the Request-URI uses a scheme not supported by the UAS, it SHOULD reject the request with a
  // 416 (Unsupported URI Scheme) response."
  if (kind === 'other') return { status: 416, reason: 'Unsupported URI Scheme' }
  // RFC 3261 §19.1.1, table 1: headers are not allowed in a Request-URI.
  if (uri.includes('?') && parseUri(uri)?.headers !== undefined) {
    return { status: 400, reason: 'Headers in Request-URI' }
  }
  return undefined
}

/**
 * RFC 3261 §7.2: "Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF". The phrase may be empty (§25.1, RFC 4475
 * §3.1.1.13), the space before it may not; it may be missing here all the same, since peers leave it out and no other line
 * could be meant.
 */
function readStatusLine({ text, bytes }: Source, start: number, end: number): StartLine {
  const version = text.slice(start, start + 8).toUpperCase() === 'SIP/2.0 '
  const status = decimal(bytes, start + 8, start + 11, 699)
  const readable = version && status >= 100 && (end === start + 11 || (end > start + 11 && bytes[start + 11] === 32))
  return {
    kind: 'response',
    method: '',
    uri: '',
    status: readable ? status : 0,
    reason: text.slice(start + 12, end),
    readable,
    problem: readable ? undefined : { status: 0, reason: 'Malformed Status Line' },
  }
}
