import { randomUUID } from 'node:crypto'
import { detached } from '#lib/detached.ts'

/**
 * A branch for a new client transaction: "MUST always begin with the characters "z9hG4bK"" (RFC 3261 §8.1.1.7), then
 * 122 random bits, so that nobody off the path can guess which responses would be taken.
 */
export function createBranch(): string {
  return detached(`z9hG4bK${randomUUID()}`)
}

/** A tag: "globally unique and cryptographically random with at least 32 bits of randomness" (RFC 3261 §19.3); here 48. */
export function createTag(): string {
  return randomUUID().slice(24)
}

/** What the application knows a transaction by. Node puts a UUID together from many parts, each of which takes memory. */
export function createId(): string {
  return detached(randomUUID())
}

/** A Call-ID without a host, so that it tells nothing about this machine (RFC 3261 §8.1.1.4 leaves the host out at will). */
export function createCallId(): string {
  return createId()
}
