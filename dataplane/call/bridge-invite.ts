import type { SipMessage } from '../engine/message/sip-message.ts'
import type { Uri } from '../engine/message/uri.ts'
import { nextMaxForwards } from '../policy/max-forwards.ts'
import type { CalleeAsked } from '../policy/reliable-provisionals.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import type { Attempt } from '../policy/targets.ts'
import type { OutgoingRequest } from '../sip/port.ts'
import { carriedHeaders } from './header-relay.ts'
import { identityHeaders, nextHop, targetUri } from './identity-headers.ts'
import type { Leg } from './leg.ts'
import { carriedBody, product } from './relay.ts'

/** What the INVITE of leg B has that is not the caller's. */
export interface BridgedParts {
  readonly ringMilliseconds: number
  readonly timer: TimerFields
  readonly asked: CalleeAsked
  /** Description instead of the caller's. */
  readonly body: string | undefined
}

/**
 * The INVITE of leg B: a dialog of its own that carries who calls whom, the offer and the listed headers of leg A, and
 * nothing of its topology. Undefined when Max-Forwards allows no further hop.
 */
export function bridgeInvite(
  invite: SipMessage,
  called: Uri,
  attempt: Attempt,
  leg: Leg,
  { ringMilliseconds, timer, asked, body }: BridgedParts,
): OutgoingRequest | undefined {
  const maxForwards = nextMaxForwards(invite.get('Max-Forwards'), attempt.sip.maxForwards)
  if (maxForwards === undefined) return undefined
  return {
    method: 'INVITE',
    uri: targetUri(called, attempt),
    nextHop: nextHop(attempt),
    headers: [
      ...identityHeaders(invite, attempt),
      ['Contact', leg.contact],
      ['Max-Forwards', String(maxForwards)],
      ['Expires', String(Math.ceil(ringMilliseconds / 1000))],
      ['User-Agent', product],
      ...(asked === 'Required' ? [['Require', '100rel'] as const] : []),
      ...carriedHeaders(invite, attempt.listener.address, {
        timer,
        reliability: asked === 'Nothing' ? 'None' : '100rel',
      }),
    ],
    body: carriedBody(invite, leg, body),
  }
}

/** How long a call may ring, and what its caller is told when that is over. */
export interface RingLimit {
  readonly milliseconds: number
  readonly status: 408 | 487
}

/**
 * The configured time, or the caller's Expires where that is shorter (feature item 14). RFC 3261 section 13.3.1: "If the
 * invitation expires before the UAS has generated a final response, a 487 (Request Terminated) response SHOULD be generated."
 */
export function ringLimit(invite: SipMessage, configured: number): RingLimit {
  const expires = invite.get('Expires')
  const asked = expires !== undefined && /^\d+$/.test(expires) ? Number(expires) * 1000 : Infinity
  return asked < configured ? { milliseconds: asked, status: 487 } : { milliseconds: configured, status: 408 }
}
