import { isIPv6 } from 'node:net'
import {
  decimal,
  DIGIT,
  HOST,
  isIn,
  isSameWord,
  PASSWORD,
  SCHEME,
  skip,
  skipEscaped,
  sourceOf,
  TOKEN,
  URI,
  URI_HEADER,
  URI_PARAM,
  USER,
} from './chars.ts'
import { formatParams, type Params } from './params.ts'

const MAX_PORT = 65_535

/** A sip:, sips: or tel: URI taken apart (RFC 3261 §19.1.1, RFC 3966 §3). Escapes stay as they stand. */
export interface Uri {
  readonly scheme: 'sip' | 'sips' | 'tel'
  /** Empty when there is none. The number of a tel: URI. */
  readonly user: string
  readonly password?: string
  /** As written, IPv6 without brackets and without a third colon. Empty in a tel: URI. */
  readonly host: string
  readonly port?: number | undefined
  readonly params?: Params
  /** The part after `?`. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

/** The URI's parts; undefined when it is malformed or has another scheme. */
export function parseUri(text: string): Uri | undefined {
  const { bytes } = sourceOf(text)
  const kind = uriKind(bytes, 0, text.length)
  if (kind === 'tel') return parseTel(text, bytes)
  return kind === 'sip' ? splitSipUri(text, bytes) : undefined
}

/** Takes a URI apart that has been found whole: each separator is where it has to be. */
function splitSipUri(text: string, bytes: Buffer): Uri {
  const colon = text.indexOf(':')
  const at = text.indexOf('@')
  const userinfo = text.slice(colon + 1, Math.max(colon + 1, at))
  const password = userinfo.indexOf(':')
  const hostStart = Math.max(colon, at) + 1
  const hostEnd = scanHost(bytes, hostStart, text.length)
  const query = text.indexOf('?', hostEnd)
  const end = query < 0 ? text.length : query
  const semicolon = text.indexOf(';', hostEnd)
  const hostPortEnd = semicolon < 0 || semicolon > end ? end : semicolon
  const bracketed = bytes[hostStart] === 0x5b
  return {
    scheme: colon === 4 ? 'sips' : 'sip',
    user: password < 0 ? userinfo : userinfo.slice(0, password),
    ...(password >= 0 && { password: userinfo.slice(password + 1) }),
    host: bracketed ? withoutThirdColon(text.slice(hostStart + 1, hostEnd - 1)) : text.slice(hostStart, hostEnd),
    ...(hostEnd < hostPortEnd && { port: decimal(bytes, hostEnd + 1, hostPortEnd, MAX_PORT) }),
    ...(hostPortEnd < end && { params: uriParams(text, hostPortEnd, end) }),
    ...(query >= 0 && { headers: uriHeaders(text, query) }),
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

/** What kind of URI stands there; 'malformed' when there is no scheme, or a character or an order no URI has. */
export function uriKind(bytes: Buffer, start: number, end: number): 'sip' | 'tel' | 'other' | 'malformed' {
  // Nearly every URI begins with these letters, in any case; for a letter one bit tells which.
  if (
    ((bytes[start] ?? 0) | 0x20) === 0x73 &&
    ((bytes[start + 1] ?? 0) | 0x20) === 0x69 &&
    ((bytes[start + 2] ?? 0) | 0x20) === 0x70
  ) {
    const colon = ((bytes[start + 3] ?? 0) | 0x20) === 0x73 ? start + 4 : start + 3
    if (colon < end && bytes[colon] === 0x3a) return isWholeSipUri(bytes, colon + 1, end) ? 'sip' : 'malformed'
  }
  const colon = skip(bytes, start, end, SCHEME)
  if (colon === start || colon >= end || bytes[colon] !== 0x3a) return 'malformed'
  if (colon - start === 3 && isSameWord(bytes, start, 'tel'))
    return scanTel(bytes, start, end) < 0 ? 'malformed' : 'tel'
  return colon + 1 < end && skipEscaped(bytes, colon + 1, end, URI) === end ? 'other' : 'malformed'
}

/** Checks the grammar of a sip: or sips: URI from after its colon, without making strings. */
function isWholeSipUri(bytes: Buffer, start: number, end: number): boolean {
  const hostEnd = scanHost(bytes, skipUserinfo(bytes, start, end), end)
  if (hostEnd < 0) return false
  let at = hostEnd
  if (at < end && bytes[at] === 0x3a) {
    at = skip(bytes, hostEnd + 1, end, DIGIT)
    if (decimal(bytes, hostEnd + 1, at, MAX_PORT) < 0) return false
  }
  at = scanUriParams(bytes, at, end)
  return at === end || (at >= 0 && isWholeUriHeaders(bytes, at, end))
}

/** Index after the `@`; `start` when there is none and the host begins there. */
function skipUserinfo(bytes: Buffer, start: number, end: number): number {
  const userEnd = skipEscaped(bytes, start, end, USER)
  if (userEnd >= end || userEnd === start) return start
  const at = bytes[userEnd] === 0x3a ? skipEscaped(bytes, userEnd + 1, end, PASSWORD) : userEnd
  return at < end && bytes[at] === 0x40 ? at + 1 : start
}

/** Index after the host name, IPv4 address or bracketed IPv6 address that begins there; -1 when there is none. */
export function scanHost(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] === 0x5b) {
    const close = bytes.indexOf(0x5d, start)
    if (close < 0 || close >= end) return -1
    const address = bytes.toString('latin1', start + 1, close)
    return !address.includes('%') && isIPv6(withoutThirdColon(address)) ? close + 1 : -1
  }
  const addressEnd = skipIPv4(bytes, start, end)
  if (addressEnd > 0) return addressEnd
  const hostEnd = skip(bytes, start, end, HOST)
  // RFC 3261 §25.1: "toplabel = ALPHA / ALPHA *( alphanum / "-" ) alphanum", so nothing else ends in a label of digits.
  return hostEnd === start || lastLabelIsNumber(bytes, start, hostEnd) ? -1 : hostEnd
}

/**
 * The IPv6 address, as which RFC 3261 §25.1 has `2001:db8:::192.0.2.1` as well, since its `hexpart` may end in two colons
 * before the one of the IPv4 address. RFC 5118 §4.10: "following the Robustness Principle, an implementation must tolerate
 * both of the above constructs." Three colons are nothing anywhere else.
 */
export function withoutThirdColon(address: string): string {
  return address.includes(':::') ? address.replace(/:::(?=\d+\.\d+\.\d+\.\d+$)/, '::') : address
}

/** Index after the IPv4 address; -1 when it is none, or goes on as a name. */
function skipIPv4(bytes: Buffer, start: number, end: number): number {
  let dots = 0
  let octet = -1
  let at = start
  for (; at < end; at++) {
    const code = bytes[at] ?? 0
    if (code >= 48 && code <= 57) octet = Math.max(octet, 0) * 10 + code - 48
    else if (code === 0x2e && octet >= 0 && dots < 3) {
      dots++
      octet = -1
    } else break
    if (octet > 255) return -1
  }
  const whole = dots === 3 && octet >= 0 && (at === end || !isIn(bytes[at] ?? 0, HOST))
  return whole ? at : -1
}

function lastLabelIsNumber(bytes: Buffer, start: number, end: number): boolean {
  let at = end
  while (at > start && isIn(bytes[at - 1] ?? 0, DIGIT)) at--
  return at < end && (at === start || bytes[at - 1] === 0x2e)
}

/** Index after `*( ";" pname [ "=" pvalue ] )`; -1 when one is malformed. */
function scanUriParams(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] === 0x3b) {
    const nameEnd = skipEscaped(bytes, at + 1, end, URI_PARAM)
    if (nameEnd === at + 1) return -1
    at = nameEnd
    if (at < end && bytes[at] === 0x3d) {
      at = skipEscaped(bytes, nameEnd + 1, end, URI_PARAM)
      if (at === nameEnd + 1) return -1
    }
  }
  return at
}

/** RFC 3261 §25.1: `headers = "?" header *( "&" header )`, `header = hname "=" hvalue`. */
function isWholeUriHeaders(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] !== 0x3f) return false
  let at = start
  while (at < end) {
    const nameEnd = skipEscaped(bytes, at + 1, end, URI_HEADER)
    if (nameEnd === at + 1 || bytes[nameEnd] !== 0x3d) return false
    at = skipEscaped(bytes, nameEnd + 1, end, URI_HEADER)
    if (at < end && bytes[at] !== 0x26) return false
  }
  return true
}

function uriParams(text: string, start: number, end: number): Params {
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

function parseTel(text: string, bytes: Buffer): Uri | undefined {
  const numberEnd = scanTel(bytes, 0, text.length)
  if (numberEnd < 0) return undefined
  const params = numberEnd < text.length ? uriParams(text, numberEnd, text.length) : undefined
  return { scheme: 'tel', user: text.slice(4, numberEnd), host: '', ...(params !== undefined && { params }) }
}

/** RFC 3966 §3: `+` and digits, or local digits, each with visual separators. Index after the number, or -1. */
function scanTel(bytes: Buffer, start: number, end: number): number {
  let at = start + 4
  if (bytes[at] === 0x2b) at++
  const first = at
  let digits = 0
  for (; at < end; at++) {
    const code = bytes[at] ?? 0
    if (code === 0x2d || code === 0x2e || code === 0x28 || code === 0x29) continue
    if (!isPhoneDigit(code)) break
    digits++
  }
  if (at === first || digits === 0) return -1
  return scanUriParams(bytes, at, end) === end ? at : -1
}

function isPhoneDigit(code: number): boolean {
  const letter = code | 0x20
  return (code >= 48 && code <= 57) || code === 0x2a || code === 0x23 || (letter >= 0x61 && letter <= 0x66)
}

/** True when the text can be a method, a tag or an option tag. */
export function isToken(text: string): boolean {
  return text !== '' && skip(sourceOf(text).bytes, 0, text.length, TOKEN) === text.length
}
