import type { Resource } from '../kube/resource.ts'
import { controlConfig } from './control-config.ts'
import { disruptionBudget } from './disruption-budget.ts'
import type { Fleet } from './fleet.ts'
import {
  configMaps,
  type Manifest,
  networkPolicies,
  podDisruptionBudgets,
  serviceAccounts,
  services,
  statefulSets,
} from './kinds.ts'
import { networkPolicy } from './network-policy.ts'
import { serviceAccount } from './service-account.ts'
import { clientService, replicaService } from './services.ts'
import { statefulSet } from './stateful-set.ts'

/** One object of a fleet, and where it lives in the API. */
export interface FleetObject {
  readonly resource: Resource<Manifest>
  readonly manifest: Manifest
}

/** How each object of a fleet is made, in the order in which they are applied: what pods need comes before the pods. */
const builders: readonly (readonly [Resource<Manifest>, (fleet: Fleet) => Manifest])[] = [
  [serviceAccounts, serviceAccount],
  [configMaps, controlConfig],
  [networkPolicies, networkPolicy],
  [services, replicaService],
  [services, clientService],
  [podDisruptionBudgets, disruptionBudget],
  [statefulSets, statefulSet],
]

/** Everything that a fleet needs in the cluster. Pure: equal fleets give equal objects. */
export function fleetObjects(fleet: Fleet): FleetObject[] {
  return builders.map(([resource, build]) => ({ resource, manifest: build(fleet) }))
}
