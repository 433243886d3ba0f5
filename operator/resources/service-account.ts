import { type Fleet, metadataOf, namesOf, operatorAnnotation } from './fleet.ts'
import type { Manifest } from './kinds.ts'

/** Who the replicas are. They ask nothing of the API server, so no token for it is mounted. Applied first, so it says whose the rest is. */
export function serviceAccount(fleet: Fleet): Manifest {
  const metadata = metadataOf(fleet, namesOf(fleet.voiceService.metadata.name).serviceAccount)
  return {
    metadata: { ...metadata, annotations: { [operatorAnnotation]: fleet.settings.operator } },
    automountServiceAccountToken: false,
  }
}
