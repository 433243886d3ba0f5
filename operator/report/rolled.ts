import type { KubeObject } from '../kube/resource.ts'

/** What a StatefulSet says of its pods, as far as it is read. */
export interface StatefulSet extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly updateStrategy?: { readonly rollingUpdate?: Partition } }
  readonly status?: {
    readonly observedGeneration?: number
    /** Pods that there are. */
    readonly replicas?: number
    readonly currentRevision?: string
    readonly updateRevision?: string
    readonly updatedReplicas?: number
  }
}

interface Partition {
  readonly partition?: number
}

/**
 * Why pods of a StatefulSet are not yet as it wants them; undefined when all are. A partition that somebody has set holds back the pods
 * below it for as long as they want. Whether pods that are as wanted do their work, they say themselves when they connect.
 */
export function unrolled(statefulSet: StatefulSet): string | undefined {
  const { metadata, spec, status } = statefulSet
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    return `StatefulSet ${metadata.name} has not been looked at by its controller yet`
  }
  if (status?.updateRevision === status?.currentRevision) return undefined
  const wanted = (spec?.replicas ?? 1) - (spec?.updateStrategy?.rollingUpdate?.partition ?? 0)
  const updated = status?.updatedReplicas ?? 0
  return updated < wanted ? `${updated}/${wanted} pods are made from the template of today` : undefined
}

/** Whether pods are yet to be made, as far as the controller has looked at it. */
export function isMissingPods({ metadata, spec, status }: StatefulSet): boolean {
  const isObserved = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0)
  return isObserved && (status?.replicas ?? 0) < (spec?.replicas ?? 1)
}

/** All that is looked at here in a status; equal texts mean that it says the same. */
export function rollOf(statefulSet: StatefulSet): string {
  const { status } = statefulSet
  return JSON.stringify([
    isMissingPods(statefulSet),
    status?.observedGeneration,
    status?.currentRevision,
    status?.updateRevision,
    status?.updatedReplicas,
  ])
}
