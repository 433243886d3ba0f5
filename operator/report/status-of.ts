import { condition, type AnyCondition, type Condition } from '#api/conditions.ts'
import type { SipTrunk, SipTrunkStatus } from '#api/sip-trunk.ts'
import type { Snapshot } from '#api/snapshot.ts'
import type { VoiceService, VoiceServiceStatus } from '#api/voice-service.ts'
import type { ReplicaState } from '../push/replica-state.ts'
import { programmedOf } from './programmed.ts'
import { reachabilityOf } from './reachable.ts'
import { registrationsOf } from './registered.ts'
import { reportsByTrunk, type TrunkReports } from './reports-by-trunk.ts'
import { stampConditions } from './stamp.ts'

/** A manifest with what the compiler said of it, and its status so far. */
export interface Compiled<R, S> {
  readonly resource: R
  readonly accepted: Condition<'Accepted'>
  readonly resolvedRefs: Condition<'ResolvedRefs'>
  readonly previous?: S | undefined
}

/** All that the status of a fleet is made of. */
export interface FleetView {
  readonly voiceService: Compiled<VoiceService, VoiceServiceStatus>
  readonly trunks: readonly Compiled<SipTrunk, SipTrunkStatus>[]
  /** What was compiled last; undefined when the fleet has nothing to run. */
  readonly snapshot: Snapshot | undefined
  /** The connected replicas. */
  readonly replicas: readonly ReplicaState[]
  /** Which objects of the fleet the API server refused, with its words; absent when it took them all. */
  readonly refused?: string | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

export interface FleetStatus {
  readonly voiceService: VoiceServiceStatus
  /** By name. */
  readonly trunks: ReadonlyMap<string, SipTrunkStatus>
}

/** The status of a VoiceService and of its SipTrunks: what could be compiled, what runs, and what the world answers. */
export function statusOf(view: FleetView): FleetStatus {
  const reports = reportsByTrunk(view.replicas)
  return {
    voiceService: voiceServiceStatus(view),
    trunks: new Map(
      view.trunks.map((trunk) => [
        trunk.resource.metadata.name,
        sipTrunkStatus(trunk, reports(trunk.resource.metadata.name), {
          ...view,
          desired: view.voiceService.resource.spec.replicas,
        }),
      ]),
    ),
  }
}

/** The status of a SipTrunk whose VoiceService does not exist. */
export function strayTrunkStatus(trunk: Compiled<SipTrunk, SipTrunkStatus>, now: number): SipTrunkStatus {
  return sipTrunkStatus(trunk, reportsByTrunk([])(trunk.resource.metadata.name), {
    snapshot: undefined,
    replicas: [],
    desired: 0,
    now,
  })
}

function voiceServiceStatus(view: FleetView): VoiceServiceStatus {
  const { voiceService, snapshot, replicas } = view
  const { metadata, spec } = voiceService.resource
  const { condition: programmed, count } = programmedOf({
    kind: 'VoiceService',
    name: metadata.name,
    generation: metadata.generation ?? 0,
    accepted: voiceService.accepted.status === 'True',
    snapshot,
    replicas,
    desired: spec.replicas,
  })
  const conditions = [
    voiceService.accepted,
    voiceService.resolvedRefs,
    view.refused === undefined ? programmed : resourcesRefused(view.refused),
  ]
  return {
    ...observed(metadata.generation),
    conditions: stampConditions([...conditions, readyOf(conditions)], {
      generation: metadata.generation ?? 0,
      previous: voiceService.previous?.conditions,
      now: view.now,
    }),
    ...(snapshot === undefined ? {} : { revision: snapshot.revision }),
    replicas: {
      desired: spec.replicas,
      ready: replicas.filter(({ revision, draining }) => revision !== null && !draining).length,
      programmed: count,
    },
    trunks: snapshot?.resources.filter(({ body }) => body.type === 'Trunk').length ?? 0,
    calls: replicas.reduce((sum, { report }) => sum + (report?.calls ?? 0), 0),
  }
}

function resourcesRefused(message: string): Condition<'Programmed'> {
  return condition({ type: 'Programmed', status: 'False', reason: 'ResourcesRefused', message })
}

function sipTrunkStatus(
  trunk: Compiled<SipTrunk, SipTrunkStatus>,
  reports: TrunkReports,
  view: Pick<FleetView, 'snapshot' | 'replicas' | 'now'> & { readonly desired: number },
): SipTrunkStatus {
  const { metadata } = trunk.resource
  const { condition: programmed, count } = programmedOf({
    kind: 'SipTrunk',
    name: metadata.name,
    generation: metadata.generation ?? 0,
    accepted: trunk.accepted.status === 'True',
    snapshot: view.snapshot,
    replicas: view.replicas,
    desired: view.desired,
  })
  const { condition: registered, ...registrations } = registrationsOf(trunk.resource, reports.registrations)
  const { condition: reachable, targets, targetsUp } = reachabilityOf(trunk.resource, reports.targets)
  const conditions = [trunk.accepted, trunk.resolvedRefs, programmed]
  return {
    ...observed(metadata.generation),
    conditions: stampConditions([...conditions, registered, reachable, readyOf(conditions)], {
      generation: metadata.generation ?? 0,
      previous: trunk.previous?.conditions,
      now: view.now,
    }),
    programmed: `${count}/${view.desired}`,
    targetsUp,
    targets,
    ...registrations,
  }
}

/**
 * Accepted, resolved and programmed. What the outside world answers is no part of it, so that a carrier's outage does not
 * hold up a deployment.
 */
function readyOf(conditions: readonly AnyCondition[]): Condition<'Ready'> {
  const type = 'Ready'
  const reasons = { Accepted: 'NotAccepted', ResolvedRefs: 'NotResolved', Programmed: 'NotProgrammed' } as const
  for (const [needed, reason] of Object.entries(reasons)) {
    if (holds(conditions, needed)) continue
    const cause = conditions.find((other) => other.type === needed)
    const message = cause === undefined ? `${needed} is not known yet` : `${needed}: ${cause.message}`
    return condition({ type, status: 'False', reason, message })
  }
  const message = 'Accepted, references resolved, and programmed on every replica.'
  return condition({ type, status: 'True', reason: 'Ready', message })
}

function holds(conditions: readonly AnyCondition[], type: string): boolean {
  return conditions.some((other) => other.type === type && other.status === 'True')
}

function observed(generation: number | undefined): { observedGeneration?: number } {
  return generation === undefined ? {} : { observedGeneration: generation }
}
