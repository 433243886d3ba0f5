import type { VoiceService } from '#api/voice-service.ts'
import { contentHash } from '#lib/hash.ts'
import { type Fleet, metadataOf, namesOf, selectorOf } from './fleet.ts'
import type { Manifest } from './kinds.ts'

export interface SipPort {
  readonly name: string
  readonly port: number
  readonly protocol: 'UDP' | 'TCP'
}

/** Longest name of a port of a Service. */
const longestPortName = 15

/** Names that peers look for: `_sip._udp`, `_sip._tcp` and `_sips._tcp` (RFC 3263 section 4.1). */
const wellKnown: Readonly<Record<string, string>> = { UDP: 'sip', TCP: 'sip', TLS: 'sips' }

/**
 * The ports of the listeners, once each, whatever their IP family. The first one that could have a name that peers look
 * for has it; names in a Service are unique, so the others have the names of their listeners.
 */
export function sipPorts({ spec }: VoiceService): SipPort[] {
  const ports = new Map<string, SipPort>()
  const taken = new Set<string>(['sip', 'sips'])
  for (const { name: listener, port, transport } of spec.listeners) {
    const protocol = transport === 'UDP' ? 'UDP' : 'TCP'
    if (ports.has(`${protocol} ${port}`)) continue
    const known = wellKnown[transport]
    const isFirst = known !== undefined && ![...ports.values()].some(({ name }) => name === known)
    const name = isFirst ? known : portName(listener, taken)
    taken.add(name)
    ports.set(`${protocol} ${port}`, { name, port, protocol })
  }
  return [...ports.values()]
}

/** Ports have shorter names than listeners, and need a letter. */
function portName(listener: string, taken: ReadonlySet<string>): string {
  const fits = listener.length <= longestPortName && /[a-z]/.test(listener) && !listener.includes('--')
  return fits && !taken.has(listener) ? listener : `l-${contentHash(listener).slice(0, longestPortName - 2)}`
}

/** Names for each replica, and SRV records for all of them. Replicas that drain stay findable for their calls. */
export function replicaService(fleet: Fleet): Manifest {
  const { voiceService } = fleet
  return {
    metadata: metadataOf(fleet, namesOf(voiceService.metadata.name).replicaService),
    spec: {
      clusterIP: 'None',
      ipFamilyPolicy: 'PreferDualStack',
      publishNotReadyAddresses: true,
      selector: selectorOf(fleet),
      ports: servicePorts(voiceService),
    },
  }
}

/**
 * One address in front of all replicas that take calls. A caller stays with its replica, since the requests of a dialog
 * belong to one; and where callers come from outside, their addresses are kept, since trunks are told by them.
 */
export function clientService(fleet: Fleet): Manifest {
  const { voiceService } = fleet
  const { type, annotations } = voiceService.spec.service
  const metadata = metadataOf(fleet, namesOf(voiceService.metadata.name).clientService)
  return {
    metadata: { ...metadata, ...(annotations !== undefined && { annotations }) },
    spec: {
      type,
      ipFamilyPolicy: 'PreferDualStack',
      ...(type !== 'ClusterIP' && { externalTrafficPolicy: 'Local' }),
      sessionAffinity: 'ClientIP',
      selector: selectorOf(fleet),
      ports: servicePorts(voiceService),
    },
  }
}

function servicePorts(voiceService: VoiceService) {
  return sipPorts(voiceService).map((port) => ({ ...port, targetPort: port.port }))
}
