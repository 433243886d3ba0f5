import type { Resource, Snapshot } from '#api/snapshot.ts'
import { canonicalJson, contentHash } from '#lib/hash.ts'

/** A snapshot of listeners, each given as name and port. */
export function snapshotOf(ports: Readonly<Record<string, number>>, fleet = 'voice/edge'): Snapshot {
  const resources = Object.entries(ports).map(([name, port], index) => listener(name, port, `spec.listeners[${index}]`))
  const revision = contentHash(canonicalJson(resources.map(({ key, version }) => [key, version])))
  return { fleet, revision, resources }
}

function listener(name: string, port: number, field: string): Resource {
  const body = { type: 'Listener', name, transport: 'UDP', port, ipFamily: 'IPv4' } as const
  return {
    key: `Listener/${name}`,
    version: contentHash(canonicalJson(body)),
    origin: { kind: 'VoiceService', namespace: 'voice', name: 'edge', generation: 1, field },
    body,
  }
}
