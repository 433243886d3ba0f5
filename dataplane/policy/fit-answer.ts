import { mediaLineOf, withFormats } from './media-line.ts'

/**
 * The answer to an offer that is answered here, for calls with anchored media (feature item 8, modes Block and
 * PassThroughMediaChange): what the other side has said last, as it was carried to this side, fitted to the offer by the
 * rules of RFC 3264 section 6. The other side hears nothing, so nothing it would have to take part in is taken: streams
 * that are new are rejected. Undefined when no stream is left, one cannot be read, or the offer takes
 * streams away that it may not.
 */
export function fitAnswer(said: string, offer: string): string | undefined {
  const theirs = takeApart(said)
  const offered = takeApart(offer)
  // RFC 3264 section 8: "the "m=" lines in the new SDP … MUST NOT" be fewer than before.
  if (offered.streams.length < theirs.streams.length) return undefined
  const answers = offered.streams.flatMap((stream, index) => answerTo(stream, theirs.streams[index]) ?? [])
  if (answers.length < offered.streams.length || !answers.some(isTaken)) return undefined
  return theirs.session + answers.join('')
}

interface Parts {
  /** Lines before the first stream. */
  readonly session: string
  /** Each from its `m=` line to the next. */
  readonly streams: readonly string[]
}

/** RFC 3264 section 6: "For each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer." */
function answerTo(offered: string, said: string | undefined): string | undefined {
  const line = mediaLineOf(offered)
  const theirs = said === undefined ? undefined : mediaLineOf(said)
  if (line === undefined) return undefined
  const { type, port, protocol, formats } = line
  const taken = port !== 0 && theirs?.port !== 0 && type === theirs?.type && protocol === theirs.protocol
  // In the order of the offer, by format: media passes untouched, so that numbers must mean the same on both sides.
  const known = new Set(taken ? theirs.formats : [])
  const common = formats.filter((format) => known.has(format))
  // "To reject an offered stream, the port number in the corresponding stream in the answer MUST be set to zero."
  if (said === undefined || common.length === 0) return `m=${type} 0 ${protocol} ${formats.join(' ')}\r\n`
  return withDirection(withFormats(said, common), answerDirection(directionOf(offered), directionOf(said)))
}

interface Direction {
  readonly sends: boolean
  readonly receives: boolean
}

const directionLine = /^a=(sendrecv|sendonly|recvonly|inactive)(\r\n|\n|\r|$)/m

function directionOf(stream: string): Direction {
  const word = directionLine.exec(stream)?.[1] ?? 'sendrecv'
  return { sends: word === 'sendrecv' || word === 'sendonly', receives: word === 'sendrecv' || word === 'recvonly' }
}

/** RFC 3264 section 6.1: a stream that is offered sendonly is answered recvonly or inactive, and so on. */
function answerDirection(offered: Direction, said: Direction): string {
  const sends = said.sends && offered.receives
  const receives = said.receives && offered.sends
  if (sends) return receives ? 'sendrecv' : 'sendonly'
  return receives ? 'recvonly' : 'inactive'
}

function withDirection(stream: string, direction: string): string {
  if (directionLine.test(stream))
    return stream.replace(directionLine, (_line, _was, end: string) => `a=${direction}${end}`)
  const ended = stream.endsWith('\n') || stream.endsWith('\r') ? stream : `${stream}\r\n`
  return direction === 'sendrecv' ? stream : `${ended}a=${direction}\r\n`
}

function isTaken(stream: string): boolean {
  return mediaLineOf(stream)?.port !== 0
}

function takeApart(sdp: string): Parts {
  const [session = '', ...streams] = sdp.split(/^(?=m=)/m)
  return { session, streams }
}
