/**
 * How long to wait after a 491 to a re-INVITE or UPDATE of ours, in milliseconds. RFC 3261 section 14.1: "If the UAC is the
 * owner of the Call-ID of the dialog ID (meaning it generated the value), T has a randomly chosen value between 2.1 and 4
 * seconds in units of 10 ms. If the UAC is not the owner of the Call-ID of the dialog ID, T has a randomly chosen value of
 * between 0 and 2 seconds in units of 10 ms." The Call-ID of leg B is ours, that of leg A the caller's.
 */
export function glareMilliseconds(side: 'A' | 'B', random: () => number): number {
  return side === 'B' ? 2100 + Math.floor(random() * 191) * 10 : Math.floor(random() * 201) * 10
}
