import { condition, type StatusCondition } from '#api/conditions.ts'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { SipTrunk, type SipTrunkStatus } from '#api/sip-trunk.ts'
import type { Resource, Snapshot } from '#api/snapshot.ts'
import { VoiceService, type VoiceServiceStatus } from '#api/voice-service.ts'
import type { RegistrationReport, Report, ResourceError, TargetReport } from '#api/wire.ts'
import type { ReplicaState } from '../../push/replica-state.ts'
import { statusOf, type Compiled, type FleetView } from '../status-of.ts'

export const now = Date.UTC(2026, 0, 1, 12)

const accepted = condition({ type: 'Accepted', status: 'True', reason: 'Accepted', message: 'All of it.' })
const resolvedRefs = condition({
  type: 'ResolvedRefs',
  status: 'True',
  reason: 'ResolvedRefs',
  message: 'All resolve.',
})

/** A VoiceService of generation 5 with one listener. */
export function voiceService(replicas: number): Compiled<VoiceService, VoiceServiceStatus> {
  const resource = VoiceService.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'VoiceService',
    metadata: { name: 'edge', namespace: 'voice', generation: 5 },
    spec: { replicas, listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
  })
  return { resource, accepted, resolvedRefs }
}

/** A SipTrunk of generation 2 with two targets. */
export function trunk(name: string, spec: object = {}): Compiled<SipTrunk, SipTrunkStatus> {
  const resource = SipTrunk.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'SipTrunk',
    metadata: { name, namespace: 'voice', generation: 2 },
    spec: {
      voiceServiceRef: { name: 'edge' },
      targets: [
        { name: 'a', host: '192.0.2.1' },
        { name: 'b', host: '2001:db8::1', transport: 'TCP', port: 5070 },
      ],
      ...spec,
    },
  })
  return { resource, accepted, resolvedRefs }
}

export const registration = {
  registrars: [{ name: 'primary', host: 'sip.example' }],
  accounts: [
    { name: 'main', number: '100', secretRef: { name: 'main' } },
    { name: 'fax', number: '101', secretRef: { name: 'fax' } },
  ],
}

export const snapshot: Snapshot = {
  fleet: 'voice/edge',
  revision: 'new',
  resources: [
    {
      key: 'Listener/udp',
      version: 'l2',
      origin: { kind: 'VoiceService', namespace: 'voice', name: 'edge', generation: 5, field: 'spec.listeners[0]' },
      body: { type: 'Listener', name: 'udp', transport: 'UDP', port: 5060, ipFamily: 'IPv4' },
    },
    trunkResource('carrier', 't2'),
    trunkResource('pbx', 'p1'),
  ],
}

function trunkResource(name: string, version: string): Resource {
  return {
    key: `Trunk/${name}`,
    version,
    origin: { kind: 'SipTrunk', namespace: 'voice', name, generation: 2, field: 'spec' },
    body: {
      type: 'Trunk',
      name,
      listeners: ['udp'],
      targets: [
        { name: 'main', host: '192.0.2.1', port: 5060, transport: 'UDP', priority: 0, weight: 1, listener: 'udp' },
      ],
      allowedSources: [],
      registrations: [],
      registrationPolicy: 'All',
      keepalive: {
        enabled: true,
        upIntervalSeconds: 60,
        downIntervalSeconds: 30,
        failureThreshold: 5,
        timeoutSeconds: 4,
        scope: 'Fleet',
        failureCodes: [503, 505],
      },
      sip: builtInBehaviour,
    },
  }
}

/** A replica that runs the snapshot, but for what is changed. */
export function replica(
  name: string,
  changes: Partial<Omit<ReplicaState, 'versions' | 'report'>> & {
    versions?: Record<string, string>
    report?: Partial<Report>
  } = {},
): ReplicaState {
  const versions = { 'Listener/udp': 'l2', 'Trunk/carrier': 't2', 'Trunk/pbx': 'p1', ...changes.versions }
  return {
    replica: name,
    instance: 'first',
    connectedSince: now - 1_000,
    revision: 'new',
    errors: [],
    refused: undefined,
    pending: false,
    draining: false,
    ...changes,
    versions: new Map(Object.entries(versions).filter(([, version]) => version !== '')),
    report: { targets: [], registrations: [], calls: 0, ...changes.report },
  }
}

export function portInUse(version: string): ResourceError {
  const message = 'UDP 127.0.0.3:5060 is in use by another process: stop that process, or choose another port'
  return { key: 'Listener/udp', version, field: 'body.port', code: 'AddressInUse', message }
}

export function target(name: string, state: TargetReport['state'], changes: Partial<TargetReport> = {}): TargetReport {
  return { trunk: 'carrier', target: name, state, since: now - 60_000, ...changes }
}

export function binding(
  account: string,
  state: RegistrationReport['state'],
  changes: Partial<RegistrationReport> = {},
): RegistrationReport {
  return { trunk: 'carrier', account, registrar: 'primary', state, since: now - 60_000, ...changes }
}

export function view(changes: Partial<FleetView> = {}): FleetView {
  return {
    voiceService: voiceService(2),
    trunks: [trunk('carrier'), trunk('pbx')],
    snapshot,
    replicas: [replica('edge-0'), replica('edge-1')],
    now,
    ...changes,
  }
}

/** The status of the trunk carrier. */
export function carrierOf(changes: Partial<FleetView>): SipTrunkStatus {
  const status = statusOf(view(changes)).trunks.get('carrier')
  if (status === undefined) throw new Error('there is no status of carrier')
  return status
}

/** As `False RejectedByDataplane: message`. */
export function spell(conditions: readonly StatusCondition[] | undefined, type: string): string {
  const found = conditions?.find((other) => other.type === type)
  return `${found?.status} ${found?.reason}: ${found?.message}`
}
