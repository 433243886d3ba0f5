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

/**
 * The members in the order in which the key prefers them, by weighted rendezvous hashing: each comes first for its share
 * of the keys, and one that goes away gives only its own keys to others. Weight 0 comes after all others.
 */
export function rendezvousOrder<M extends { readonly name: string; readonly weight: number }>(
  key: string,
  members: readonly M[],
): M[] {
  if (members.length < 2) return [...members]
  const start = fnv1a(0x811c9dc5, key)
  const scored = members.map((member) => {
    const uniform = (scramble(fnv1a(start, member.name)) + 1) / (2 ** 32 + 1)
    // Weights 1 and 3 want a quarter and three quarters of the keys: the lowest of draws with those rates has them.
    return { member, draw: -Math.log(uniform) / member.weight, uniform }
  })
  scored.sort((a, b) => a.draw - b.draw || b.uniform - a.uniform || (a.member.name < b.member.name ? -1 : 1))
  return scored.map(({ member }) => member)
}
