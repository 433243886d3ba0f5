import type { SipMessage } from '../engine/message/sip-message.ts'

/** A Retry-After of a call or of a request inside one is heeded up to here, in seconds: no peer puts off for ever. */
export const longestRetryAfterSeconds = 600

/** RFC 3261 section 20.33: from 0 to 2^32 - 1; a comment or parameters may follow the number. Undefined without one. */
export function retryAfterSeconds(response: SipMessage): number | undefined {
  const digits = /^\d{1,10}(?!\d)/.exec(response.get('Retry-After') ?? '')?.[0]
  const seconds = Number(digits)
  return digits !== undefined && seconds < 2 ** 32 ? seconds : undefined
}
