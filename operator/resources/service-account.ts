import { type Fleet, metadataOf, namesOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'

/** Who the replicas are. They ask nothing of the API server, so no token for it is mounted. */
export function serviceAccount(fleet: Fleet): Manifest {
  return {
    metadata: metadataOf(fleet, namesOf(fleet.voiceService.metadata.name).serviceAccount),
    automountServiceAccountToken: false,
  }
}
