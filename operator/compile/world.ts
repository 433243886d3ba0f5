import type { Condition } from '#api/conditions.ts'
import type { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import type { VoiceService } from '#api/voice-service.ts'
import type { Secret } from '#lib/secret.ts'
import type { LastGood } from './last-good.ts'

/** Everything there is, of all fleets. */
export interface Resources {
  readonly voiceServices: readonly VoiceService[]
  readonly trunks: readonly SipTrunk[]
  readonly secrets: readonly SecretManifest[]
  /** Of which keys for nonces are made; the same for everybody who compiles for one fleet. Absent: there are none. */
  readonly nonceRoot?: Secret | undefined
}

/** Everything that makes up one fleet. Trunks are those that refer to the VoiceService, Secrets those of its namespace. */
export interface World {
  readonly voiceService: VoiceService
  readonly trunks: readonly SipTrunk[]
  readonly secrets: readonly SecretManifest[]
  /** As in `Resources`. */
  readonly nonceRoot?: Secret | undefined
  /** Trunks of the namespace that belong to another VoiceService, so that a reference to one can be explained. */
  readonly neighbours?: readonly SipTrunk[]
  /** What compiling came to the last time; absent: nothing is known of it. */
  readonly lastGood?: LastGood | undefined
}

/** Which manifest something is said of, and of which generation of it (0 where none is counted). */
export interface ResourceId {
  readonly kind: 'VoiceService' | 'SipTrunk'
  readonly namespace: string
  readonly name: string
  readonly generation: number
}

/** What is wrong with one field of one resource, with the cause and the way out. */
export interface Problem {
  readonly resource: ResourceId
  /** As `spec.targets[0].transport`. */
  readonly field: string
  readonly message: string
  /** The object that does not exist, as `SipTrunk voice/carrier`, when that is the problem. */
  readonly missing?: string
  /** Set when nothing is left out for it, but the chosen engine cannot do what is asked for. */
  readonly limit?: true
}

/** What compiling says of one resource. */
export interface ResourceConditions {
  readonly resource: ResourceId
  readonly accepted: Condition<'Accepted'>
  readonly resolvedRefs: Condition<'ResolvedRefs'>
}

export function idOf({ kind, metadata }: VoiceService | SipTrunk): ResourceId {
  return { kind, namespace: metadata.namespace, name: metadata.name, generation: metadata.generation ?? 0 }
}

/** `namespace/name`, as fleets are called everywhere. */
export function fullName({ metadata }: { readonly metadata: { readonly namespace: string; readonly name: string } }) {
  return `${metadata.namespace}/${metadata.name}`
}

/** Sorts resources into fleets; `strays` are the trunks whose VoiceService does not exist. */
export function fleetsOf(resources: Resources): { fleets: readonly World[]; strays: readonly SipTrunk[] } {
  const trunksOf = new Map<string, SipTrunk[]>(resources.voiceServices.map((service) => [fullName(service), []]))
  const strays: SipTrunk[] = []
  for (const trunk of resources.trunks) {
    const fleet = `${trunk.metadata.namespace}/${trunk.spec.voiceServiceRef.name}`
    ;(trunksOf.get(fleet) ?? strays).push(trunk)
  }
  const fleets = resources.voiceServices.map((voiceService) => ({
    voiceService,
    trunks: trunksOf.get(fullName(voiceService)) ?? [],
    secrets: resources.secrets.filter(isIn(voiceService.metadata.namespace)),
    nonceRoot: resources.nonceRoot,
    neighbours: resources.trunks
      .filter(isIn(voiceService.metadata.namespace))
      .filter(({ spec }) => spec.voiceServiceRef.name !== voiceService.metadata.name),
  }))
  return { fleets, strays }
}

function isIn(namespace: string) {
  return ({ metadata }: { readonly metadata: { readonly namespace: string } }) => metadata.namespace === namespace
}
