import type { Resource, Snapshot } from '#api/snapshot.ts'
import type { Delta } from '#api/wire.ts'
import { contentHash } from '#lib/hash.ts'
import { stringifyWithSecrets } from '#lib/secret.ts'

/** Keys and versions of a set of resources, with a signature that is equal for equal sets. */
export interface Versions {
  readonly byKey: ReadonlyMap<string, string>
  readonly signature: string
}

export function versionsOf(entries: Iterable<readonly [key: string, version: string]>): Versions {
  const byKey = new Map(entries)
  const lines = [...byKey].map(([key, version]) => `${key}\n${version}\n`).sort()
  return { byKey, signature: contentHash(lines.join('')) }
}

/** Replicas stand at very few different sets of versions; a crowd of odd ones must not fill the memory. */
const keptSets = 32

/**
 * Sets of versions that replicas have said they run. Those that are equal are one: a thousand replicas that connect at once would
 * else have a set each of what may be thousands of resources, and each of those would be compared with what is to be run.
 */
export class SharedVersions {
  readonly #recent = new Map<string, Versions>()

  of(known: Readonly<Record<string, string>>): Versions {
    const versions = versionsOf(Object.entries(known))
    const same = this.#recent.get(versions.signature) ?? versions
    this.#recent.delete(same.signature)
    this.#recent.set(same.signature, same)
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= keptSets) break
      this.#recent.delete(oldest)
    }
    return same
  }
}

/** What turns `base` into the snapshot. Removals are named one by one; nothing is removed by being left out. */
export function difference(
  base: ReadonlyMap<string, string>,
  snapshot: Snapshot,
): { upserts: readonly Resource[]; removes: readonly string[] } {
  const keys = new Set<string>(snapshot.resources.map(({ key }) => key))
  return {
    upserts: snapshot.resources.filter(({ key, version }) => base.get(key) !== version),
    removes: [...base.keys()].filter((key) => !keys.has(key)),
  }
}

/**
 * A snapshot on its way to the replicas. The delta from one base is made and serialised once, and the same bytes, nonce
 * included, go to every replica that stands at that base.
 */
export class Publication {
  readonly snapshot: Snapshot
  readonly versions: Versions
  readonly #epoch: number
  readonly #serial: number
  readonly #frames = new Map<string, { nonce: string; frame: Buffer }>()
  #made = 0

  constructor(snapshot: Snapshot, options: { epoch: number; serial: number }) {
    this.snapshot = snapshot
    this.versions = versionsOf(snapshot.resources.map(({ key, version }) => [key, version]))
    this.#epoch = options.epoch
    this.#serial = options.serial
  }

  deltaFrom(base: Versions): { nonce: string; frame: Buffer } {
    const made = this.#frames.get(base.signature)
    if (made !== undefined) return made
    const nonce = `${this.#serial}.${++this.#made}`
    const { upserts, removes } = difference(base.byKey, this.snapshot)
    const delta: Delta = {
      type: 'delta',
      nonce,
      epoch: this.#epoch,
      revision: this.snapshot.revision,
      upserts: [...upserts],
      removes: [...removes],
    }
    const entry = { nonce, frame: Buffer.from(stringifyWithSecrets(delta)) }
    if (this.#frames.size === keptSets) this.#frames.clear()
    this.#frames.set(base.signature, entry)
    return entry
  }
}
