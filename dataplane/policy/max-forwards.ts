/** RFC 3261 section 16.6: a request without Max-Forwards gets one "which SHOULD be 70". */
const whenAbsent = 70

/**
 * What Max-Forwards the request gets on the other leg; undefined when it may go no further (483). A B2BUA that resets
 * the count would let a loop run for ever, so it is carried and decremented (RFC 7332 section 4), and never above the cap.
 */
export function nextMaxForwards(received: string | undefined, cap: number): number | undefined {
  const parsed = received === undefined ? whenAbsent : Number(received)
  const hops = Number.isInteger(parsed) && parsed >= 0 ? parsed : whenAbsent
  // RFC 3261 section 16.3: "If the request contains a Max-Forwards header field with a field value of zero (0), the
  // element MUST NOT forward the request."
  return hops === 0 ? undefined : Math.min(hops, cap) - 1
}
