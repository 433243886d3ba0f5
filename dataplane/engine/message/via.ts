import { decimal, HOST, skip, skipBlanks, type Source, sourceOf, TOKEN } from './chars.ts'
import { formatParams, type Params, param, ParamCursor, readParams, withParam } from './params.ts'
import { formatHostPort, scanHost, withoutThirdColon } from './uri.ts'

/** One Via (RFC 3261 §20.42). */
export interface Via {
  /** Upper case: `UDP`, `TCP`, `TLS`, `WS` … */
  readonly transport: string
  /** Host of sent-by, IPv6 without brackets. */
  readonly host: string
  readonly port?: number | undefined
  readonly params: Params
}

/** Where the parts of a Via stand. */
export interface ViaSpan {
  transportStart: number
  transportEnd: number
  /** Host with port. */
  sentByStart: number
  hostEnd: number
  sentByEnd: number
  /** -1 when not given. */
  port: number
  branchStart: number
  branchEnd: number
  /** After the last parameter: the end, or a comma. */
  end: number
}

/** The first Via of the value, of whatever version of SIP; undefined when it is malformed. */
export function parseVia(value: string): Via | undefined {
  const source = sourceOf(value)
  const span = scanVia(source, 0, value.length, new ParamCursor(source), true)
  if (span === undefined) return undefined
  const bracketed = value[span.sentByStart] === '['
  const host = bracketed
    ? withoutThirdColon(value.slice(span.sentByStart + 1, span.hostEnd - 1))
    : value.slice(span.sentByStart, span.hostEnd)
  const parsed = readParams(source, span.sentByEnd, value.length)
  return {
    transport: value.slice(span.transportStart, span.transportEnd).toUpperCase(),
    host,
    ...(span.port >= 0 && { port: span.port }),
    params: parsed?.params ?? [],
  }
}

/** `SIP/2.0/UDP host:port;branch=…`. */
export function formatVia(via: Via): string {
  return `SIP/2.0/${via.transport} ${formatHostPort(via.host, via.port)}${formatParams(via.params)}`
}

/** The branch; empty when there is none. */
export function branchOf(via: Via): string {
  return param(via.params, 'branch') ?? ''
}

/**
 * The Via of a request as the transport that received it has to complete it; the same object when nothing changes.
 * RFC 3261 §18.2.1: "If the host portion of the "sent-by" parameter contains a domain name, or if it contains an IP
 * address that differs from the packet source address, the server MUST add a "received" parameter to that Via header
 * field value." RFC 3581 §4: with an `rport` that has no value it "MUST set the value of the parameter to the source
 * port of the request" and "MUST insert a "received" parameter", whatever sent-by says.
 */
export function completeVia(via: Via, address: string, port: number): Via {
  const asked = param(via.params, 'rport') !== undefined
  const claimed = param(via.params, 'received') !== undefined
  if (!asked && !claimed && via.host === address) return via
  const received = withParam(via.params, 'received', address)
  return { ...via, params: asked ? withParam(received, 'rport', String(port)) : received }
}

/** Checks the Via that begins there without making strings; undefined when it is malformed, as it is with another version. */
export function scanVia(
  source: Source,
  start: number,
  end: number,
  cursor: ParamCursor,
  anyVersion = false,
): ViaSpan | undefined {
  const span = scanSentBy(source, start, end, anyVersion)
  return span !== undefined && scanViaParams(span, cursor, end) ? span : undefined
}

/**
 * Index after what can be read of a Via whose parameters are malformed: sent-by and the parameters before the first fault.
 * -1 where nobody can tell where an answer has to go, or which branch is meant.
 */
export function endOfReadableVia(source: Source, start: number, end: number, anyVersion: boolean): number {
  const cursor = new ParamCursor(source)
  const span = scanSentBy(source, start, end, anyVersion)
  if (span === undefined) return -1
  scanViaParams(span, cursor, end)
  return cursor.failed ? span.end : -1
}

function scanSentBy(source: Source, start: number, end: number, anyVersion: boolean): ViaSpan | undefined {
  const { bytes } = source
  const transportStart = skipProtocol(source, start, end, anyVersion)
  if (transportStart < 0) return undefined
  const transportEnd = skip(bytes, transportStart, end, TOKEN)
  const sentByStart = skipBlanks(bytes, transportEnd, end)
  if (transportEnd === transportStart || sentByStart === transportEnd) return undefined
  const hostEnd = scanHost(bytes, sentByStart, end)
  if (hostEnd < 0) return undefined
  const span = {
    transportStart,
    transportEnd,
    sentByStart,
    hostEnd,
    sentByEnd: hostEnd,
    port: -1,
    branchStart: -1,
    branchEnd: -1,
    end,
  }
  return scanPort(bytes, span, end) ? span : undefined
}

/** Index of the transport after `SIP/2.0/`; white space may stand around the slashes (RFC 3261 §25.1). */
function skipProtocol({ text, bytes }: Source, start: number, end: number, anyVersion: boolean): number {
  const at = skipBlanks(bytes, start, end)
  if (text.startsWith('SIP/2.0/', at)) return at + 8 < end ? skipBlanks(bytes, at + 8, end) : -1
  const spaced = anyVersion ? /\s*SIP\s*\/\s*\d+\.\d+\s*\/\s*/iy : /\s*SIP\s*\/\s*2\.0\s*\/\s*/iy
  spaced.lastIndex = at
  return spaced.test(text) && spaced.lastIndex < end ? spaced.lastIndex : -1
}

/** `sent-by = host [ COLON port ]`, with white space around the colon. */
function scanPort(bytes: Buffer, span: ViaSpan, end: number): boolean {
  const colon = skipBlanks(bytes, span.hostEnd, end)
  if (colon >= end || bytes[colon] !== 0x3a) return true
  const portStart = skipBlanks(bytes, colon + 1, end)
  span.sentByEnd = skip(bytes, portStart, end, HOST)
  span.port = decimal(bytes, portStart, span.sentByEnd, 65535)
  return span.port >= 0
}

/** A second branch makes it malformed, since two elements could take different ones for the transaction's, and so does a quoted one: it is a token (RFC 3261 §25.1). */
function scanViaParams(span: ViaSpan, cursor: ParamCursor, end: number): boolean {
  cursor.reset(span.sentByEnd, end)
  span.end = span.sentByEnd
  while (cursor.next()) {
    span.end = cursor.at
    if (!cursor.named('branch')) continue
    if (span.branchEnd >= 0 || cursor.quoted) return false
    span.branchStart = cursor.valueStart
    span.branchEnd = cursor.valueEnd
  }
  if (cursor.failed) return false
  span.end = cursor.at
  return true
}
