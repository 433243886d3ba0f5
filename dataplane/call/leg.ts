import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { OpenListener } from '../config/running.ts'
import { type LegTimer, noTimer, type TimerFields } from '../policy/session-timer.ts'
import { newOrigin, type SdpOrigin } from './sdp-origin.ts'
import { newSessionId } from './token.ts'

/** How far a leg is. Leg A is answered by us, leg B by the peer; `unacknowledged` is between a 2xx and its ACK. */
export type LegState =
  | { readonly at: 'setUp' }
  | { readonly at: 'unacknowledged'; readonly hangUp: boolean }
  | { readonly at: 'up' }
  | { readonly at: 'ended' }

/** `gone`: the peer hung up, or the dialog does not exist any more; nothing can be sent on it. */
export type LegEvent = 'answered' | 'acknowledged' | 'hangUp' | 'gone'

/** What is left to do on the leg: send the ACK that is due, send BYE. */
export type LegEffect = 'ack' | 'bye'

/** One of the two dialogs of a call, as plain data. */
export interface Leg {
  readonly side: 'A' | 'B'
  state: LegState
  /** Undefined until there is a dialog, early or confirmed. */
  dialogId: string | undefined
  readonly trunk: string
  /** Name of the target; undefined on leg A. */
  readonly target: string | undefined
  /** `address:port` of the peer. */
  readonly peer: string
  readonly listener: OpenListener
  /** Value of our Contact in this dialog. */
  readonly contact: string
  /** Of the session descriptions we send on this leg. */
  origin: SdpOrigin
  readonly sip: ResolvedSipBehaviour
  /** The session timer that runs on this leg; undefined without. */
  timer: LegTimer | undefined
  /** Least session interval the peer takes, in seconds, by its 422; 0 before. */
  timerFloor: number
  /** What our INVITE asked of the session timer; on leg B. */
  timerAsked: TimerFields
  /** Whether the peer's Allow has UPDATE; undefined before it has said. */
  allowsUpdate: boolean | undefined
  /**
   * The offer of the INVITE has its answer in messages that were acknowledged, so that an UPDATE before the final answer may
   * bring another one (RFC 3311 section 5.1).
   */
  agreed: boolean
  /** Tag of the fork that speaks for leg B, while several do; undefined otherwise. */
  fork: string | undefined
}

/** A leg before its first message. */
export function newLeg(fields: Pick<Leg, 'side' | 'trunk' | 'target' | 'peer' | 'listener' | 'contact' | 'sip'>): Leg {
  return {
    ...fields,
    state: { at: 'setUp' },
    dialogId: undefined,
    origin: newOrigin(newSessionId()),
    timer: undefined,
    timerFloor: 0,
    timerAsked: noTimer,
    allowsUpdate: undefined,
    agreed: false,
    fork: undefined,
  }
}

/** The next state of a leg, and what is to be done on it. */
export function step(side: Leg['side'], state: LegState, event: LegEvent): [LegState, ...LegEffect[]] {
  switch (state.at) {
    case 'setUp':
      if (event === 'answered') return [{ at: 'unacknowledged', hangUp: false }]
      // Without a 2xx there is no BYE: leg A gets a failure, leg B a CANCEL, both by the set-up.
      return event === 'acknowledged' ? [state] : [{ at: 'ended' }]
    case 'unacknowledged':
      return stepUnacknowledged(side, state, event)
    case 'up':
      if (event === 'hangUp') return [{ at: 'ended' }, 'bye']
      return event === 'gone' ? [{ at: 'ended' }] : [state]
    case 'ended':
      return [state]
  }
}

function stepUnacknowledged(
  side: Leg['side'],
  state: LegState & { at: 'unacknowledged' },
  event: LegEvent,
): [LegState, ...LegEffect[]] {
  switch (event) {
    case 'acknowledged':
      return state.hangUp ? [{ at: 'ended' }, 'bye'] : [{ at: 'up' }]
    case 'hangUp':
      // RFC 3261 section 13.2.2.4: a 2xx must be acknowledged even when the call is not wanted any more.
      if (side === 'B') return [{ at: 'ended' }, 'ack', 'bye']
      // RFC 3261 section 15: "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for
      // its 2xx response or until the server transaction times out."
      return [{ at: 'unacknowledged', hangUp: true }]
    case 'gone':
      return [{ at: 'ended' }]
    case 'answered':
      return [state]
  }
}
