/** One row of a state machine: where an event leads, and what is done on the way, in order. */
export interface Transition<State extends string, Effect extends string> {
  readonly next: State
  readonly effects: readonly Effect[]
}

/**
 * A state machine of RFC 3261 §17 as the figure there draws it. An event without a row is passed over: it is a late
 * retransmission or a stale timer.
 */
export type Machine<State extends string, Event extends string, Effect extends string> = {
  readonly [S in State]: { readonly [E in Event]?: Transition<State, Effect> }
}
