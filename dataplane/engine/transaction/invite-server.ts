import type { Machine } from './machine.ts'
import type { ServerEffect, ServerEvent } from './server-transaction.ts'

export type InviteServerState = 'proceeding' | 'accepted' | 'completed' | 'confirmed' | 'terminated'

/**
 * INVITE server transaction: RFC 3261 §17.2.1, Figure 7, with the Accepted state of RFC 6026 §7.1. A response that the
 * transport could not send changes nothing, as RFC 6026 §8 has it: the retransmission of the INVITE asks for it again.
 */
export const inviteServer: Machine<InviteServerState, ServerEvent, ServerEffect> = {
  proceeding: {
    // "If a request retransmission is received while in the "Proceeding" state, the most recent provisional response
    // that was received from the TU MUST be passed to the transport layer for retransmission" (§17.2.1).
    request: { next: 'proceeding', effects: ['repeat'] },
    provisional: { next: 'proceeding', effects: ['send'] },
    success: { next: 'accepted', effects: ['send', 'startL'] },
    failure: { next: 'completed', effects: ['send', 'startG', 'startH'] },
  },
  accepted: {
    // RFC 6026 §7.1: this state exists so that retransmissions of the INVITE are absorbed. The 2xx is repeated by the
    // core until the ACK comes (RFC 3261 §13.3.1.4).
    timerL: { next: 'terminated', effects: [] },
  },
  completed: {
    request: { next: 'completed', effects: ['repeat'] },
    // "If timer G fires, the response is passed to the transport layer once more for retransmission, and timer G is set
    // to fire in MIN(2*T1, T2) seconds" (§17.2.1).
    timerG: { next: 'completed', effects: ['repeat', 'startG'] },
    timerH: { next: 'terminated', effects: [] },
    // "The purpose of the "Confirmed" state is to absorb any additional ACK messages that arrive" (§17.2.1).
    ack: { next: 'confirmed', effects: ['stopTimers', 'startI'] },
  },
  confirmed: {
    timerI: { next: 'terminated', effects: [] },
  },
  terminated: {},
}
