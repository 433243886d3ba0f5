import { mediaLineOf, withFormats } from './media-line.ts'

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

/**
 * The offer or answer with the audio codec of the call alone, telephone events beside it; undefined when the codec is not in it.
 * The codec of the call is the first of the one description that the other has, too. What is no audio stays as it is.
 */
export function pinCodec(offer: string, oneSide: string, otherSide: string): string | undefined {
  // RFC 3264 section 6: the formats of a stream with port 0 mean nothing.
  if (mediaLineOf(audioStream(offer))?.port === 0) return offer
  const [ours, theirs, offered] = [codecsOf(oneSide), codecsOf(otherSide), codecsOf(offer)]
  if (ours === undefined || theirs === undefined || offered === undefined) return offer
  const known = new Set(theirs.map(([, name]) => name))
  const codec = ours.find(([, name]) => !beside.test(name) && known.has(name))?.[1]
  if (codec === undefined) return offer
  if (!offered.some(([, name]) => name === codec)) return undefined
  const isKept = ([, name]: Format) => name === codec || beside.test(name)
  const kept = offered.filter(isKept).map(([format]) => format)
  if (kept.length === offered.length) return offer
  return offer.replace(audioStream(offer), (stream) => withFormats(stream, kept))
}

type Format = readonly [format: string, name: string]

/** Formats of the first audio stream in order, each with its name in upper case. */
function codecsOf(sdp: string): Format[] | undefined {
  const stream = audioStream(sdp)
  const formats = mediaLineOf(stream)?.formats
  const mapped = mappedNames(stream)
  return formats?.map((format) => [format, (mapped.get(format) ?? staticNames.get(format) ?? format).toUpperCase()])
}

const mapping = /^a=rtpmap:(\S+) ([^\s/]+\/\d+)/gm

/** Names by format, as the stream maps them; the first mapping of a format counts. */
function mappedNames(stream: string): Map<string, string> {
  const names = new Map<string, string>()
  for (const [, format = '', name = ''] of stream.matchAll(mapping)) if (!names.has(format)) names.set(format, name)
  return names
}

/** From the first audio line to the next stream. */
function audioStream(sdp: string): string {
  const start = sdp.search(/^m=audio /m)
  if (start < 0) return ''
  const next = sdp.slice(start + 1).search(/^m=/m)
  return next < 0 ? sdp.slice(start) : sdp.slice(start, start + 1 + next)
}
