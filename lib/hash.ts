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
 * that leaves gives away only what it owned. Undefined when there is none. Cheap, since thousands of keys find their
 * owner anew whenever the members change.
 */
export function rendezvousOwner(key: string, members: readonly string[]): string | undefined {
  const start = fnv1a(0x811c9dc5, key)
  let owner: string | undefined
  let highest = -1
  for (const member of members) {
    const score = scramble(fnv1a(start, member))
    if (score < highest || (score === highest && owner !== undefined && member < owner)) continue
    owner = member
    highest = score
  }
  return owner
}

/** FNV-1a over UTF-16 units, going on from an earlier state. */
function fnv1a(state: number, text: string): number {
  let hash = state ^ 0xff
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}

/** The finaliser of MurmurHash3: FNV alone gives names that differ in their last digit neighbouring scores. */
function scramble(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
