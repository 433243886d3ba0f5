import { type Fleet, metadataOf, namesOf, selectorOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'

/** Nodes are drained one replica at a time; one that does not work anyway holds nothing up. */
export function disruptionBudget(fleet: Fleet): Manifest {
  return {
    metadata: metadataOf(fleet, namesOf(fleet.voiceService.metadata.name).disruptionBudget),
    spec: {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorOf(fleet) },
    },
  }
}
