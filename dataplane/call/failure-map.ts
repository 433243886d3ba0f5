/**
 * What the caller is told when the callee's side fails (feature appendix B.1). What concerns only the leg to the callee,
 * its credentials, its limits and its loops, is no concern of the caller's.
 */
const translated: Readonly<Record<number, number>> = {
  400: 500,
  401: 503,
  406: 500,
  407: 503,
  413: 500,
  414: 500,
  416: 500,
  // What is required there, and by whom, is between the callee and this fleet: no Require of the caller goes on.
  420: 500,
  421: 500,
  // What Min-SE could be met has been tried.
  422: 500,
  423: 500,
  482: 500,
  483: 500,
  // Ambiguous is of use only with the choices in its Contact, which name the callee's hosts.
  485: 404,
}

/**
 * Status for the caller. A redirection that could not be followed would tell the caller the callee's hosts: the callee
 * cannot be reached here now, which is 480; unlike 404 or 503 it makes nobody blame the number or this fleet.
 */
export function callerStatus(status: number): number {
  if (status >= 300 && status < 400) return 480
  return translated[status] ?? status
}

/**
 * Whether Retry-After may be passed on. It may where it speaks of the callee; that of a 500 or 503 speaks of one server
 * behind this fleet, and the caller would stop calling all of them (RFC 3261 section 21.5.4).
 */
export function keepsRetryAfter(status: number): boolean {
  return status === 404 || status === 480 || status === 486 || status === 600 || status === 603
}
