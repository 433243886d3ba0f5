import { type Fleet, markedMetadataOf, namesOf, selectorOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'
import { podTemplate } from './pod.ts'

/** The replicas, each with a name that outlives its pod. All start and stop at once; they are replaced one at a time. */
export function statefulSet(fleet: Fleet): Manifest {
  const { name } = fleet.voiceService.metadata
  return {
    metadata: markedMetadataOf(fleet, namesOf(name).statefulSet),
    spec: {
      replicas: fleet.voiceService.spec.replicas,
      serviceName: namesOf(name).replicaService,
      podManagementPolicy: 'Parallel',
      revisionHistoryLimit: 5,
      updateStrategy: { type: 'RollingUpdate' },
      selector: { matchLabels: selectorOf(fleet) },
      template: podTemplate(fleet),
    },
  }
}
