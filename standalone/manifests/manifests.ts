import type { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import type { VoiceService } from '#api/voice-service.ts'
import type { Resources } from '../../operator/compile/world.ts'

/** A place in a file; lines and columns count from 1. */
export interface Place {
  /** Path as it was given, joined with the path below it. */
  readonly file: string
  readonly line: number
  readonly column: number
}

/** What is wrong in a file: the cause and the way out. */
export interface ManifestProblem extends Place {
  /** As `SipTrunk voice/carrier`; absent when the file could not be read that far. */
  readonly resource?: string
  /** As `spec.targets[0].port`; absent when it concerns no single field. */
  readonly field?: string
  readonly message: string
  /** True when everything runs all the same, only not as it was asked for. */
  readonly isWarning?: boolean
}

export type Manifest = VoiceService | SipTrunk | SecretManifest

/** One resource as it stands in a file. */
export interface Entry {
  /** As `SipTrunk voice/carrier`. */
  readonly id: string
  readonly place: Place
  /** Undefined when it is refused; the problems say why. */
  readonly manifest: Manifest | undefined
  /** Where a field stands, or else the nearest thing around it. */
  readonly locate: (field: string) => Place
}

/** Everything that a directory of manifests says. */
export interface Manifests {
  readonly entries: readonly Entry[]
  readonly problems: readonly ManifestProblem[]
  /** Files and directories that could not be read to the end, so that more may stand in them than `entries` has. */
  readonly unread: readonly string[]
}

/** `SipTrunk voice/carrier`, as people and problems call a resource. */
export function resourceName(kind: string, namespace: string, name: string): string {
  return `${kind} ${namespace}/${name}`
}

/** The resources by kind, as the compiler takes them. */
export function resourcesOf({ entries }: Manifests): Resources {
  const manifests = entries.flatMap(({ manifest }) => manifest ?? [])
  return {
    voiceServices: manifests.filter((one) => one.kind === 'VoiceService'),
    trunks: manifests.filter((one) => one.kind === 'SipTrunk'),
    secrets: manifests.filter((one) => one.kind === 'Secret'),
  }
}

/** Where a field of a resource stands; undefined when the resource is in no file. */
export function placeOf(
  { entries }: Manifests,
  resource: { readonly kind: string; readonly namespace: string; readonly name: string },
  field: string,
): Place | undefined {
  const id = resourceName(resource.kind, resource.namespace, resource.name)
  return entries.find((entry) => entry.id === id)?.locate(field)
}

/** `file:line:column: SipTrunk voice/carrier spec.targets[0].prot: message`, which editors and people can follow. */
export function formatProblem(problem: ManifestProblem): string {
  const { file, line, column, resource, field, message, isWarning = false } = problem
  const subject = [resource, field].filter((part) => part !== undefined).join(' ')
  return `${file}:${line}:${column}: ${isWarning ? 'warning: ' : ''}${subject === '' ? '' : `${subject}: `}${message}`
}

/**
 * Keeps what ran: a resource that is refused now, or that stood in what cannot be read now, stays as it was last good.
 * A resource that was taken out of a file that can be read is gone.
 */
export function carryOver(previous: Manifests, current: Manifests): Manifests {
  const lastGood = new Map(
    previous.entries.filter(({ manifest }) => manifest !== undefined).map((one) => [one.id, one]),
  )
  const entries = current.entries.map(
    (entry) => (entry.manifest === undefined ? lastGood.get(entry.id) : entry) ?? entry,
  )
  const ids = new Set(entries.map(({ id }) => id))
  for (const entry of lastGood.values()) {
    if (!ids.has(entry.id) && current.unread.some((path) => isWithin(entry.place.file, path))) entries.push(entry)
  }
  return { ...current, entries }
}

function isWithin(file: string, path: string): boolean {
  return file === path || file.startsWith(path.endsWith('/') ? path : `${path}/`)
}
