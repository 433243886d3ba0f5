import type { VoiceService } from '#api/voice-service.ts'
import type { ObjectMeta, OwnerReference } from '../kube/resource.ts'

/** What replicas are told by whoever installed the operator; the same for all fleets. */
export interface ReplicaSettings {
  /** Who runs the fleets: `namespace/name` of the Lease of the operator's release. */
  readonly operator: string
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  readonly imagePullSecrets: readonly string[]
  /** URL of the operator's replicas behind their headless Service. */
  readonly controlUrl: string
  /** Certificate authorities that the operator's certificate may come from, PEM. */
  readonly authorities: string
  readonly logLevel: string
}

/** A VoiceService as it stands in the cluster, with what its objects need. */
export interface Fleet {
  readonly voiceService: VoiceService
  /** UID of the VoiceService, which owns all objects. */
  readonly uid: string
  readonly settings: ReplicaSettings
}

/** Whom the tokens of replicas are for. */
export const tokenAudience = 'sbcfleet.dev/control'

/** Says on the ServiceAccount of a fleet, the first of its objects, which operator runs it; and on its StatefulSet. */
export const operatorAnnotation = 'sbcfleet.dev/operator'

/** Names of the objects of a fleet, by the name of its VoiceService. */
export function namesOf(voiceService: string) {
  return {
    statefulSet: voiceService,
    clientService: voiceService,
    replicaService: `${voiceService}-replicas`,
    serviceAccount: serviceAccountOf(voiceService),
    controlConfig: `${voiceService}-control`,
    networkPolicy: voiceService,
    disruptionBudget: voiceService,
  }
}

const accountSuffix = '-replica'

export function serviceAccountOf(voiceService: string): string {
  return voiceService + accountSuffix
}

/** The VoiceService whose replicas have this ServiceAccount; undefined when it is not of that form. */
export function voiceServiceOfAccount(serviceAccount: string): string | undefined {
  return serviceAccount.endsWith(accountSuffix) ? serviceAccount.slice(0, -accountSuffix.length) : undefined
}

/** Labels that pick the pods of a fleet, and never change. */
export function selectorOf({ voiceService }: Pick<Fleet, 'voiceService'>): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': 'sbcfleet-replica', 'app.kubernetes.io/instance': voiceService.metadata.name }
}

/** `metadata` of an object of the fleet, which goes when the VoiceService goes. */
export function metadataOf({ voiceService, uid }: Fleet, name: string): ObjectMeta {
  return {
    name,
    namespace: voiceService.metadata.namespace,
    labels: labelsOf(voiceService),
    ownerReferences: [ownerReference(voiceService, uid)],
  }
}

/** `metadataOf`, with the mark of the operator that runs the fleet. */
export function markedMetadataOf(fleet: Fleet, name: string): ObjectMeta {
  return { ...metadataOf(fleet, name), annotations: { [operatorAnnotation]: fleet.settings.operator } }
}

export function labelsOf(voiceService: VoiceService): Readonly<Record<string, string>> {
  return {
    ...selectorOf({ voiceService }),
    'app.kubernetes.io/component': 'replica',
    'app.kubernetes.io/managed-by': 'sbcfleet',
  }
}

function ownerReference({ apiVersion, kind, metadata }: VoiceService, uid: string): OwnerReference {
  return { apiVersion, kind, name: metadata.name, uid, controller: true, blockOwnerDeletion: true }
}
