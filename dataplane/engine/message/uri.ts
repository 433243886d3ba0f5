import { isIPv6 } from 'node:net'
import {
  decimal,
  escapesAreWhole,
  HOST,
  isIn,
  PASSWORD,
  SCHEME,
  skip,
  TOKEN,
  URI,
  URI_HEADER,
  URI_PARAM,
  USER,
} from './chars.ts'
import { formatParams, type Params } from './params.ts'

/** A sip:, sips: or tel: URI taken apart (RFC 3261 §19.1.1, RFC 3966 §3). Escapes stay as they stand. */
export interface Uri {
  readonly scheme: 'sip' | 'sips' | 'tel'
  /** Empty when there is none. The number of a tel: URI. */
  readonly user: string
  readonly password?: string
  /** As written, IPv6 without brackets. Empty in a tel: URI. */
  readonly host: string
  readonly port?: number | undefined
  readonly params?: Params
  /** The part after `?`. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

/** Where the parts of a sip: or sips: URI stand. An end is -1 for a part that is not there. */
interface UriSpan {
  secure: boolean
  userStart: number
  userEnd: number
  passwordEnd: number
  hostStart: number
  hostEnd: number
  /** -1 when not given. */
  port: number
  paramsStart: number
  headersStart: number
}

/** The URI's parts; undefined when it is malformed or has another scheme. */
export function parseUri(text: string): Uri | undefined {
  const length = schemeLength(text, 0, text.length)
  if (isTel(text, 0, length)) return parseTel(text)
  const span = scanSipUri(text, 0, text.length)
  if (span === undefined) return undefined
  const params = uriParams(text, span.paramsStart, span.headersStart < 0 ? text.length : span.headersStart)
  const headers = span.headersStart < 0 ? undefined : uriHeaders(text, span.headersStart)
  const bracketed = text.charCodeAt(span.hostStart) === 0x5b
  return {
    scheme: span.secure ? 'sips' : 'sip',
    user: text.slice(span.userStart, Math.max(span.userStart, span.userEnd)),
    ...(span.passwordEnd >= 0 && { password: text.slice(span.userEnd + 1, span.passwordEnd) }),
    host: bracketed ? text.slice(span.hostStart + 1, span.hostEnd - 1) : text.slice(span.hostStart, span.hostEnd),
    ...(span.port >= 0 && { port: span.port }),
    ...(params !== undefined && { params }),
    ...(headers !== undefined && { headers }),
  }
}

/** The URI as text. */
export function formatUri(uri: Uri): string {
  const params = uri.params === undefined ? '' : formatParams(uri.params)
  if (uri.scheme === 'tel') return `tel:${uri.user}${params}`
  const password = uri.password === undefined ? '' : `:${uri.password}`
  const userinfo = uri.user === '' && password === '' ? '' : `${uri.user}${password}@`
  const headers = uri.headers === undefined || uri.headers.length === 0 ? '' : `?${formatHeaders(uri.headers)}`
  return `${uri.scheme}:${userinfo}${formatHostPort(uri.host, uri.port)}${params}${headers}`
}

/** `host`, `host:port`, `[v6]`, `[v6]:port`. */
export function formatHostPort(host: string, port: number | undefined): string {
  const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  return port === undefined ? bracketed : `${bracketed}:${port}`
}

/** The user part, or any other text of a URI, with its %-escapes decoded as UTF-8; as it is when they are not UTF-8. */
export function decodeEscapes(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The user part without its escapes: who is called. */
export function decodeUser(uri: Uri): string {
  return decodeEscapes(uri.user)
}

/** Escapes what cannot stand in a user part, so that `decodeUser` gives the text back. */
export function encodeUser(text: string): string {
  return encodeURIComponent(text).replace(/%(?:26|3D|2B|24|2C|3B|3F|2F)/g, decodeURIComponent)
}

/** `sip:`, `sips:`, `tel:` or another; 'malformed' when there is no scheme or a character no URI has. */
export function uriKind(text: string, start: number, end: number): 'sip' | 'tel' | 'other' | 'malformed' {
  const length = schemeLength(text, start, end)
  if (length === 0) return 'malformed'
  if (isSip(text, start, length)) return scanSipUri(text, start, end) === undefined ? 'malformed' : 'sip'
  if (isTel(text, start, length)) return scanTel(text, start, end) < 0 ? 'malformed' : 'tel'
  const rest = start + length + 1
  return rest < end && skip(text, rest, end, URI) === end && escapesAreWhole(text, rest, end) ? 'other' : 'malformed'
}

/** Characters before the colon; 0 when there is no scheme. */
function schemeLength(text: string, start: number, end: number): number {
  const at = skip(text, start, end, SCHEME)
  return at < end && text.charCodeAt(at) === 0x3a ? at - start : 0
}

function isSip(text: string, start: number, length: number): boolean {
  return (
    (length === 3 || (length === 4 && lower(text, start + 3) === 0x73)) &&
    lower(text, start) === 0x73 &&
    lower(text, start + 1) === 0x69 &&
    lower(text, start + 2) === 0x70
  )
}

function isTel(text: string, start: number, length: number): boolean {
  return (
    length === 3 && lower(text, start) === 0x74 && lower(text, start + 1) === 0x65 && lower(text, start + 2) === 0x6c
  )
}

function lower(text: string, at: number): number {
  return text.charCodeAt(at) | 0x20
}

/** Checks the whole grammar of a sip: or sips: URI without making strings; undefined when it is malformed. */
function scanSipUri(text: string, start: number, end: number): UriSpan | undefined {
  const length = schemeLength(text, start, end)
  if (!isSip(text, start, length)) return undefined
  const span: UriSpan = {
    secure: length === 4,
    userStart: start + length + 1,
    userEnd: -1,
    passwordEnd: -1,
    hostStart: start + length + 1,
    hostEnd: -1,
    port: -1,
    paramsStart: -1,
    headersStart: -1,
  }
  scanUserinfo(text, span, end)
  const afterHost = scanHostPort(text, span, end)
  if (afterHost < 0) return undefined
  const afterParams = scanUriParams(text, afterHost, end)
  if (afterParams < 0) return undefined
  span.paramsStart = afterHost
  if (afterParams < end) {
    if (!scanUriHeaders(text, afterParams, end)) return undefined
    span.headersStart = afterParams
  }
  return escapesAreWhole(text, span.userStart, end) ? span : undefined
}

/** Leaves the span as it is when no `@` follows: then it is the host that begins there. */
function scanUserinfo(text: string, span: UriSpan, end: number): void {
  const userEnd = skip(text, span.userStart, end, USER)
  const hasPassword = userEnd < end && text.charCodeAt(userEnd) === 0x3a
  const at = hasPassword ? skip(text, userEnd + 1, end, PASSWORD) : userEnd
  if (at >= end || text.charCodeAt(at) !== 0x40 || userEnd === span.userStart) return
  span.userEnd = userEnd
  if (hasPassword) span.passwordEnd = at
  span.hostStart = at + 1
}

/** Index after host and port; -1 when they are malformed. */
function scanHostPort(text: string, span: UriSpan, end: number): number {
  span.hostEnd = scanHost(text, span.hostStart, end)
  if (span.hostEnd < 0 || span.hostEnd >= end || text.charCodeAt(span.hostEnd) !== 0x3a) return span.hostEnd
  const portEnd = skip(text, span.hostEnd + 1, end, HOST)
  span.port = decimal(text, span.hostEnd + 1, portEnd, 65535)
  return span.port < 0 ? -1 : portEnd
}

/** Index after the host name, IPv4 address or bracketed IPv6 address that begins there; -1 when there is none. */
export function scanHost(text: string, start: number, end: number): number {
  if (text.charCodeAt(start) === 0x5b) {
    const close = text.indexOf(']', start)
    if (close < 0 || close >= end) return -1
    const address = text.slice(start + 1, close)
    return !address.includes('%') && isIPv6(address) ? close + 1 : -1
  }
  const hostEnd = skip(text, start, end, HOST)
  if (hostEnd === start) return -1
  // RFC 3261 §25.1: "toplabel = ALPHA / ALPHA *( alphanum / "-" ) alphanum", so a last label of digits is an address.
  const last = text.charCodeAt(hostEnd - 1)
  if (last >= 48 && last <= 57 && !endsAsNameOrAddress(text, start, hostEnd)) return -1
  return hostEnd
}

function endsAsNameOrAddress(text: string, start: number, end: number): boolean {
  let octets = 0
  let octet = -1
  for (let at = start; at <= end; at++) {
    const code = at < end ? text.charCodeAt(at) : 0x2e
    if (code === 0x2e) {
      if (octet < 0 || octet > 255) return false
      octets++
      octet = -1
    } else if (code >= 48 && code <= 57) octet = Math.max(octet, 0) * 10 + code - 48
    else return lastLabelHasLetter(text, start, end)
  }
  return octets === 4
}

function lastLabelHasLetter(text: string, start: number, end: number): boolean {
  for (let at = end - 1; at >= start; at--) {
    const code = text.charCodeAt(at)
    if (code === 0x2e) return false
    if (code < 48 || code > 57) return true
  }
  return true
}

/** Index after `*( ";" pname [ "=" pvalue ] )`; -1 when one is malformed. */
function scanUriParams(text: string, start: number, end: number): number {
  let at = start
  while (at < end && text.charCodeAt(at) === 0x3b) {
    const nameEnd = skip(text, at + 1, end, URI_PARAM)
    if (nameEnd === at + 1) return -1
    at = nameEnd
    if (at < end && text.charCodeAt(at) === 0x3d) {
      at = skip(text, nameEnd + 1, end, URI_PARAM)
      if (at === nameEnd + 1) return -1
    }
  }
  return at
}

/** RFC 3261 §25.1: `headers = "?" header *( "&" header )`, `header = hname "=" hvalue`. */
function scanUriHeaders(text: string, start: number, end: number): boolean {
  if (text.charCodeAt(start) !== 0x3f) return false
  let at = start
  while (at < end) {
    const nameEnd = skip(text, at + 1, end, URI_HEADER)
    if (nameEnd === at + 1 || text.charCodeAt(nameEnd) !== 0x3d) return false
    at = skip(text, nameEnd + 1, end, URI_HEADER)
    if (at < end && text.charCodeAt(at) !== 0x26) return false
  }
  return true
}

function uriParams(text: string, start: number, end: number): Params | undefined {
  if (start < 0 || start >= end) return undefined
  return text
    .slice(start + 1, end)
    .split(';')
    .map((part) => pair(part))
}

function uriHeaders(text: string, start: number): (readonly [string, string])[] {
  return text
    .slice(start + 1)
    .split('&')
    .map((part) => pair(part))
}

function pair(part: string): readonly [string, string] {
  const equals = part.indexOf('=')
  return equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
}

function formatHeaders(headers: readonly (readonly [string, string])[]): string {
  return headers.map(([name, value]) => `${name}=${value}`).join('&')
}

function parseTel(text: string): Uri | undefined {
  const numberEnd = scanTel(text, 0, text.length)
  if (numberEnd < 0) return undefined
  const params = uriParams(text, numberEnd, text.length)
  return { scheme: 'tel', user: text.slice(4, numberEnd), host: '', ...(params !== undefined && { params }) }
}

/** RFC 3966 §3: `+` and digits, or local digits, each with visual separators. Index after the number, or -1. */
function scanTel(text: string, start: number, end: number): number {
  let at = start + 4
  if (text.charCodeAt(at) === 0x2b) at++
  const first = at
  let digits = 0
  for (; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x2d || code === 0x2e || code === 0x28 || code === 0x29) continue
    if (!isPhoneDigit(code)) break
    digits++
  }
  if (at === first || digits === 0) return -1
  return scanUriParams(text, at, end) === end && escapesAreWhole(text, at, end) ? at : -1
}

function isPhoneDigit(code: number): boolean {
  const letter = code | 0x20
  return (code >= 48 && code <= 57) || code === 0x2a || code === 0x23 || (letter >= 0x61 && letter <= 0x66)
}

/** True when the text can be a method, a tag or an option tag. */
export function isToken(text: string): boolean {
  return text !== '' && isIn(text.charCodeAt(0), TOKEN) && skip(text, 0, text.length, TOKEN) === text.length
}
