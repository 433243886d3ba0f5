import { isIn, skipBlanks, skipQuoted, type Source, sourceOf, TOKEN, trimBlanks } from './chars.ts'
import { formatParams, type Params, param, quote, readParams, unquote } from './params.ts'
import { uriKind } from './uri.ts'

/** A value of From, To, Contact, Route and their like. */
export interface NameAddr {
  /** What the display name says, without quotes; empty when there is none. */
  readonly displayName: string
  /** As it stands; `parseUri` takes it apart. `*` in a Contact that removes all bindings. */
  readonly uri: string
  /** Of the header field, not of the URI: `tag`, `expires`, `q` … */
  readonly params: Params
}

/** Where the parts of an address stand. */
export interface AddressSpan {
  nameStart: number
  /** Equal to `nameStart` when there is no display name. */
  nameEnd: number
  uriStart: number
  uriEnd: number
  paramsStart: number
}

const STAR: NameAddr = { displayName: '', uri: '*', params: [] }

/** RFC 3261 §25.1: a Contact is `STAR` alone, or a list of addresses. */
export function isStar(bytes: Buffer, start: number, end: number): boolean {
  return end === start + 1 && bytes[start] === 0x2a
}

/** The first address of the value; undefined when it is malformed. */
export function parseNameAddr(value: string): NameAddr | undefined {
  return value === '*' ? STAR : readAddress(sourceOf(value), 0)?.address
}

/** Every address of a comma list; undefined when one of them is malformed. */
export function parseNameAddrs(value: string): NameAddr[] | undefined {
  if (value === '*') return [STAR]
  const source = sourceOf(value)
  const addresses: NameAddr[] = []
  for (let at = 0; at < value.length;) {
    const found = readAddress(source, at)
    if (found === undefined) return undefined
    addresses.push(found.address)
    at = found.end + 1
  }
  return addresses
}

function readAddress(source: Source, start: number): { address: NameAddr; end: number } | undefined {
  const { text: value } = source
  const span = scanAddress(source, start, value.length)
  if (span === undefined) return undefined
  const parsed = readParams(source, span.paramsStart, value.length)
  if (parsed === undefined) return undefined
  const displayName = unquote(value.slice(span.nameStart, span.nameEnd))
  const uri = value.slice(span.uriStart, span.uriEnd)
  return { address: { displayName, uri, params: parsed.params }, end: parsed.end }
}

/** The address as text, always with angle brackets; the display name is quoted. */
export function formatNameAddr(address: {
  readonly displayName?: string
  readonly uri: string
  readonly params?: Params
}): string {
  const { displayName = '', uri, params } = address
  if (uri === '*') return uri
  const name = displayName === '' ? '' : `${quote(displayName)} `
  return `${name}<${uri}>${params === undefined ? '' : formatParams(params)}`
}

/** The tag parameter; empty when there is none. */
export function tagOf(address: NameAddr): string {
  return param(address.params, 'tag') ?? ''
}

/** The value with the first of its tags, where a peer has given several. */
export function withOneTag(value: string): string {
  const address = /;\s*tag\s*=.*;\s*tag\s*=/i.test(value) ? parseNameAddr(value) : undefined
  if (address === undefined) return value
  const first = address.params.find(isTag)
  const params = address.params.filter((each) => each === first || !isTag(each))
  return params.length === address.params.length ? value : formatNameAddr({ ...address, params })
}

function isTag([name]: readonly [name: string, value: string]): boolean {
  return name.toLowerCase() === 'tag'
}

/** Checks display name and URI of the address that begins there, without making strings; undefined when malformed. */
export function scanAddress(source: Source, start: number, end: number): AddressSpan | undefined {
  const { bytes } = source
  const first = skipBlanks(bytes, start, end)
  if (first >= end) return undefined
  if (bytes[first] === 0x22) {
    const nameEnd = skipQuoted(bytes, first, end)
    if (nameEnd < 0) return undefined
    const open = skipBlanks(bytes, nameEnd, end)
    return bytes[open] === 0x3c ? inBrackets(source, first, nameEnd, open, end) : undefined
  }
  const nameEnd = skipDisplayName(bytes, first, end)
  if (nameEnd < end && bytes[nameEnd] === 0x3c) {
    return inBrackets(source, first, trimBlanks(bytes, first, nameEnd), nameEnd, end)
  }
  return withoutBrackets(bytes, first, end)
}

/** `display-name = *(token LWS)`; bytes above ASCII pass, since peers send names in UTF-8 without quotes. */
function skipDisplayName(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end) {
    const code = bytes[at] ?? 0
    if (code !== 32 && code !== 9 && code < 128 && !isIn(code, TOKEN)) break
    at++
  }
  return at
}

function inBrackets(
  { text, bytes }: Source,
  nameStart: number,
  nameEnd: number,
  open: number,
  end: number,
): AddressSpan | undefined {
  const close = text.indexOf('>', open)
  if (close < 0 || close >= end) return undefined
  if (uriKind(bytes, open + 1, close) === 'malformed') return undefined
  return { nameStart, nameEnd, uriStart: open + 1, uriEnd: close, paramsStart: close + 1 }
}

/**
 * RFC 3261 §20: "If the URI is not enclosed in angle brackets, any semicolon-delimited parameters are
 * header-parameters, not URI parameters", and a URI with comma, question mark or semicolon needs the brackets.
 */
function withoutBrackets(bytes: Buffer, start: number, end: number): AddressSpan | undefined {
  let stop = start
  while (stop < end) {
    const code = bytes[stop]
    if (code === 0x3b || code === 0x2c || code === 32 || code === 9) break
    if (code === 0x3f) return undefined
    stop++
  }
  if (uriKind(bytes, start, stop) === 'malformed') return undefined
  return { nameStart: start, nameEnd: start, uriStart: start, uriEnd: stop, paramsStart: stop }
}
