import type { ResolvedSessionTimer } from '#api/session-behaviour.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { parseUri, type Uri } from '../engine/message/uri.ts'
import { readTimer, tooShort } from '../policy/session-timer.ts'
import type { HeaderList } from '../sip/port.ts'
import { unsupportedOptions } from './header-relay.ts'
import { acceptedBodies, hasCarriedBody } from './relay.ts'

/** Who is called, or why an INVITE cannot be carried whoever that is. */
export type InviteCheck =
  | { readonly ok: true; readonly called: Uri }
  | { readonly ok: false; readonly status: number; readonly headers: HeaderList }

export function checkInvite(invite: SipMessage): InviteCheck {
  const called = parseUri(invite.uri)
  // RFC 3261 section 8.2.2.1. A sips: URI asks for TLS on every hop up to the callee (section 26.2.2), which nobody here
  // can promise for what is beyond the other trunk.
  if (called === undefined || called.scheme === 'sips') return { ok: false, status: 416, headers: [] }
  const options = unsupportedOptions(invite)
  // RFC 3261 section 8.2.2.3: "the server MUST respond by generating a response with status code 420 (Bad Extension)",
  // with Unsupported listing what it does not understand.
  if (options.length > 0) return { ok: false, status: 420, headers: [['Unsupported', options.join(', ')]] }
  if (!hasCarriedBody(invite)) return { ok: false, status: 415, headers: acceptedBodies }
  return { ok: true, called }
}

/** Why the trunk it comes from cannot have this INVITE for its session timer; undefined when it can (RFC 4028 section 9). */
export function checkTimer(invite: SipMessage, policy: ResolvedSessionTimer) {
  const asked = readTimer(invite)
  if (policy.mode === 'Disabled') {
    return asked.required ? { status: 420, headers: [['Unsupported', 'timer']] as HeaderList } : undefined
  }
  const minimum = tooShort({ side: 'A', policy, timer: undefined, floor: 0 }, asked)
  return minimum === undefined ? undefined : { status: 422, headers: [['Min-SE', String(minimum)]] as HeaderList }
}
