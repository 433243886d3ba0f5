/** Estimate of the round trip, in milliseconds (RFC 3261 §17.1.1.1). */
export const T1 = 500
/** Longest time between two retransmissions of a request that is no INVITE, or of a response to INVITE, in milliseconds. */
export const T2 = 4000
/** How long a message may live in the network, in milliseconds. */
export const T4 = 5000
/** How long a transaction is tried: Timers B, F, H, J, L and M, in milliseconds. */
export const GIVE_UP = 64 * T1
/** How long a retransmitted 300–699 is acknowledged again over UDP: "at least 32 seconds" (RFC 3261 §17.1.1.2). */
export const TIMER_D = 32_000
/** When Timer E of the sender reaches T2: T1 + 2·T1 + 4·T1, in milliseconds (RFC 4320 §4.1). */
export const TRYING_DUE = 7 * T1
