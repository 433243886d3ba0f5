import type { Reliable1xx } from '#api/sip-behaviour.ts'
import { allowsReliability, requiresReliability } from '../engine/message/reliability.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'

/** Why a caller is refused for what it says of 100rel; undefined when it is not. */
export interface ReliabilityRefusal {
  readonly status: 420 | 421
  readonly headers: readonly (readonly [string, string])[]
}

/**
 * Whether the caller gets provisional answers reliably: never, where those of the callee are, always where that can be, or
 * else not at all (RFC 3262 section 3: to an INVITE that requires it "a UAS MUST send any non-100 provisional response
 * reliably").
 */
export type CallerTakes = 'Never' | 'Mirrored' | 'Always' | 'OnlyReliable'

/** What the INVITE to a callee says of 100rel. */
export type CalleeAsked = 'Nothing' | 'Supported' | 'Required'

/** How a provisional answer of the callee goes to the caller; `Silent`: it does not. */
export type ProvisionalWay = 'Reliable' | 'Plain' | 'Silent'

/**
 * RFC 3261 section 21.4.15: 421 says that "the UAS needs a particular extension to process the request", with a Require
 * that lists it; section 8.2.2.3: 420 says that one which is required is not known.
 */
export function refuseReliability(invite: SipMessage, mode: Reliable1xx): ReliabilityRefusal | undefined {
  if (mode === 'Disabled') {
    return requiresReliability(invite) ? { status: 420, headers: [['Unsupported', '100rel']] } : undefined
  }
  if (mode === 'Supported' || allowsReliability(invite)) return undefined
  return { status: 421, headers: [['Require', '100rel']] }
}

export function callerTakes(invite: SipMessage, mode: Reliable1xx): CallerTakes {
  if (mode === 'Disabled' || !allowsReliability(invite)) return 'Never'
  if (requiresReliability(invite)) return 'OnlyReliable'
  return mode === 'Require' ? 'Always' : 'Mirrored'
}

/**
 * RFC 3262 section 5: "If the INVITE did not contain an offer", the first reliable provisional answer has one, and PRACK has
 * the answer to it. A caller that knows no PRACK could not give one, so that the callee is not asked then.
 */
export function askCallee(invite: SipMessage, mode: Reliable1xx, takes: CallerTakes): CalleeAsked {
  if (mode === 'Disabled' || (invite.body === '' && takes === 'Never')) return 'Nothing'
  return mode === 'Require' ? 'Required' : 'Supported'
}

/** How one goes on. `agreed`: offer and answer of the INVITE are on their way to the caller reliably, or have been. */
export function provisionalWay(
  takes: CallerTakes,
  answer: { readonly reliable: boolean; readonly described: boolean },
  call: { readonly offered: boolean; readonly agreed: boolean },
): ProvisionalWay {
  if (takes === 'Never') return 'Plain'
  // Section 5: the first reliable one has the offer where the INVITE has none; that of an unreliable answer is none yet.
  const canBe = call.offered || call.agreed || (answer.reliable && answer.described)
  if (!canBe) return takes === 'OnlyReliable' ? 'Silent' : 'Plain'
  return answer.reliable || takes !== 'Mirrored' ? 'Reliable' : 'Plain'
}
