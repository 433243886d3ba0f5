import type { SipMessage } from '../engine/message/sip-message.ts'

/** The side of a call that a description comes from: A called, B was called. */
export type Side = 'A' | 'B'

/** What becomes of a session description on its way through a call. */
export type Carried =
  /** As it goes out to the other side, but for its `o=` line. `undefined`: the message has none, or media goes around. */
  | { readonly ok: true; readonly sdp: string | undefined }
  /** 488: it cannot be made sense of. 503: no engine takes it. 500: the engine failed, or does not know the call any more. */
  | { readonly ok: false; readonly status: 488 | 500 | 503; readonly reason: string }

export type OnCarried = (carried: Carried) => void

/**
 * The media of one call. Either it goes around the fleet, and everything here is done before the function returns and
 * changes nothing, or it runs through an engine, which is asked. What is asked is done in the order of the calls, one
 * at a time, and every `done` is called exactly once, after `release` too, and then with a failure.
 *
 * Offers and answers pair up as RFC 3264 has them: `offer`, then `answer` of the other side (any number of times while
 * the call is set up: early media, forks), or `withdraw`.
 */
export interface CallMedia {
  /** Whether media runs through an engine; only then can a description be answered here. */
  readonly anchored: boolean
  /** Carries the offer in a message of that side to the other side; a message without description is done at once. */
  offer(from: Side, message: SipMessage, done: OnCarried): void
  /** Carries the answer in a message of that side to the other side. */
  answer(from: Side, message: SipMessage, done: OnCarried): void
  /** The pending offer was refused, cancelled or lost: what was agreed before holds again (RFC 3261 section 14.1). */
  withdraw(): void
  /** The last description of the peer on that side that was agreed on, as the peer wrote it. */
  agreed(side: Side): string | undefined
  /**
   * Answers an offer of that side here; the other side hears nothing and its media goes on as agreed. `answer` is made
   * of what the other side would say, `as` it is given: `agreed(other)` with directions and streams fitted to the offer.
   * The description carried back is the answer for the side that offered.
   */
  answerHere(from: Side, offer: string, as: string, done: OnCarried): void
  /** A description for a 2xx to a re-INVITE without offer that is not carried on; its ACK comes to `answer(to, …)`. */
  offerHere(to: Side, done: OnCarried): void
  /** The call is over. */
  release(): void
}

/** Media that goes around the fleet: descriptions cross as they are. */
export const bypassedMedia: CallMedia = {
  anchored: false,
  offer: (_from, _message, done) => done(untouched),
  answer: (_from, _message, done) => done(untouched),
  withdraw: () => {},
  agreed: () => undefined,
  answerHere: (_from, _offer, _as, done) => done(notAnchored),
  offerHere: (_to, done) => done(notAnchored),
  release: () => {},
}

const untouched: Carried = { ok: true, sdp: undefined }
const notAnchored: Carried = { ok: false, status: 488, reason: 'media goes around the fleet; nothing is answered here' }
