import { randomBytes } from 'node:crypto'

/** RFC 3261 section 19.3: a tag "MUST be globally unique and cryptographically random with at least 32 bits". */
export function newToken(): string {
  return randomBytes(8).toString('hex')
}

/** A number for the `o=` line of a session description (RFC 8866 section 5.2), as text. */
export function newSessionId(): string {
  return randomBytes(6).readUIntBE(0, 6).toString()
}
