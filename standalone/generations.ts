import { canonicalJson } from '#lib/hash.ts'
import type { Manifests } from './manifests/manifests.ts'

/** What is remembered of a resource from one reading to the next. */
export interface Known {
  readonly generation: number
  /** Canonical text of its spec. */
  readonly spec: string
  /** When it was first read, in milliseconds since 1970. */
  readonly createdAt: number
}

/**
 * Counts generations as the API server does: 1 for a new resource, one more for every change of its spec, and from 1
 * again for one that was removed and came back. What a file says of `metadata.generation` does not count.
 */
export function countGenerations(
  manifests: Manifests,
  known: ReadonlyMap<string, Known>,
  now: number,
): { manifests: Manifests; known: ReadonlyMap<string, Known> } {
  const next = new Map<string, Known>()
  const entries = manifests.entries.map((entry) => {
    const { id, manifest } = entry
    if (manifest === undefined || manifest.kind === 'Secret') return entry
    const spec = canonicalJson(manifest.spec)
    const before = known.get(id)
    const generation = before === undefined ? 1 : before.generation + (before.spec === spec ? 0 : 1)
    next.set(id, { generation, spec, createdAt: before?.createdAt ?? now })
    return { ...entry, manifest: { ...manifest, metadata: { ...manifest.metadata, generation } } }
  })
  return { manifests: { ...manifests, entries }, known: next }
}
