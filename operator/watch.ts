import { type Cluster, fleetOfOwned, fleetOfTrunk, sipTrunks, voiceServices } from './cluster.ts'
import { secrets } from './control-certificate.ts'
import { keyOf, type KubeObject, type Resource } from './kube/resource.ts'
import type { Sink } from './kube/reflector.ts'
import type { Change, Store } from './kube/store.ts'
import { rollOf } from './report/rolled.ts'
import {
  configMaps,
  networkPolicies,
  podDisruptionBudgets,
  serviceAccounts,
  services,
  statefulSets,
} from './resources/kinds.ts'

/** One kind that is watched, where what is heard of it is kept, and which fleets a change of it wakes. */
export interface Watch {
  readonly resource: Resource
  readonly store: Sink<KubeObject> & Pick<Store<KubeObject>, 'onChange' | 'list'>
  readonly wakes: (object: KubeObject) => readonly string[]
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

/** The kinds of which a fleet is made. */
export const ownedKinds = [
  serviceAccounts,
  configMaps,
  networkPolicies,
  services,
  podDisruptionBudgets,
  statefulSets,
] as const

/** Types of Secrets that are never credentials and often large. */
const otherSecrets = ['helm.sh/release.v1', 'kubernetes.io/service-account-token', 'kubernetes.io/dockerconfigjson']

/** Everything that is watched. Whatever happens, the answer is to look at a fleet as a whole. */
export function watchesOf(cluster: Cluster): readonly Watch[] {
  const watches: Watch[] = [
    { resource: voiceServices, store: cluster.voiceServices, wakes: (service) => [keyOf(service)] },
    { resource: sipTrunks, store: cluster.trunks, wakes: (trunk) => [fleetOfTrunk(trunk)] },
    {
      resource: secrets,
      store: cluster.secrets,
      wakes: (secret) => [
        ...cluster.voiceServices.byIndex('secret', keyOf(secret)).map(keyOf),
        ...cluster.trunks.byIndex('secret', keyOf(secret)).map(fleetOfTrunk),
      ],
      fieldSelector: otherSecrets.map((type) => `type!=${type}`).join(','),
    },
  ]
  for (const resource of ownedKinds) {
    const store = cluster.owned.get(resource.plural)
    if (store === undefined) continue
    const wakes = (object: KubeObject) => [fleetOfOwned(object) ?? []].flat()
    watches.push({ resource, store, wakes, labelSelector: 'app.kubernetes.io/managed-by=sbcfleet' })
  }
  return watches
}

/** The fleets that a change wakes: those of the object before and after. */
export function wokenBy({ wakes }: Watch, change: Change<KubeObject>): Set<string> {
  const objects = [...('old' in change ? [change.old] : []), ...('object' in change ? [change.object] : [])]
  return new Set(objects.flatMap(wakes))
}

/** The object that a change says is no more: it was removed, or another one of its name was found in its place. */
export function goneIn(change: Change<KubeObject>): KubeObject | undefined {
  if (change.type === 'added') return undefined
  return change.type === 'updated' && change.object.metadata.uid === change.old.metadata.uid ? undefined : change.old
}

/** Whether a change is nothing but the writing of a status that says nothing new to us. */
export function isStatusOnly({ resource }: Pick<Watch, 'resource'>, change: Change<KubeObject>): boolean {
  if (change.type !== 'updated') return false
  if (resource === statefulSets && rollOf(change.object) !== rollOf(change.old)) return false
  const { metadata: now } = change.object
  const { metadata: before } = change.old
  return (
    now.generation !== undefined &&
    now.uid === before.uid &&
    now.generation === before.generation &&
    now.deletionTimestamp === before.deletionTimestamp &&
    String(now.finalizers) === String(before.finalizers)
  )
}
