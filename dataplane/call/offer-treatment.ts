import { answersHere, type MidcallMode, moreRestrictive } from '#api/session-behaviour.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { fitAnswer } from '../policy/fit-answer.ts'
import { addsMedia, answeringOnly, offersFax, withExplicitHold, withoutHold } from '../policy/media-change.ts'
import { pinCodec } from '../policy/pinned-codec.ts'
import { scopeOf } from '../policy/session-timer.ts'
import type { Leg } from './leg.ts'
import { isSameDescription } from './sdp-origin.ts'

/** What becomes of a re-INVITE or UPDATE inside a call. */
export type Treatment =
  /** It goes to the other leg, with this body where it is another; what comes back is looked at by `pin`. */
  | { readonly do: 'carry'; readonly body?: string; readonly pin?: Pin }
  /** The other leg hears nothing. Without a body the answer is what this leg was told last. */
  | { readonly do: 'answer'; readonly body?: string; readonly renegotiates?: boolean }
  | { readonly do: 'refuse'; readonly status: number }

/** A description as it goes on, with the codec of the call alone; undefined when that is not in it. */
export type Pin = (description: string) => string | undefined

const carry: Treatment = { do: 'carry' }
const answer: Treatment = { do: 'answer' }
const notAcceptable: Treatment = { do: 'refuse', status: 488 }

export function midcallMode(one: Leg, other: Leg): MidcallMode {
  return moreRestrictive(one.sip.midcall.mode, other.sip.midcall.mode)
}

/**
 * Of a call in which nobody hears of a hold later, so that nobody may begin with one: the caller's offer goes out without,
 * and the answer to it has no other hold than the offer's (feature item 8). Undefined: as it is.
 */
export function openedOffer(offer: string, from: Leg, to: Leg): string | undefined {
  return blocked(from, to) && offer !== '' ? withoutHold(offer) : undefined
}

export function openedAnswer(answer: string, offer: string, from: Leg, to: Leg): string | undefined {
  return blocked(from, to) && offer !== '' && answer !== '' ? answeringOnly(answer, offer) : undefined
}

function blocked(from: Leg, to: Leg): boolean {
  return from.origin.anchored && midcallMode(from, to) === 'Block'
}

/**
 * Feature item 8. A refresh, which repeats the last description or is an UPDATE without one, crosses end to end and is
 * answered here where the timers are leg by leg.
 */
export function treatOffer(message: SipMessage, from: Leg, to: Leg): Treatment {
  const { method, body } = message
  const mode = midcallMode(from, to)
  const refresh = body === '' ? method === 'UPDATE' : isSameDescription(body, to.origin)
  const anchored = from.origin.anchored
  if (answersHere(mode) && anchored) return treatAnchored(message, from, mode)
  // What nothing changes is answered by what this leg was told last, wherever media runs.
  if (refresh) return scopeOf(from.sip, to.sip) === 'LegByLeg' && from.origin.rest !== '' ? answer : carry
  switch (mode) {
    case 'Block':
    case 'PassThroughMediaChange':
      return notAcceptable
    case 'Disabled':
      return body === '' ? carry : notAcceptable
    case 'PreserveCodec': {
      const [told, otherTold] = [from.origin.rest, to.origin.rest]
      const pin: Pin = (description) => (description === '' ? '' : pinCodec(description, told, otherTold))
      const pinned = pin(body)
      if (pinned === undefined) return notAcceptable
      return pinned === '' ? { do: 'carry', pin } : { do: 'carry', body: pinned, pin }
    }
    case 'PassThrough':
      return carry
  }
}

/** The most restrictive first. */
const byEarlyRestriction = ['Block', 'BlockRenegotiate', 'PassThrough'] as const

/** Feature item 15: what becomes of an offer before the call is answered; when the legs differ, the more restrictive wins. */
export function earlyMode(one: Leg, other: Leg): (typeof byEarlyRestriction)[number] {
  const modes = [one.sip.update.early, other.sip.update.early]
  return byEarlyRestriction.find((mode) => modes.includes(mode)) ?? 'PassThrough'
}

/**
 * Feature item 15: an UPDATE before the call is answered; one that the other peer would not know, or may not be offered yet
 * (RFC 3311 section 5.1), is rejected. Section 5.2: an offer before the first one is answered gets "a 500 response … and MUST
 * include a Retry-After header field".
 */
export function treatEarlyUpdate({ body }: SipMessage, from: Leg, to: Leg): Treatment {
  if (body !== '' && !from.agreed) return { do: 'refuse', status: 500 }
  if (earlyMode(from, to) !== 'PassThrough') return body === '' ? answer : consumeEarly(body, from, to)
  if (to.allowsUpdate === false) return body === '' ? answer : notAcceptable
  return body === '' || to.agreed ? carry : notAcceptable
}

/** An offer in PRACK (RFC 3262 section 5), which the other peer knows since it has asked for PRACK. */
export function treatOfferInPrack({ body }: SipMessage, from: Leg, to: Leg): Treatment {
  return earlyMode(from, to) === 'PassThrough' ? carry : consumeEarly(body, from, to)
}

function consumeEarly(body: string, from: Leg, to: Leg): Treatment {
  const { carried, anchored } = from.origin
  const fitting = anchored && carried !== '' ? fitAnswer(carried, withExplicitHold(body)) : undefined
  if (fitting === undefined) return notAcceptable
  const renegotiates = earlyMode(from, to) === 'BlockRenegotiate' && !isSameDescription(body, to.origin)
  return { do: 'answer', body: fitting, renegotiates }
}

function treatAnchored({ method, body }: SipMessage, from: Leg, mode: MidcallMode): Treatment {
  const { carried } = from.origin
  if (body === '') return method === 'UPDATE' || carried !== '' ? { do: 'answer', body: carried } : carry
  if (mode === 'PassThroughMediaChange' && addsMedia(body, carried)) return carry
  const fitting = offersFax(body) ? undefined : fitAnswer(carried, withExplicitHold(body))
  return fitting === undefined ? notAcceptable : { do: 'answer', body: fitting }
}
