import { CALL_ID, decimal, skip, skipBlanks, type Source, TOKEN } from './chars.ts'
import { isStar, scanAddress } from './name-addr.ts'
import { ParamCursor } from './params.ts'
import { limits, type Scan } from './scan.ts'
import { scanVia } from './via.ts'

/** What runs per message, read once. Empty, or 0, where it is missing or cannot be read. */
export interface Identity {
  callId: string
  fromTag: string
  toTag: string
  cseq: number
  cseqMethod: string
  branch: string
  /** Host and port of the top Via as written. */
  sentBy: string
  /** End of the top Via within its line, which may hold more of them; -1 when it cannot be read. */
  topViaEnd: number
  /** -1 when there is none, or it cannot be read. */
  contentLength: number
  /** The first thing that is wrong. */
  problem: string | undefined
}

/** RFC 3261 §8.1.1 without Max-Forwards: a bit for each that has been met. */
const VIA = 1
const FROM = 2
const TO = 4
const CALL_ID_FIELD = 8
const CSEQ = 16
const MANDATORY = VIA | FROM | TO | CALL_ID_FIELD | CSEQ

/**
 * Reads and checks the header fields that say which transaction and dialog a message belongs to, and its length. Where the
 * start line is of another version of SIP its Via may be so as well: the 505 has to find its way (RFC 4475 §3.1.2.16).
 */
export function readIdentity(source: Source, scan: Scan, method: string, anyVersion = false): Identity {
  const identity: Identity = {
    callId: '',
    fromTag: '',
    toTag: '',
    cseq: 0,
    cseqMethod: '',
    branch: '',
    sentBy: '',
    topViaEnd: -1,
    contentLength: -1,
    problem: undefined,
  }
  const { bytes } = source
  const cursor = new ParamCursor(source)
  const { names, offsets } = scan
  let met = 0
  for (let at = 0; at < names.length; at++) {
    const start = offsets[2 * at] ?? 0
    const end = offsets[2 * at + 1] ?? 0
    switch (names[at] ?? '') {
      case 'Via':
        if ((met & VIA) === 0) readTopVia(source, start, end, cursor, identity, anyVersion)
        met |= VIA
        break
      case 'From':
        identity.fromTag = readTag(source, start, end, cursor, identity, 'Malformed From')
        met |= FROM
        break
      case 'To':
        identity.toTag = readTag(source, start, end, cursor, identity, 'Malformed To', method === '')
        met |= TO
        break
      case 'Call-ID':
        readCallId(source, start, end, identity)
        met |= CALL_ID_FIELD
        break
      case 'CSeq':
        readCSeq(source, start, end, method, identity)
        met |= CSEQ
        break
      case 'Max-Forwards':
        readMaxForwards(bytes, start, end, identity)
        break
      case 'Content-Length':
        readContentLength(bytes, start, end, identity)
        break
      case 'Contact':
        if (method !== '' && !isStar(bytes, start, end))
          checkAddresses(source, start, end, cursor, identity, 'Malformed Contact')
        break
      case 'Content-Type':
        if (isLongType(bytes, start, end)) identity.problem ??= 'Content-Type Too Long'
        break
      case 'Record-Route':
        if (method !== '') checkAddresses(source, start, end, cursor, identity, 'Malformed Record-Route')
        break
      default:
        break
    }
  }
  if (met !== MANDATORY) identity.problem ??= `Missing ${missing(met)}`
  return identity
}

function missing(met: number): string {
  if ((met & VIA) === 0) return 'Via'
  if ((met & FROM) === 0) return 'From'
  if ((met & TO) === 0) return 'To'
  return (met & CALL_ID_FIELD) === 0 ? 'Call-ID' : 'CSeq'
}

function readTopVia(
  source: Source,
  start: number,
  end: number,
  cursor: ParamCursor,
  identity: Identity,
  anyVersion: boolean,
): void {
  const { text } = source
  const via = scanVia(source, start, end, cursor, anyVersion)
  if (via === undefined) {
    identity.problem ??= 'Malformed Via'
    return
  }
  identity.topViaEnd = via.end
  identity.sentBy = text.slice(via.sentByStart, via.sentByEnd)
  if (via.branchStart >= 0) identity.branch = text.slice(via.branchStart, via.branchEnd)
  // RFC 3261 §8.1.1.7: the cookie promises that what follows is unique; nothing follows here (RFC 4475 §3.2.1).
  if (identity.branch.length === 7 && identity.branch.toLowerCase() === 'z9hg4bk') {
    identity.problem ??= 'Malformed Via Branch'
  }
}

/**
 * The tag of a From or To: RFC 3261 §25.1 has `tag-param = "tag" EQUAL token`, so that a quoted one, which could hold
 * anything, is none. A second tag, a second address or anything else after it makes the value malformed, too.
 */
function readTag(
  source: Source,
  start: number,
  end: number,
  cursor: ParamCursor,
  identity: Identity,
  malformed: string,
  mayRepeat = false,
): string {
  const span = scanAddress(source, start, end)
  if (span === undefined) {
    identity.problem ??= malformed
    return ''
  }
  let tag = ''
  cursor.reset(span.paramsStart, end)
  while (cursor.next()) {
    if (!cursor.named('tag')) continue
    if (cursor.valueStart === cursor.valueEnd || cursor.quoted) identity.problem ??= malformed
    if (tag === '') tag = cursor.value
    // A peer that puts its tag into every response, also where To has it already, breaks RFC 3261 §7.3.1, but who answers is
    // clear: the branch tells the request, and the first tag is what we sent.
    else if (!mayRepeat) identity.problem ??= malformed
  }
  if (cursor.failed || cursor.at !== end) identity.problem ??= malformed
  return tag
}

function readCallId({ text, bytes }: Source, start: number, end: number, identity: Identity): void {
  if (start < end && skip(bytes, start, end, CALL_ID) === end) identity.callId = text.slice(start, end)
  else identity.problem ??= 'Malformed Call-ID'
}

/** RFC 3261 §8.1.1.5: "The sequence number value MUST be expressible as a 32-bit unsigned integer and MUST be less than 2**31." */
function readCSeq({ text, bytes }: Source, start: number, end: number, method: string, identity: Identity): void {
  let numberEnd = start
  while (numberEnd < end && bytes[numberEnd] !== 32 && bytes[numberEnd] !== 9) numberEnd++
  const number = decimal(bytes, start, numberEnd, 0x7fffffff)
  const methodStart = skipBlanks(bytes, numberEnd, end)
  if (number < 0 || methodStart === end || skip(bytes, methodStart, end, TOKEN) !== end) {
    identity.problem ??= 'Malformed CSeq'
    return
  }
  identity.cseq = number
  // RFC 3261 §8.1.1.5: "The method MUST match that of the request."
  const same = method !== '' && end - methodStart === method.length && text.startsWith(method, methodStart)
  identity.cseqMethod = same ? method : text.slice(methodStart, end)
  if (!same && method !== '') identity.problem ??= 'CSeq Method Mismatch'
}

/**
 * RFC 3261 §20.22: "an integer in the range 0-255". It may be missing, §16.3: "If the request does not contain a
 * Max-Forwards header field, this check is passed."
 */
function readMaxForwards(bytes: Buffer, start: number, end: number, identity: Identity): void {
  if (decimal(bytes, start, end, 255) < 0) identity.problem ??= 'Malformed Max-Forwards'
}

function readContentLength(bytes: Buffer, start: number, end: number, identity: Identity): void {
  identity.contentLength = decimal(bytes, start, end, 0x7fffffff)
  if (identity.contentLength < 0) identity.problem ??= 'Malformed Content-Length'
}

/** A byte that is neither ASCII nor part of UTF-8 is three once a program has read the text as UTF-8 and written it again. */
function isLongType(bytes: Buffer, start: number, end: number): boolean {
  const most = 3 * (end - start)
  return (
    most > limits.contentTypeBytes && Buffer.byteLength(bytes.toString('utf8', start, end)) > limits.contentTypeBytes
  )
}

/** Every address of the list, in a request. In a response whoever uses it sees to it: a call is not to die of it. */
function checkAddresses(
  source: Source,
  start: number,
  end: number,
  cursor: ParamCursor,
  identity: Identity,
  malformed: string,
): void {
  for (let at = start; at <= end;) {
    const span = scanAddress(source, at, end)
    if (span === undefined) break
    cursor.reset(span.paramsStart, end)
    while (cursor.next());
    if (cursor.failed) break
    if (cursor.at === end) return
    at = cursor.at + 1
  }
  identity.problem ??= malformed
}
