import type { MidcallMode } from '#api/session-behaviour.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { pinCodec } from '../policy/pinned-codec.ts'
import { type Scope, scopeOf } from '../policy/session-timer.ts'
import type { Leg } from './leg.ts'
import { isSameDescription } from './sdp-origin.ts'

/** What becomes of a re-INVITE or UPDATE inside a call. */
export type Treatment =
  /** It goes to the other leg, with this body where it is another. */
  | { readonly do: 'carry'; readonly body?: string }
  /** It changes nothing, and is answered with what was said before. */
  | { readonly do: 'answer' }
  | { readonly do: 'refuse'; readonly status: number }

/** The most restrictive first. */
const byRestriction: readonly MidcallMode[] = ['Disabled', 'PreserveCodec', 'PassThrough']

/** Feature item 8: when the legs differ, "the more restrictive wins". */
export function midcallMode(one: Leg, other: Leg): MidcallMode {
  const modes = [one.sip.midcall.mode, other.sip.midcall.mode]
  return byRestriction.find((mode) => modes.includes(mode)) ?? 'PassThrough'
}

/**
 * Feature item 8. A refresh, which repeats the last description or is an UPDATE without one, crosses end to end and is
 * answered here where the timers are leg by leg; the answer is what this leg was told last, since nothing changes.
 */
export function treatOffer(message: SipMessage, from: Leg, to: Leg): Treatment {
  const refresh = message.body === '' ? message.method === 'UPDATE' : isSameDescription(message.body, to.origin)
  const scope: Scope = scopeOf(from.sip, to.sip)
  if (refresh) return scope === 'LegByLeg' && from.origin.rest !== '' ? { do: 'answer' } : { do: 'carry' }
  if (message.body === '') return { do: 'carry' }
  switch (midcallMode(from, to)) {
    case 'Disabled':
      return { do: 'refuse', status: 488 }
    case 'PreserveCodec': {
      const body = pinCodec(message.body, from.origin.rest, to.origin.rest)
      return body === undefined ? { do: 'refuse', status: 488 } : { do: 'carry', body }
    }
    case 'PassThrough':
      return { do: 'carry' }
  }
}
