import { randomUUID } from 'node:crypto'

/**
 * RFC 3261 section 19.3: a tag "MUST be globally unique and cryptographically random with at least 32 bits of
 * randomness"; this one has 60. Node draws the bytes of UUIDs in stock, which makes them cheaper than `randomBytes`.
 */
export function newToken(): string {
  return randomUUID().replaceAll('-', '').slice(0, 16)
}

/** A number below 2^48 for the `o=` line of a session description (RFC 8866 section 5.2), as text. */
export function newSessionId(): string {
  return Number.parseInt(randomUUID().slice(-12), 16).toString()
}
