import { isIPv6 } from 'node:net'
import { connectionAddress } from '../media/session-description.ts'

/** What our `o=` line says on a leg, and the text it last stood for. */
export interface SdpOrigin {
  /** Numeric, for the life of the dialog. */
  readonly sessionId: string
  readonly version: number
  /** The description sent last, which the version stands for, but for the `o=` line; empty before the first. */
  readonly sent: string
  /** The description in force: the one sent last, or the one before where that came to nothing. */
  readonly rest: string
  /** What the other side said last, as this leg was told it; an answer that was made here is not the other side's. */
  readonly carried: string
  /** Whether media is anchored: the origin then is where media goes, so that no address of this replica is told. */
  readonly anchored: boolean
  /** Address in the first one; undefined before it. */
  readonly address: string | undefined
}

export function newOrigin(sessionId: string): SdpOrigin {
  return { sessionId, version: 0, sent: '', rest: '', carried: '', anchored: false, address: undefined }
}

/** Lines that speak of the user and not of the media: origin, session name, information, URI, e-mail, phone, software. */
const sessionLines = /^(?:[osiuep]=|a=tool:)[^\r\n]*(\r\n|\n|\r|$)/gm

/**
 * The session description with nothing in it that tells who made it. Media goes around this fleet, so `c=`, `m=` and the
 * attributes stay as they are, and with them the addresses media is sent to: the one thing of the near side that the far
 * side gets to see, since it must. `o=` and `s=` become ours; `i=`, `u=`, `e=`, `p=` and `a=tool` are left out (feature item 29.2).
 *
 * RFC 3264 section 8: the version in `o=` "MUST increment by one from the previous SDP" when the description changed, and
 * stays when it did not, so that a session refresh is known for one. All else in `o=` "MUST be identical", the address too,
 * wherever media goes meanwhile.
 */
export function hideOrigin(sdp: string, origin: SdpOrigin, address: string): { sdp: string; origin: SdpOrigin } {
  const rest = withoutOrigin(sdp)
  const version = rest === origin.sent ? origin.version : origin.version + 1
  const shown = origin.address ?? (origin.anchored ? connectionAddress(sdp) : undefined) ?? address
  const line = `o=- ${origin.sessionId} ${version} IN ${isIPv6(shown) ? 'IP6' : 'IP4'} ${shown}`
  return { sdp: rest.replace(/^o=/m, line), origin: { ...origin, version, sent: rest, rest, address: shown } }
}

/**
 * What was sent last came to nothing, and what was in force before is again (RFC 3261 section 14.1). It was sent all the
 * same, so that the version is not taken back.
 */
export function withdrawn(origin: SdpOrigin, before: SdpOrigin): SdpOrigin {
  return { ...origin, rest: before.rest, carried: before.carried }
}

/** Whether it says what was said last, whatever its own `o=` line counts. */
export function isSameDescription(sdp: string, { rest }: SdpOrigin): boolean {
  return withoutOrigin(sdp) === rest
}

function withoutOrigin(sdp: string): string {
  const named = /^s=/m.test(sdp)
  return sdp.replace(sessionLines, (line, end: string) => {
    if (line.startsWith('o=')) return named ? `o=${end}` : `o=${end}s=-${end}`
    return line.startsWith('s=') ? `s=-${end}` : ''
  })
}
