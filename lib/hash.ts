import { createHash } from 'node:crypto'

/** JSON text with the keys of every object in order, so that equal content gives equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : part,
  )
}

/** The first 16 hex digits of SHA-256 over the text. */
export function contentHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/**
 * Rendezvous hashing: which of the members owns the key. Every member computes the same owner by itself, and a member
 * that leaves gives away only what it owned. Undefined when there is none.
 */
export function rendezvousOwner(key: string, members: readonly string[]): string | undefined {
  let owner: string | undefined
  let highest = ''
  for (const member of members) {
    const score = createHash('sha256').update(key).update('\0').update(member).digest('hex')
    if (owner === undefined || score > highest) {
      owner = member
      highest = score
    }
  }
  return owner
}
