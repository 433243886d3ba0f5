/**
 * The answer to an offer that is answered here, for calls with anchored media (feature item 8, modes Block and
 * PassThroughMediaChange): what the other side has said last, as it was carried to this side, fitted to the offer by the
 * rules of RFC 3264 section 6. The other side hears nothing, so nothing it would have to take part in is taken: streams
 * that are new are rejected. Undefined when no stream is left, or the offer takes streams away that it may not.
 */
export function fitAnswer(said: string, offer: string): string | undefined {
  const theirs = takeApart(said)
  const offered = takeApart(offer)
  // RFC 3264 section 8: "the "m=" lines in the new SDP … MUST NOT" be fewer than before.
  if (offered.streams.length < theirs.streams.length) return undefined
  const answers = offered.streams.map((stream, index) => answerTo(stream, theirs.streams[index]))
  if (!answers.some(isTaken)) return undefined
  return theirs.session + answers.join('')
}

interface Parts {
  /** Lines before the first stream. */
  readonly session: string
  /** Each from its `m=` line to the next. */
  readonly streams: readonly string[]
}

const mediaLine = /^m=(\S+) (\d+)(\/\d+)? (\S+) ([^\r\n]*)/

/** RFC 3264 section 6: "For each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer." */
function answerTo(offered: string, said: string | undefined): string {
  const [, kind, port, , protocol, payloads = ''] = mediaLine.exec(offered) ?? []
  const [, sameKind, theirPort, , sameProtocol, theirPayloads = ''] = mediaLine.exec(said ?? '') ?? []
  const taken = port !== '0' && theirPort !== '0' && kind === sameKind && protocol === sameProtocol
  const common = taken ? commonPayloads(payloads, theirPayloads) : []
  // "To reject an offered stream, the port number in the corresponding stream in the answer MUST be set to zero."
  if (said === undefined || common.length === 0) return `m=${kind} 0 ${protocol} ${payloads}\r\n`
  return withDirection(withPayloads(said, common), answerDirection(directionOf(offered), directionOf(said)))
}

/** In the order of the offer, by payload type: media passes untouched, so that numbers must mean the same on both sides. */
function commonPayloads(offered: string, said: string): string[] {
  const theirs = new Set(said.trim().split(/\s+/))
  return offered
    .trim()
    .split(/\s+/)
    .filter((payload) => theirs.has(payload))
}

function withPayloads(stream: string, common: readonly string[]): string {
  const kept = new Set(common)
  return stream
    .replace(mediaLine, (_line, kind: string, port: string, count = '', protocol: string) =>
      [`m=${kind}`, `${port}${count}`, protocol, ...kept].join(' '),
    )
    .replace(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) [^\r\n]*(?:\r\n|\n|\r|$)/gm, (line, payload: string) =>
      kept.has(payload) ? line : '',
    )
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
  return mediaLine.exec(stream)?.[2] !== '0'
}

function takeApart(sdp: string): Parts {
  const [session = '', ...streams] = sdp.split(/^(?=m=)/m)
  return { session, streams }
}
