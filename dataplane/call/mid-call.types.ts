import type { Clock } from '#lib/clock.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import type { IncomingRequest, SipPort } from '../sip/port.ts'
import type { Leg } from './leg.ts'
import type { Pin } from './offer-treatment.ts'
import type { SessionTimers } from './session-timers.ts'

/** What the mid-call requests ask of the call. */
export interface MidCallHost {
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** The call stays until what comes back was called: something is still in flight. */
  open(): () => void
  /** RFC 3261 section 12.2.1.2: after 481 or 408 "the UAC SHOULD terminate the dialog". */
  lost(leg: Leg, status: number): void
  otherLeg(leg: Leg): Leg | undefined
}

/** What the mid-call requests use. */
export interface MidCallServices {
  readonly sip: SipPort
  readonly clock: Clock
  readonly random: () => number
  readonly timers: SessionTimers
}

/** A 2xx to a re-INVITE that waits for its ACK. */
export interface Unacknowledged {
  acknowledged(ack: SipMessage): void
  /** The call ends without it. */
  abandon(): void
}

/** How a request goes on: with another description, and what is asked of the one that comes back. */
export interface Carriage {
  readonly body?: string | undefined
  readonly pin?: Pin | undefined
}

export interface CarriedUpdate extends Carriage {
  readonly from: Leg
  readonly to: Leg
  readonly request: IncomingRequest
}

/** What was asked of the session timer, and what had been agreed before. */
export interface Sent {
  readonly asked: TimerFields
  readonly before: string
}
