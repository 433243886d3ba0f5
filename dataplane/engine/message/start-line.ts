import { decimal, skip, TOKEN } from './chars.ts'
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
export function readStartLine(text: string, start: number, end: number): StartLine {
  return startsWithVersion(text, start) ? readStatusLine(text, start, end) : readRequestLine(text, start, end)
}

function startsWithVersion(text: string, start: number): boolean {
  return (text.charCodeAt(start) | 0x20) === 0x73 && text.slice(start, start + 4).toUpperCase() === 'SIP/'
}

/** RFC 3261 §7.1: "Request-Line = Method SP Request-URI SP SIP-Version CRLF", and no other white space. */
function readRequestLine(text: string, start: number, end: number): StartLine {
  const methodEnd = skip(text, start, end, TOKEN)
  const method = text.slice(start, methodEnd)
  const uriEnd = text.indexOf(' ', methodEnd + 1)
  if (methodEnd === start || text.charCodeAt(methodEnd) !== 32 || uriEnd < 0 || uriEnd >= end) {
    return request(method, '', false, MALFORMED)
  }
  const uri = text.slice(methodEnd + 1, uriEnd)
  const version = end - uriEnd === 8 && text.startsWith('SIP/2.0', uriEnd + 1)
  const problem = version ? undefined : versionProblem(text.slice(uriEnd + 1, end))
  return request(method, uri, problem !== MALFORMED, problem ?? uriProblem(text, methodEnd + 1, uriEnd))
}

function request(method: string, uri: string, readable: boolean, problem: Problem | undefined): StartLine {
  return { kind: 'request', method, uri, status: 0, reason: '', readable, problem }
}

/** RFC 3261 §7.1: "The SIP-Version string is case-insensitive". */
function versionProblem(version: string): Problem | undefined {
  if (version.toUpperCase() === 'SIP/2.0') return undefined
  return /^SIP\/\d+\.\d+$/i.test(version) ? UNKNOWN_VERSION : MALFORMED
}

function uriProblem(text: string, start: number, end: number): Problem | undefined {
  const kind = uriKind(text, start, end)
  if (kind === 'malformed') return { status: 400, reason: 'Malformed Request-URI' }
  // RFC 3261 §8.2.2.1: "If the Request-URI uses a scheme not supported by the UAS, it SHOULD reject the request with a
  // 416 (Unsupported URI Scheme) response."
  if (kind === 'other') return { status: 416, reason: 'Unsupported URI Scheme' }
  // RFC 3261 §19.1.1, table 1: headers are not allowed in a Request-URI.
  const question = text.indexOf('?', start)
  if (question >= 0 && question < end && parseUri(text.slice(start, end))?.headers !== undefined) {
    return { status: 400, reason: 'Headers in Request-URI' }
  }
  return undefined
}

/**
 * RFC 3261 §7.2: "Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF". The phrase may be empty (§25.1, RFC 4475
 * §3.1.1.13), the space before it may not; it may be missing here all the same, since peers leave it out and no other line
 * could be meant.
 */
function readStatusLine(text: string, start: number, end: number): StartLine {
  const version = text.slice(start, start + 8).toUpperCase() === 'SIP/2.0 '
  const status = decimal(text, start + 8, start + 11, 699)
  const readable =
    version && status >= 100 && (end === start + 11 || (end > start + 11 && text.charCodeAt(start + 11) === 32))
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
