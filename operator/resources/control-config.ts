import { drachtioConfigKey, drachtioConfig } from './engine-sidecar.ts'
import { type Fleet, metadataOf, namesOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'

/** Key of the certificate authorities. */
export const authoritiesKey = 'ca.crt'

/** What replicas check the operator's certificate against, at every connection; and the file of their drachtio-server. */
export function controlConfig(fleet: Fleet): Manifest {
  return {
    metadata: metadataOf(fleet, namesOf(fleet.voiceService.metadata.name).controlConfig),
    data: {
      [authoritiesKey]: fleet.settings.authorities,
      ...(fleet.voiceService.spec.drachtio !== undefined && { [drachtioConfigKey]: drachtioConfig }),
    },
  }
}
