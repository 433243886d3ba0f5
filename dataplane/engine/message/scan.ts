import { skip, skipBlanks, type Source, TOKEN, trimBlanks } from './chars.ts'
import { matchHeader } from './header-names.ts'

/**
 * Limits of a message; what is above them is refused. drachtio-srf takes the square of the length of a Content-Type to
 * look for its boundary.
 */
export const limits = { messageBytes: 65_536, headerLines: 256, headerBytes: 8192, contentTypeBytes: 512 } as const

/** How many header lines there may be, and how long one may be, in bytes. */
export type LineLimits = Pick<Record<keyof typeof limits, number>, 'headerLines' | 'headerBytes'>

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
export function scanHeaders({ text, bytes }: Source, start: number, bounds: LineLimits = limits): Scan {
  const names: string[] = []
  const offsets: number[] = []
  const scan: Scan = { names, offsets, bodyStart: text.length, problem: undefined, ambiguous: false, folded: false }
  let lines = 0
  let seen = 0
  for (let at = start; ;) {
    const feed = text.indexOf('\n', at)
    if (feed < 0) return stop(scan, 'No Empty Line after Header Fields')
    const carriage = text.indexOf('\r', at)
    const end = carriage === feed - 1 ? carriage : endOfBrokenLine(text, at, feed, carriage, scan)
    if (end === at) {
      scan.bodyStart = feed + 1
      return scan
    }
    if (++lines > bounds.headerLines) return stop(scan, 'Too Many Header Fields')
    if (at > start && isBlank(bytes[at])) {
      scan.folded = true
      return scan
    }
    const colon = text.indexOf(':', at)
    // RFC 3261 §25.1: "HCOLON = *( SP / HTAB ) ":" SWS"
    const nameEnd = colon < end ? trimBlanks(bytes, at, colon) : at
    const header = matchHeader(bytes, at, nameEnd)
    if (header === undefined && (nameEnd <= at || skip(bytes, at, nameEnd, TOKEN) !== nameEnd)) {
      scan.problem ??= 'Malformed Header Name'
    } else {
      if (end - at > bounds.headerBytes) scan.problem ??= 'Header Field Too Long'
      const name = header === undefined ? text.slice(at, nameEnd) : header.name
      if (header !== undefined && header.bit !== 0) {
        if ((seen & header.bit) !== 0) scan.problem ??= `Duplicate ${name}`
        seen |= header.bit
      }
      const valueStart = skipBlanks(bytes, colon + 1, end)
      names.push(name)
      offsets.push(valueStart, trimBlanks(bytes, valueStart, end))
    }
    at = feed + 1
  }
}

function stop(scan: Scan, problem: string): Scan {
  scan.problem ??= problem
  return scan
}

/** RFC 3261 §7: "each message-header line … MUST be terminated by a carriage-return line-feed sequence (CRLF)". */
function endOfBrokenLine(text: string, start: number, feed: number, carriage: number, scan: Scan): number {
  scan.problem ??= 'Line Not Ended by CRLF'
  if (carriage >= 0 && carriage < feed) scan.ambiguous = true
  return feed > start && text.charCodeAt(feed - 1) === 13 ? feed - 1 : feed
}

function isBlank(code: number | undefined): boolean {
  return code === 32 || code === 9
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
