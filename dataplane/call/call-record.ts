import type { Proof } from '../digest/digest-server.ts'
import type { ChallengeResult } from './trunk-credentials.ts'
import type { SessionRecord } from './session-timers.ts'

/** How far a call is, for people. */
export type CallState = 'Trying' | 'Ringing' | 'Up' | 'Ending'

export interface LegRecord {
  readonly trunk: string
  /** `address:port` of the peer. */
  readonly peer: string
  readonly listener: string
  readonly dialogId: string | undefined
  /** Who refreshes this leg, when, and why. */
  readonly session: SessionRecord
}

/** A call as plain data: what the admin door shows, and what another replica would need to know of it. */
export interface CallRecord {
  readonly id: string
  /** Revision of the snapshot it started with, and lives on. */
  readonly revision: string
  readonly state: CallState
  readonly calling: string
  readonly called: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds since 1970; undefined before the answer. */
  readonly answeredAt: number | undefined
  readonly legA: LegRecord
  /** The target that is tried or has answered. */
  readonly legB: (LegRecord & { readonly target: string; readonly route: string }) | undefined
  /** Engine that carries its media; undefined where media goes around the fleet. */
  readonly mediaEngine: string | undefined
  /** Why it went where it went. */
  readonly because: readonly string[]
}

/** How a call ended. */
export type EndCause =
  | { readonly kind: 'Released'; readonly by: 'A' | 'B' }
  | { readonly kind: 'Cancelled' }
  /** No target took it; the status is what the caller was told. */
  | { readonly kind: 'Refused'; readonly status: number }
  /** A leg's dialog was lost: no ACK, or the peer does not know it any more. */
  | { readonly kind: 'Lost'; readonly leg: 'A' | 'B' }
  /** Nobody refreshed the session of that leg in time. */
  | { readonly kind: 'Expired'; readonly leg: 'A' | 'B' }
  /** Of anchored media: no packet came for too long, or no engine carries it any more. */
  | { readonly kind: 'Media'; readonly why: 'Silent' | 'Lost' }
  /** Ended from here: drain, or an error of our own. */
  | { readonly kind: 'Ended'; readonly why: string }

/** Told as it happens; for metrics. */
export interface CallEvents {
  started?(call: CallRecord): void
  answered?(call: CallRecord): void
  ended?(call: CallRecord, cause: EndCause): void
  /** A peer of the trunk wanted credentials. */
  challenged?(trunk: string, result: ChallengeResult): void
  /** A call of the trunk had to prove whose it is. */
  authenticated?(trunk: string, proof: Proof): void
  /** A call from a trunk, or to it, was one more than there may be. */
  notAdmitted?(trunk: string, direction: 'inbound' | 'outbound'): void
}
