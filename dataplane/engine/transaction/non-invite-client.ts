import type { ClientEffect, ClientEvent } from './client-transaction.ts'
import type { Machine } from './machine.ts'

export type NonInviteClientState = 'start' | 'trying' | 'proceeding' | 'completed' | 'terminated'

/** Client transaction of every other request: RFC 3261 §17.1.2, Figure 6. */
export const nonInviteClient: Machine<NonInviteClientState, ClientEvent, ClientEffect> = {
  start: {
    request: { next: 'trying', effects: ['send', 'startE', 'startF'] },
  },
  trying: {
    // "If the timer fires while still in this state, the timer is reset, but this time with a value of MIN(2*T1, T2).
    // When the timer fires again, it is reset to a MIN(4*T1, T2)" (§17.1.2.2).
    timerE: { next: 'trying', effects: ['resend', 'startE'] },
    timerF: { next: 'terminated', effects: ['timeout'] },
    // Whoever asked has given up before Timer F, and nobody waits for the answer.
    cancelled: { next: 'terminated', effects: [] },
    transportError: { next: 'terminated', effects: ['failure'] },
    provisional: { next: 'proceeding', effects: ['pass'] },
    success: { next: 'completed', effects: ['stopTimers', 'pass', 'startK'] },
    failure: { next: 'completed', effects: ['stopTimers', 'pass', 'startK'] },
  },
  proceeding: {
    // "If Timer E fires while in the "Proceeding" state, the request MUST be passed to the transport layer for
    // retransmission, and Timer E MUST be reset with a value of T2 seconds" (§17.1.2.2).
    timerE: { next: 'proceeding', effects: ['resend', 'startSlowE'] },
    timerF: { next: 'terminated', effects: ['timeout'] },
    cancelled: { next: 'terminated', effects: [] },
    transportError: { next: 'terminated', effects: ['failure'] },
    provisional: { next: 'proceeding', effects: ['pass'] },
    success: { next: 'completed', effects: ['stopTimers', 'pass', 'startK'] },
    failure: { next: 'completed', effects: ['stopTimers', 'pass', 'startK'] },
  },
  completed: {
    timerK: { next: 'terminated', effects: [] },
  },
  terminated: {},
}
