import { type Fleet, markedMetadataOf, namesOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'

/** Who the replicas are. They ask nothing of the API server, so no token for it is mounted. Applied first, so it says whose the rest is. */
export function serviceAccount(fleet: Fleet): Manifest {
  return {
    metadata: markedMetadataOf(fleet, namesOf(fleet.voiceService.metadata.name).serviceAccount),
    automountServiceAccountToken: false,
  }
}
