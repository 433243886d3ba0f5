import type { KubeObject, Resource } from '../kube/resource.ts'
import type { FleetObject } from './objects.ts'

/**
 * Why an object that has the name of one of a fleet is not to be touched; undefined when it is the fleet's. An object that
 * nobody controls is the fleet's if it has all labels that we give: what `kubectl delete --cascade=orphan` left.
 */
export function foreignness(live: KubeObject, { resource, manifest }: FleetObject): string | undefined {
  const { name, labels = {}, ownerReferences = [] } = manifest.metadata
  const controller = controllerOf(live)
  const [owner] = ownerReferences
  if (controller === undefined) {
    const isOrphan = Object.entries(labels).every(([label, value]) => live.metadata.labels?.[label] === value)
    return isOrphan ? undefined : refusal(resource, name, 'nobody controls it')
  }
  if (owner === undefined) return undefined
  // One of the same kind and name with another UID is gone: its successor goes on with what it left.
  const isOwner = controller.uid === owner.uid || (isSameGroup(controller, owner) && controller.name === owner.name)
  return isOwner ? undefined : refusal(resource, name, `${controller.kind} ${controller.name} controls it`)
}

function controllerOf({ metadata }: KubeObject) {
  return metadata.ownerReferences?.find(({ controller }) => controller === true)
}

interface KindReference {
  readonly apiVersion: string
  readonly kind: string
}

function isSameGroup(a: KindReference, b: KindReference): boolean {
  return a.kind === b.kind && a.apiVersion.split('/')[0] === b.apiVersion.split('/')[0]
}

function refusal({ kind }: Resource, name: string, why: string): string {
  return `${kind} ${name} exists and is not this fleet's (${why}); rename or delete it, or rename the VoiceService`
}
