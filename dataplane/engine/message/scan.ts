import { skipBlanks, trimBlanks } from './chars.ts'
import { lookUpHeader } from './header-names.ts'
import { isToken } from './uri.ts'

/** Limits of a message; what is above them is refused. */
export const limits = { messageBytes: 65_536, headerLines: 256, headerBytes: 8192 } as const

/** Where the header fields of a text stand, and the first thing that is wrong with them. */
export interface Scan {
  /** One a line, in long form where the name is known. */
  readonly names: string[]
  /** Start and end of each value, trimmed: two numbers a line. */
  readonly offsets: number[]
  bodyStart: number
  problem: string | undefined
  /** A carriage return stands where no line ends: what a value is, is a matter of opinion. */
  ambiguous: boolean
  /** A line begins with white space, and with it the scan ended. */
  folded: boolean
}

/** Scans the lines from `start` to the empty line. Goes on after a problem, to find what an answer is made of. */
export function scanHeaders(text: string, start: number): Scan {
  const scan: Scan = { names: [], offsets: [], bodyStart: -1, problem: undefined, ambiguous: false, folded: false }
  let seen = 0
  for (let at = start; scan.bodyStart < 0;) {
    const feed = text.indexOf('\n', at)
    if (feed < 0) {
      scan.problem ??= 'No Empty Line after Header Fields'
      scan.bodyStart = text.length
      break
    }
    const end = lineEnd(text, at, feed, scan)
    const first = text.charCodeAt(at)
    if (end === at) scan.bodyStart = feed + 1
    else if ((first === 32 || first === 9) && at > start) {
      scan.folded = true
      break
    } else if (scan.names.length === limits.headerLines) {
      scan.problem ??= 'Too Many Header Fields'
      scan.bodyStart = text.length
    } else seen = scanLine(text, at, end, seen, scan)
    at = feed + 1
  }
  return scan
}

/** RFC 3261 §7: "each message-header line … MUST be terminated by a carriage-return line-feed sequence (CRLF)". */
function lineEnd(text: string, start: number, feed: number, scan: Scan): number {
  const carriage = text.indexOf('\r', start)
  if (carriage === feed - 1) return carriage
  if (carriage >= 0 && carriage < feed) scan.ambiguous = true
  scan.problem ??= 'Line Not Ended by CRLF'
  return text.charCodeAt(feed - 1) === 13 && feed > start ? feed - 1 : feed
}

/** Takes one line in and gives the bits of the names that have been seen. */
function scanLine(text: string, start: number, end: number, seen: number, scan: Scan): number {
  const colon = text.indexOf(':', start)
  if (colon < 0 || colon >= end) {
    scan.problem ??= 'Header Field without Colon'
    return seen
  }
  // RFC 3261 §25.1: "HCOLON = *( SP / HTAB ) ":" SWS"
  const name = text.slice(start, trimBlanks(text, start, colon))
  const header = lookUpHeader(name)
  if (header === undefined && !isToken(name)) {
    scan.problem ??= 'Malformed Header Name'
    return seen
  }
  if (end - start > limits.headerBytes) scan.problem ??= 'Header Field Too Long'
  const bit = header?.bit ?? 0
  if ((seen & bit) !== 0) scan.problem ??= `Duplicate ${header?.name ?? name}`
  const valueStart = skipBlanks(text, colon + 1, end)
  scan.names.push(header?.name ?? name)
  scan.offsets.push(valueStart, trimBlanks(text, valueStart, end))
  return seen | bit
}

/**
 * The text with the folded lines from `start` on put together. RFC 3261 §7.3.1: "The line break and the whitespace at
 * the beginning of the next line are treated as a single SP character." Done once for the whole message, so that
 * nobody after us reads a folded line in another way.
 */
export function unfold(text: string, start: number): string {
  const empty = text.indexOf('\r\n\r\n', start)
  const end = empty < 0 ? text.length : empty
  const headers = text.slice(start, end).replace(/\r\n[ \t]+/g, ' ')
  return text.slice(0, start) + headers + text.slice(end)
}
