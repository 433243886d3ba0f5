/** What the `m=` line of a stream says (RFC 4566 section 5.14). */
export interface MediaLine {
  /** `audio`, `video`, `image` … */
  readonly type: string
  /** 0: the stream is rejected, or over (RFC 3264 sections 6 and 8.2). */
  readonly port: number
  readonly protocol: string
  /** In order of preference. Of RTP they are numbers, of other protocols any token, so they are compared and never a pattern. */
  readonly formats: readonly string[]
}

const mediaLine = /^(m=(\S+) (\d+)(?:\/\d+)? (\S+) )([^\r\n]*)/

/** The line that the text of a stream begins with; undefined when it is malformed. */
export function mediaLineOf(stream: string): MediaLine | undefined {
  const match = mediaLine.exec(stream)
  if (match === null) return undefined
  const [, , type = '', port = '', protocol = '', formats = ''] = match
  return { type, port: Number(port), protocol, formats: formats.trim().split(/\s+/) }
}

const formatAttribute = /^a=(?:rtpmap|fmtp|rtcp-fb):(\S+) [^\r\n]*(?:\r\n|\n|\r|$)/gm

/** The stream with those of its formats alone, in that order; what it says of the others goes with them. */
export function withFormats(stream: string, kept: readonly string[]): string {
  const dropped = new Set(mediaLineOf(stream)?.formats)
  for (const format of kept) dropped.delete(format)
  return stream
    .replace(mediaLine, (_line, beginning: string) => beginning + kept.join(' '))
    .replace(formatAttribute, (line, format: string) => (dropped.has(format) ? '' : line))
}
