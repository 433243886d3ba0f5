/** Encoding names of the static payload types (RFC 3551 section 6) that need no `a=rtpmap`. */
const staticNames: Readonly<Record<string, string>> = {
  0: 'PCMU/8000',
  3: 'GSM/8000',
  4: 'G723/8000',
  8: 'PCMA/8000',
  9: 'G722/8000',
  15: 'G728/8000',
  18: 'G729/8000',
}

/** Carried beside any codec: events and comfort noise are none. */
const beside = /^(telephone-event|CN)\//i

/** RFC 3264 section 6: the formats of a stream with port 0 mean nothing. */
const rejectedAudio = /^m=audio 0 /m

const audioLine = /^m=audio \d+(?:\/\d+)? \S+ ([^\r\n]*)/m

/**
 * The offer or answer with the audio codec of the call alone, telephone events beside it; undefined when the codec is not in it.
 * The codec of the call is the first of the one description that the other has, too. What is no audio stays as it is.
 */
export function pinCodec(offer: string, oneSide: string, otherSide: string): string | undefined {
  if (rejectedAudio.test(offer)) return offer
  const [ours, theirs, offered] = [codecsOf(oneSide), codecsOf(otherSide), codecsOf(offer)]
  if (ours === undefined || theirs === undefined || offered === undefined) return offer
  const known = new Set(theirs.map(([, name]) => name))
  const codec = ours.find(([, name]) => !beside.test(name) && known.has(name))?.[1]
  if (codec === undefined) return offer
  if (!offered.some(([, name]) => name === codec)) return undefined
  const kept = offered.filter(([, name]) => name === codec || beside.test(name)).map(([payload]) => payload)
  const dropped = offered.map(([payload]) => payload).filter((payload) => !kept.includes(payload))
  return dropped.length === 0 ? offer : withPayloads(offer, kept, dropped)
}

/** Payload types of the first audio stream in order, each with its name in upper case. */
function codecsOf(sdp: string): [payload: string, name: string][] | undefined {
  const stream = audioStream(sdp)
  const payloads = audioLine.exec(stream)?.[1]
  if (payloads === undefined) return undefined
  return payloads
    .trim()
    .split(/\s+/)
    .map((payload) => {
      const mapped = new RegExp(`^a=rtpmap:${payload} ([^\\s/]+/\\d+)`, 'm').exec(stream)?.[1]
      return [payload, (mapped ?? staticNames[payload] ?? payload).toUpperCase()]
    })
}

function withPayloads(sdp: string, kept: readonly string[], dropped: readonly string[]): string {
  const stream = audioStream(sdp)
  const attributes = new RegExp(
    `^a=(?:rtpmap|fmtp|rtcp-fb):(?:${dropped.join('|')}) [^\\r\\n]*(?:\\r\\n|\\n|\\r|$)`,
    'gm',
  )
  const pinned = stream
    .replace(audioLine, (line, payloads: string) => line.slice(0, line.length - payloads.length) + kept.join(' '))
    .replace(attributes, '')
  return sdp.replace(stream, () => pinned)
}

/** From the first audio line to the next stream. */
function audioStream(sdp: string): string {
  const start = sdp.search(/^m=audio /m)
  if (start < 0) return ''
  const next = sdp.slice(start + 1).search(/^m=/m)
  return next < 0 ? sdp.slice(start) : sdp.slice(start, start + 1 + next)
}
