/** Encoding names of the static payload types (RFC 3551 section 6) that need no `a=rtpmap`. */
const staticNames: ReadonlyMap<string, string> = new Map([
  ['0', 'PCMU/8000'],
  ['3', 'GSM/8000'],
  ['4', 'G723/8000'],
  ['8', 'PCMA/8000'],
  ['9', 'G722/8000'],
  ['15', 'G728/8000'],
  ['18', 'G729/8000'],
])

/** Carried beside any codec: events and comfort noise are none. */
const beside = /^(telephone-event|CN)\//i

/** RFC 3264 section 6: the formats of a stream with port 0 mean nothing. */
const rejectedAudio = /^m=audio 0 /

const audioLine = /^m=audio \d+(?:\/\d+)? \S+ ([^\r\n]*)/m

/**
 * The offer or answer with the audio codec of the call alone, telephone events beside it; undefined when the codec is not in it.
 * The codec of the call is the first of the one description that the other has, too. What is no audio stays as it is.
 */
export function pinCodec(offer: string, oneSide: string, otherSide: string): string | undefined {
  if (rejectedAudio.test(audioStream(offer))) return offer
  const [ours, theirs, offered] = [codecsOf(oneSide), codecsOf(otherSide), codecsOf(offer)]
  if (ours === undefined || theirs === undefined || offered === undefined) return offer
  const known = new Set(theirs.map(([, name]) => name))
  const codec = ours.find(([, name]) => !beside.test(name) && known.has(name))?.[1]
  if (codec === undefined) return offer
  if (!offered.some(([, name]) => name === codec)) return undefined
  const isKept = ([, name]: Format) => name === codec || beside.test(name)
  const kept = new Set(offered.filter(isKept).map(([payload]) => payload))
  return offered.every(([payload]) => kept.has(payload)) ? offer : withPayloads(offer, kept)
}

type Format = readonly [payload: string, name: string]

/** Payload types of the first audio stream in order, each with its name in upper case. */
function codecsOf(sdp: string): Format[] | undefined {
  const stream = audioStream(sdp)
  const payloads = audioLine.exec(stream)?.[1]
  if (payloads === undefined) return undefined
  const mapped = mappedNames(stream)
  return formatsIn(payloads).map((payload) => [
    payload,
    (mapped.get(payload) ?? staticNames.get(payload) ?? payload).toUpperCase(),
  ])
}

function formatsIn(payloads: string): string[] {
  return payloads.trim().split(/\s+/)
}

const mapping = /^a=rtpmap:(\S+) ([^\s/]+\/\d+)/gm

/** Names by format, as the stream maps them; the first mapping of a format counts. */
function mappedNames(stream: string): Map<string, string> {
  const names = new Map<string, string>()
  for (const [, format = '', name = ''] of stream.matchAll(mapping)) if (!names.has(format)) names.set(format, name)
  return names
}

const formatAttribute = /^a=(?:rtpmap|fmtp|rtcp-fb):(\S+) [^\r\n]*(?:\r\n|\n|\r|$)/gm

/** The formats of a peer are text to compare, never a pattern: RFC 4566 section 9 takes any token for one. */
function withPayloads(sdp: string, kept: ReadonlySet<string>): string {
  const stream = audioStream(sdp)
  const offered = formatsIn(audioLine.exec(stream)?.[1] ?? '')
  const dropped = new Set(offered.filter((payload) => !kept.has(payload)))
  const pinned = stream
    .replace(audioLine, (line, payloads: string) => {
      const rest = offered.filter((payload) => kept.has(payload))
      return line.slice(0, line.length - payloads.length) + rest.join(' ')
    })
    .replace(formatAttribute, (line, format: string) => (dropped.has(format) ? '' : line))
  return sdp.replace(stream, () => pinned)
}

/** From the first audio line to the next stream. */
function audioStream(sdp: string): string {
  const start = sdp.search(/^m=audio /m)
  if (start < 0) return ''
  const next = sdp.slice(start + 1).search(/^m=/m)
  return next < 0 ? sdp.slice(start) : sdp.slice(start, start + 1 + next)
}
