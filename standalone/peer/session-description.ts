/** A session of one audio stream with one codec, offered or answered by a peer (RFC 8866, RFC 3264). */
export interface Session {
  readonly user: string
  /** Where the peer wants its media; from a block for documentation, so that it is found wherever it turns up. */
  readonly mediaAddress: string
  readonly mediaPort: number
  /** Rises with every change of the session. */
  readonly version: number
}

export function formatSession({ user, mediaAddress, mediaPort, version }: Session): string {
  const lines = [
    'v=0',
    `o=${user} 20260101 ${version} IN IP4 ${mediaAddress}`,
    's=-',
    `c=IN IP4 ${mediaAddress}`,
    't=0 0',
    `m=audio ${mediaPort} RTP/AVP 8`,
    'a=rtpmap:8 PCMA/8000',
    'a=sendrecv',
  ]
  return `${lines.join('\r\n')}\r\n`
}
