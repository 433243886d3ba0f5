import type { ClientEffect, ClientEvent } from './client-transaction.ts'
import type { Machine } from './machine.ts'

export type InviteClientState = 'start' | 'calling' | 'proceeding' | 'completed' | 'accepted' | 'terminated'

/** INVITE client transaction: RFC 3261 §17.1.1, Figure 5, with the Accepted state of RFC 6026 §7.2. */
export const inviteClient: Machine<InviteClientState, ClientEvent, ClientEffect> = {
  start: {
    // "If an unreliable transport is being used, the client transaction MUST start timer A with a value of T1. … For
    // any transport, the client transaction MUST start timer B with a value of 64*T1 seconds" (§17.1.1.2).
    request: { next: 'calling', effects: ['send', 'startA', 'startB'] },
  },
  calling: {
    // "When timer A fires, the client transaction MUST retransmit the request … MUST reset the timer with a value of
    // 2*T1" (§17.1.1.2), and so on, without the limit T2 that Timer E has.
    timerA: { next: 'calling', effects: ['resend', 'startA'] },
    timerB: { next: 'terminated', effects: ['timeout'] },
    transportError: { next: 'terminated', effects: ['failure'] },
    provisional: { next: 'proceeding', effects: ['stopTimers', 'pass'] },
    success: { next: 'accepted', effects: ['stopTimers', 'pass', 'startM'] },
    // "the client transaction MUST pass the received response up to the TU, and the client transaction MUST generate
    // an ACK request, even if the transport is reliable" (§17.1.1.2).
    failure: { next: 'completed', effects: ['stopTimers', 'acknowledge', 'pass', 'startD'] },
  },
  proceeding: {
    provisional: { next: 'proceeding', effects: ['pass'] },
    success: { next: 'accepted', effects: ['stopTimers', 'pass', 'startM'] },
    failure: { next: 'completed', effects: ['stopTimers', 'acknowledge', 'pass', 'startD'] },
    // "If there is no final response for the original request in 64*T1 seconds …, the client SHOULD then consider the
    // original transaction cancelled and SHOULD destroy the client transaction" (§9.1).
    cancelled: { next: 'proceeding', effects: ['startB'] },
    timerB: { next: 'terminated', effects: ['timeout'] },
  },
  completed: {
    // "Any retransmissions of the final response that are received while in the "Completed" state MUST cause the ACK
    // to be re-passed to the transport layer for retransmission, but the newly received response MUST NOT be passed
    // up to the TU" (§17.1.1.2).
    failure: { next: 'completed', effects: ['acknowledge'] },
    timerD: { next: 'terminated', effects: [] },
    transportError: { next: 'terminated', effects: [] },
  },
  accepted: {
    // RFC 6026 §7.2: this state exists to pass retransmissions of the 2xx, and further 2xx of a forked INVITE, to the TU.
    success: { next: 'accepted', effects: ['pass'] },
    timerM: { next: 'terminated', effects: [] },
  },
  terminated: {},
}
