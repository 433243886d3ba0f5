import type { Machine } from './machine.ts'
import type { ServerEffect, ServerEvent } from './server-transaction.ts'

export type NonInviteServerState = 'start' | 'trying' | 'proceeding' | 'completed' | 'terminated'

/** Server transaction of every other request: RFC 3261 §17.2.2, Figure 8, with RFC 4320. */
export const nonInviteServer: Machine<NonInviteServerState, ServerEvent, ServerEffect> = {
  start: {
    accept: { next: 'trying', effects: ['startTrying', 'startLate'] },
  },
  trying: {
    // "An element MUST respond to a non-INVITE request with a Status-Code of 100 if it has not otherwise responded after
    // the amount of time it takes a client transaction's Timer E to be reset to T2" (RFC 4320 §4.1).
    timerTrying: { next: 'proceeding', effects: ['sendTrying'] },
    provisional: { next: 'proceeding', effects: ['send'] },
    success: { next: 'completed', effects: ['stopTimers', 'send', 'startJ'] },
    failure: { next: 'completed', effects: ['stopTimers', 'send', 'startJ'] },
  },
  proceeding: {
    request: { next: 'proceeding', effects: ['repeat'] },
    provisional: { next: 'proceeding', effects: ['send'] },
    success: { next: 'completed', effects: ['stopTimers', 'send', 'startJ'] },
    failure: { next: 'completed', effects: ['stopTimers', 'send', 'startJ'] },
    // "A transaction-stateful SIP element MUST NOT send a response with Status-Code of 408 to a non-INVITE request. As a
    // consequence, an element that cannot respond before the transaction expires will not send a final response at
    // all" (RFC 4320 §4.2).
    timerLate: { next: 'terminated', effects: ['late'] },
  },
  completed: {
    request: { next: 'completed', effects: ['repeat'] },
    timerJ: { next: 'terminated', effects: [] },
  },
  terminated: {},
}
