import { drachtioSecretKey } from '#api/drachtio.ts'
import { readKeys } from './certificates.ts'
import type { Check, Findings } from './check.ts'
import { noteFleetLimits } from './engine-limits.ts'
import type { World } from './world.ts'

const drachtioChecks: readonly Check<World>[] = [
  secretIsThere, // without it the server serves nobody
]

/** Checks the engine that is chosen. Nothing of it is pushed: a replica starts with its engine, and keeps it. */
export function checkEngine(world: World, findings: Findings): void {
  if (world.voiceService.spec.drachtio === undefined) return
  findings.passes(world, 'spec.drachtio', drachtioChecks)
  noteFleetLimits(world.voiceService, findings)
}

/** What applications must say to the drachtio-server of a fleet; undefined when no Secret has it, or cannot be used. */
export function drachtioSecret(world: World): string | undefined {
  const read = readSecret(world)
  return read !== undefined && 'value' in read && !unspeakable.test(read.value[0] ?? '') ? read.value[0] : undefined
}

/** What ends a field of drachtio-server's protocol, which has no way to write it. */
const unspeakable = /[|\r\n]/

function readSecret({ voiceService, secrets }: World) {
  const { spec, metadata } = voiceService
  if (spec.drachtio === undefined) return undefined
  return readKeys(spec.drachtio.secretRef.name, [drachtioSecretKey], {
    namespace: metadata.namespace,
    secrets: new Map(secrets.map((secret) => [secret.metadata.name, secret])),
  })
}

function secretIsThere(world: World) {
  const read = readSecret(world)
  if (read === undefined) return undefined
  if ('finding' in read) return { field: 'secretRef.name', ...read.finding }
  if (!unspeakable.test(read.value[0] ?? '')) return undefined
  return {
    field: 'secretRef.name',
    unresolved: 'SecretInvalid' as const,
    message: `"${drachtioSecretKey}" of the Secret holds a "|" or a line end, which drachtio-server cannot be told; choose another one`,
  }
}
