import type { SipMessage } from '../engine/message/sip-message.ts'

const sdpType = /^application\/sdp\s*(;|$)/i

/** The session description a message carries; undefined when it has none. */
export function descriptionIn(message: SipMessage): string | undefined {
  if (message.body === '') return undefined
  return sdpType.test(message.get('Content-Type') ?? '') ? message.body : undefined
}

const connectionLine = /^c=IN IP[46] ([^\s/]+)/m

/** The address that the description has media sent to first; undefined where it names none. */
export function connectionAddress(sdp: string): string | undefined {
  return connectionLine.exec(sdp)?.[1]
}

/** Lines that may name addresses: origin, connection, attributes. */
const addressed = /^[oca]=.*$/gm
const addressLike = /(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*/gi

/**
 * The engine's description without any attribute that still names an address of the peer's own: the engine knows the
 * attributes that matter for media, and leaves the others as they were.
 */
export function withoutAddressesOf(peer: string, sdp: string): string {
  const own = new Set<string>()
  for (const line of peer.match(addressed) ?? []) {
    if (line.startsWith('a=')) continue
    for (const address of line.match(addressLike) ?? []) own.add(address)
  }
  const engine = connectionAddress(sdp)
  if (engine !== undefined) own.delete(engine)
  if (own.size === 0) return sdp
  return sdp.replace(/^a=[^\r\n]*(\r\n|\n|\r|$)/gm, (line) => {
    for (const address of line.match(addressLike) ?? []) if (own.has(address)) return ''
    return line
  })
}
