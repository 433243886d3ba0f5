import { isIPv6 } from 'node:net'
import type { SipMessage } from '../engine/message/sip-message.ts'

const sdpType = /^application\/sdp\s*(;|$)/i

/** The session description a message carries; undefined when it has none, or one that is compressed. */
export function descriptionIn(message: SipMessage): string | undefined {
  if (message.body === '' || message.has('Content-Encoding')) return undefined
  return sdpType.test(message.get('Content-Type') ?? '') ? message.body : undefined
}

const connectionLine = /^c=IN IP[46] ([^\s/]+)/m

/** The address that the description has media sent to first; undefined where it names none. */
export function connectionAddress(sdp: string): string | undefined {
  return connectionLine.exec(sdp)?.[1]
}

const attributeLine = /^a=[^\r\n]*(?:\r\n|\n|\r|$)/gm
const ipv4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g

/**
 * The engine's description without any attribute that names an address but the engine's own: the engine knows the
 * attributes that matter for media, and leaves the others as the peer wrote them.
 */
export function withoutAddresses(sdp: string): string {
  const engine = connectionAddress(sdp)
  return sdp.replace(attributeLine, (line) => {
    if (line.match(ipv4)?.some((address) => address !== engine)) return ''
    const value = line.slice(line.indexOf(':') + 1)
    return mayHoldIPv6(value) && value.split(/[^0-9A-Fa-f:.]+/).some((word) => isIPv6(word) && word !== engine)
      ? ''
      : line
  })
}

function mayHoldIPv6(value: string): boolean {
  return value.includes(':', value.indexOf(':') + 1)
}
