/** The side of a call that a description comes from: A called, B was called. */
export type Side = 'A' | 'B'

/** 488: it cannot be made sense of. 503: no engine takes it. 500: the engine failed, or does not know the call any more. */
export interface Uncarried {
  readonly ok: false
  readonly status: 488 | 500 | 503
  readonly reason: string
}

/** What becomes of a session description on its way through an engine. */
export type Carried =
  /** As it goes out to the other side, but for its `o=` line. */
  { readonly ok: true; readonly sdp: string } | Uncarried

/** What an engine says of the packets of a call, RTP and RTCP of either side together, since it has the call. */
export type Heard =
  | { readonly kind: 'Packets'; readonly packets: number }
  /** It does not answer, it does not know the call any more, or it is not where the peers send their media. */
  | { readonly kind: 'Gone' }
  /** Nothing is agreed yet, or an offer is open; the packets until now are told where the engine says them. */
  | { readonly kind: 'Unknown'; readonly packets?: number }

/** What each side is to be told now that an engine has what was agreed, as it goes out to it but for its `o=` line. */
export type Renewed = { readonly ok: true; readonly told: Readonly<Record<Side, string>> } | Uncarried

export type OnCarried = (carried: Carried) => void

/**
 * The media of one call that runs through an engine. What is asked is done in the order in which it is asked, one at a
 * time; every `done` is called exactly once, after `release` too, and then with a failure.
 *
 * Calls do not ask it themselves: `MediaGate` does, before a call sees a message, so that in a call the body of every
 * message already is what goes out to the other side. To answer an offer of one leg here is therefore a matter of text: the
 * answer is made of `leg.origin.rest`, what this leg was told last, fitted to the offer; the gate tells the engine.
 */
export interface CallMedia {
  /** Name of the engine that has the call; undefined before the first offer. */
  readonly engine: string | undefined
  /** Carries an offer of that side to the other side. */
  offer(from: Side, sdp: string, done: OnCarried): void
  /** Carries an answer of that side; again and again while the call is set up (early media, forks), the newest counts. */
  answer(from: Side, sdp: string, done: OnCarried): void
  /** The last offer came to nothing, answered or not: what was agreed before holds again (RFC 3261 section 14.1). */
  withdraw(): void
  /** The last offer was answered here: the other side has heard nothing of it, and its media goes on as agreed. */
  settle(): void
  /** Asks the engine for the packets of the call. */
  heard(done: (heard: Heard) => void): void
  /** Gives what was agreed to an engine that lives, since the one that had it died or has forgotten it. */
  renew(done: (renewed: Renewed) => void): void
  /** The call is over. */
  release(): void
}
