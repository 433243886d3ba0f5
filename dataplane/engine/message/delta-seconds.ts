import type { SipMessage } from './sip-message.ts'

/** RFC 3261 §20.19: "a decimal integer number of seconds … between 0 and (2**32)-1". */
const MAX_SECONDS = 2 ** 32 - 1

/** A number of seconds (RFC 3261 §20.19); what is none, or too large for one, counts as absent. */
export function deltaSeconds(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value <= MAX_SECONDS ? value : undefined
}

/**
 * Seconds after which Retry-After says to try again; a comment or parameters may follow the number (RFC 3261 §20.33). One
 * that is too large is the largest: whoever wrote it does not want to be asked soon.
 */
export function retryAfterSeconds(message: SipMessage): number | undefined {
  const digits = /^\d+/.exec(message.get('Retry-After') ?? '')?.[0]
  return digits === undefined ? undefined : Math.min(Number(digits), MAX_SECONDS)
}
