import type { z } from 'zod'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { apiVersion, VoiceService } from '#api/voice-service.ts'
import { group, version } from '#api/kinds.ts'
import type { Log } from '#lib/log.ts'
import type { SecretObject } from './control-certificate.ts'
import { type KubeObject, nameOf as partsOf, type Resource } from './kube/resource.ts'
import type { WithStatus } from './kube/status-writer.ts'
import { type Change, Store } from './kube/store.ts'
import { operatorAnnotation, selectorOf, serviceAccountOf } from './resources/fleet.ts'
import { type Manifest, serviceAccounts, statefulSets } from './resources/kinds.ts'

/** One of our kinds as the API server gives it. */
export interface OurObject extends WithStatus {
  readonly spec?: unknown
}

const ours = (kind: string, plural: string): Resource<OurObject> => ({ group, version, kind, plural, namespaced: true })

export const voiceServices = ours('VoiceService', 'voiceservices')
export const sipTrunks = ours('SipTrunk', 'siptrunks')

/** An object as it came, and what it means; or why that cannot be known. */
export interface Read<T> {
  readonly object: OurObject
  readonly value: T | undefined
  /** Field and cause, when the object is none that this release understands. */
  readonly problem: string
}

/** Everything in the cluster that makes up one fleet. */
export interface FleetInCluster {
  readonly voiceService: Read<VoiceService> | undefined
  /** Trunks that name this fleet, those that are being deleted included. */
  readonly trunks: readonly Read<SipTrunk>[]
  readonly secrets: readonly SecretManifest[]
  /** Trunks of the namespace that belong to other fleets. */
  readonly neighbours: readonly SipTrunk[]
  /** VoiceServices of the namespace. */
  readonly services: readonly VoiceService[]
}

/** What the operator has heard of the cluster, and the one place where it is asked for a fleet. */
export class Cluster {
  readonly voiceServices: Store<OurObject, 'secret'>
  readonly trunks: Store<OurObject, 'fleet' | 'secret'>
  readonly secrets: Store<SecretObject>
  /** Objects of fleets, by the plural of their kind. */
  readonly owned: ReadonlyMap<string, Store<Manifest>>
  /** What an object means is found out once. */
  readonly #read = new WeakMap<OurObject, Read<unknown>>()
  readonly #secretNames = new WeakMap<OurObject, readonly string[]>()
  readonly #secretsRead = new WeakMap<SecretObject, SecretManifest | undefined>()

  constructor(ownedKinds: readonly Resource[], log: Log) {
    const onError = (error: unknown) => log.error({ err: error }, 'a change could not be handled')
    this.voiceServices = new Store({ onError, indexers: { secret: secretsOf } })
    this.trunks = new Store({
      onError,
      indexers: { fleet: (trunk) => [fleetOfTrunk(trunk)], secret: secretsOf },
    })
    this.secrets = new Store({ onError })
    this.owned = new Map(ownedKinds.map(({ plural }) => [plural, new Store<Manifest>({ onError })]))
    for (const store of [this.voiceServices, this.trunks]) store.onChange((change) => this.#carryOver(change))
  }

  /** Reads everything of one fleet, by `namespace/name` of its VoiceService. */
  fleet(key: string): FleetInCluster {
    const service = this.voiceServices.get(key)
    const { namespace, name } = partsOf(key)
    const trunks = this.trunks.byIndex('fleet', key)
    return {
      voiceService: service === undefined ? undefined : this.#readAs(VoiceService, service),
      trunks: trunks.map((trunk) => this.#readAs(SipTrunk, trunk)).toSorted(byName),
      secrets: [
        ...new Set([...(service === undefined ? [] : [service]), ...trunks].flatMap((one) => this.#secretsOf(one))),
      ].flatMap((secret) => this.#secret(secret)),
      neighbours: this.trunks
        .list()
        .filter((trunk) => trunk.metadata.namespace === namespace && voiceServiceNameOf(trunk) !== name)
        .flatMap((trunk) => this.#readAs(SipTrunk, trunk).value ?? []),
      services: this.voiceServices
        .list()
        .filter(({ metadata }) => metadata.namespace === namespace)
        .flatMap((other) => this.#readAs(VoiceService, other).value ?? []),
    }
  }

  /** Which operator made the objects of a fleet, by its mark; undefined when there are none. */
  operatorOf(key: string): string | undefined {
    const account = this.owned.get(serviceAccounts.plural)?.get(serviceAccountOf(key))
    // Who deletes the ServiceAccount does not call for another operator.
    const marked = account ?? this.owned.get(statefulSets.plural)?.get(key)
    return marked?.metadata.annotations?.[operatorAnnotation]
  }

  #readAs<T>(schema: z.ZodType<T>, object: OurObject): Read<T> {
    const known = this.#read.get(object)
    if (known !== undefined) return known as Read<T>
    const { kind, metadata, spec } = object
    const result = schema.safeParse({ apiVersion, kind, metadata, spec })
    const read: Read<T> = { object, value: result.data, problem: result.success ? '' : problemOf(result.error) }
    this.#read.set(object, read)
    return read
  }

  /** Where only a status was written, which happens after every change, the object means what it meant. */
  #carryOver(change: Change<OurObject>): void {
    if (change.type !== 'updated') return
    const known = this.#read.get(change.old)
    const meant = meantOf(change.object)
    if (known === undefined || meant === undefined || meantOf(change.old) !== meant) return
    this.#read.set(change.object, { ...known, object: change.object })
    this.#secretNames.set(change.object, this.#secretsOf(change.old))
  }

  /** Asked of every object of a fleet whenever one of them has changed. */
  #secretsOf(object: OurObject): readonly string[] {
    const known = this.#secretNames.get(object)
    if (known !== undefined) return known
    const names = secretsOf(object)
    this.#secretNames.set(object, names)
    return names
  }

  #secret(key: string): SecretManifest[] {
    const secret = this.secrets.get(key)
    if (secret === undefined) return []
    if (!this.#secretsRead.has(secret)) {
      const { metadata, data, type } = secret
      const result = SecretManifest.safeParse({ apiVersion: 'v1', kind: 'Secret', metadata, data, type })
      this.#secretsRead.set(secret, result.data)
    }
    return [this.#secretsRead.get(secret) ?? []].flat()
  }
}

/** Everything that what an object means can follow from: generations count changes of the spec. */
function meantOf({ metadata }: OurObject): string | undefined {
  const { uid, generation, deletionTimestamp, labels, annotations } = metadata
  return uid === undefined || generation === undefined
    ? undefined
    : JSON.stringify([uid, generation, deletionTimestamp, labels, annotations])
}

/** `namespace/name` of the VoiceService that a trunk names. */
export function fleetOfTrunk(trunk: KubeObject & { readonly spec?: unknown }): string {
  return `${trunk.metadata.namespace}/${voiceServiceNameOf(trunk)}`
}

function voiceServiceNameOf({ spec }: { readonly spec?: unknown }): string {
  const { voiceServiceRef } = (spec ?? {}) as { voiceServiceRef?: { name?: string } }
  return voiceServiceRef?.name ?? ''
}

/** `namespace/name` of the Secrets that a VoiceService or SipTrunk names, wherever in its spec. */
export function secretsOf({ metadata, spec }: KubeObject & { readonly spec?: unknown }): string[] {
  return [...new Set(namesIn(spec))].map((name) => `${metadata.namespace}/${name}`)
}

/** Fields that refer to Secrets, as `secretRef`, `additionalSecretRefs`, `caRef`. */
const refersToSecret = /(secret|ca)Refs?$/i

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([field, below]) =>
    refersToSecret.test(field) ? [below].flat().flatMap(nameOf) : namesIn(below),
  )
}

function nameOf(reference: unknown): string[] {
  const { name } = (reference ?? {}) as { name?: unknown }
  return typeof name === 'string' ? [name] : []
}

/** The fleet that an object was made for; undefined when it is not one of ours. */
export function fleetOfOwned({ metadata }: KubeObject): string | undefined {
  const owner = metadata.ownerReferences?.find(({ kind, controller }) => kind === 'VoiceService' && controller === true)
  return owner === undefined ? undefined : `${metadata.namespace}/${owner.name}`
}

/** Picks the pods of a fleet, as `status.selector` has it. */
export function selectorText(voiceService: VoiceService): string {
  return Object.entries(selectorOf({ voiceService }))
    .map(([label, value]) => `${label}=${value}`)
    .join(',')
}

function problemOf(error: z.ZodError): string {
  const [first] = error.issues
  const path = first?.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('') ?? ''
  const field = path.replace(/^\./, '')
  return `${field}: ${first?.message ?? 'not understood'}; are operator and CustomResourceDefinitions of one release?`
}

function byName(a: Read<unknown>, b: Read<unknown>): number {
  return a.object.metadata.name < b.object.metadata.name ? -1 : 1
}
