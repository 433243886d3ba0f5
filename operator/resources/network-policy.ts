import { healthPort } from '#api/replica-ports.ts'
import { type Fleet, metadataOf, namesOf, selectorOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'
import { sipPorts } from './services.ts'

/**
 * Into a replica goes SIP from anywhere, since who may call is for the trunks to say, and the cluster may look at health and
 * metrics. Where replicas send to is not limited: peers are wherever their names lead.
 */
export function networkPolicy(fleet: Fleet): Manifest {
  return {
    metadata: metadataOf(fleet, namesOf(fleet.voiceService.metadata.name).networkPolicy),
    spec: {
      podSelector: { matchLabels: selectorOf(fleet) },
      policyTypes: ['Ingress'],
      ingress: [
        { ports: sipPorts(fleet.voiceService).map(({ port, protocol }) => ({ port, protocol })) },
        { ports: [{ port: healthPort, protocol: 'TCP' }], from: [{ namespaceSelector: {} }] },
      ],
    },
  }
}
