import { condition, type AnyCondition, type Condition } from '#api/conditions.ts'
import type { LastGoodRoutes } from '#api/last-good.ts'
import type { SipTrunk, SipTrunkStatus } from '#api/sip-trunk.ts'
import type { Snapshot } from '#api/snapshot.ts'
import type { VoiceService, VoiceServiceStatus } from '#api/voice-service.ts'
import { keptTrunk } from '../compile/kept.ts'
import type { ReplicaState } from '../push/replica-state.ts'
import { type Programmed, programmedOf, type Rollout, rolloutOf } from './programmed.ts'
import { reachabilityOf } from './reachable.ts'
import { registrationsOf } from './registered.ts'
import { isSame, reportsByTrunk, type TrunkReports } from './reports-by-trunk.ts'
import { stampConditions } from './stamp.ts'

/** A manifest with what the compiler said of it, and its status so far. */
export interface Compiled<R, S> {
  readonly resource: R
  readonly accepted: Condition<'Accepted'>
  readonly resolvedRefs: Condition<'ResolvedRefs'>
  readonly previous?: S | undefined
}

export interface CompiledTrunk extends Compiled<SipTrunk, SipTrunkStatus> {
  /** The last good one, which may be the resource itself. */
  readonly lastGood?: SipTrunk | undefined
}

/** All that the status of a fleet is made of. */
export interface FleetView {
  readonly voiceService: Compiled<VoiceService, VoiceServiceStatus>
  readonly trunks: readonly CompiledTrunk[]
  /** The last good routes, for those that have turned invalid. */
  readonly lastGood?: LastGoodRoutes | undefined
  /** What was compiled last; undefined when the fleet has nothing to run. */
  readonly snapshot: Snapshot | undefined
  /** The connected replicas. */
  readonly replicas: readonly ReplicaState[]
  /** Which objects of the fleet the API server refused, with its words; absent when it took them all. */
  readonly refused?: string | undefined
  /** Why pods are not as they are wanted yet; absent when they are, and where there are none. */
  readonly unrolled?: string | undefined
  /** Why pods cannot be made, in the words of the one who tried; absent when all are there, and while nobody knows. */
  readonly podFailure?: string | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

export interface FleetStatus {
  readonly voiceService: VoiceServiceStatus
  /** By name. */
  readonly trunks: ReadonlyMap<string, SipTrunkStatus>
}

/**
 * The statuses of the trunks of one fleet as they were made last: only those of which something has changed are made
 * anew. Of thousands of trunks most say the same most of the time.
 */
export class MadeStatuses {
  readonly #made = new Map<string, { readonly facts: TrunkFacts; readonly status: SipTrunkStatus }>()

  /** The same object as the last time when it says the same. */
  of(facts: TrunkFacts, now: number): SipTrunkStatus {
    const { name } = facts.trunk.resource.metadata
    const known = this.#made.get(name)
    if (known !== undefined && areSame(facts, known.facts)) return known.status
    const status = sipTrunkStatus(facts, now)
    this.#made.set(name, { facts, status })
    return status
  }

  forget(name: string): void {
    this.#made.delete(name)
  }
}

/** Everything that the status of a trunk follows from. */
interface TrunkFacts {
  readonly trunk: CompiledTrunk
  readonly programmed: Programmed
  readonly desired: number
  readonly reports: TrunkReports
}

/** The status of a VoiceService and of its SipTrunks: what could be compiled, what runs, and what the world answers. */
export function statusOf(view: FleetView, made = new MadeStatuses()): FleetStatus {
  const desired = view.voiceService.resource.spec.replicas
  const reports = reportsByTrunk(view.replicas)
  const rollout = rolloutOf(view.snapshot, view.replicas, desired)
  const trunks = new Map<string, SipTrunkStatus>()
  for (const trunk of view.trunks) {
    const { name } = trunk.resource.metadata
    const programmed = programmedOf(programmable('SipTrunk', trunk), rollout)
    trunks.set(name, made.of({ trunk, programmed, desired, reports: reports(name) }, view.now))
  }
  return { voiceService: voiceServiceStatus(view, rollout), trunks }
}

/** The status of a SipTrunk whose VoiceService does not exist. */
export function strayTrunkStatus(trunk: Compiled<SipTrunk, SipTrunkStatus>, now: number): SipTrunkStatus {
  const programmed = programmedOf(programmable('SipTrunk', trunk), rolloutOf(undefined, [], 0))
  return sipTrunkStatus({ trunk, programmed, desired: 0, reports: { targets: [], registrations: [] } }, now)
}

function programmable<S>(
  kind: 'VoiceService' | 'SipTrunk',
  { resource, accepted }: Compiled<SipTrunk | VoiceService, S>,
) {
  const { name, generation = 0 } = resource.metadata
  return { kind, name, generation, accepted: accepted.status === 'True' }
}

function voiceServiceStatus(view: FleetView, rollout: Rollout): VoiceServiceStatus {
  const { voiceService, snapshot, replicas } = view
  const { metadata, spec } = voiceService.resource
  const { condition: programmed, count } = programmedOf(programmable('VoiceService', voiceService), rollout)
  const conditions = [
    voiceService.accepted,
    voiceService.resolvedRefs,
    view.refused === undefined
      ? untilMade(untilRolled(programmed, view.unrolled), view)
      : resourcesRefused(view.refused),
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
    ...(view.lastGood !== undefined && { lastGood: view.lastGood }),
  }
}

/** Replicas take a configuration at once; what else a generation asks of their pods takes new ones. */
function untilRolled(programmed: Condition<'Programmed'>, unrolled: string | undefined): Condition<'Programmed'> {
  if (unrolled === undefined || programmed.status !== 'True') return programmed
  return condition({ type: 'Programmed', status: 'False', reason: 'Pending', message: `${unrolled}.` })
}

/** What replicas have refused is for the user to mend, and comes first. */
function untilMade(
  programmed: Condition<'Programmed'>,
  { podFailure, voiceService }: Pick<FleetView, 'podFailure' | 'voiceService'>,
): Condition<'Programmed'> {
  const { status, reason } = programmed
  if (podFailure === undefined || status === 'True' || reason === 'RejectedByDataplane') return programmed
  const { name } = voiceService.resource.metadata
  const message = `${programmed.message} Pods cannot be made; StatefulSet ${name} says: ${podFailure}`
  return condition({ type: 'Programmed', status: 'False', reason: 'FailedCreate', message })
}

function resourcesRefused(message: string): Condition<'Programmed'> {
  return condition({ type: 'Programmed', status: 'False', reason: 'ResourcesRefused', message })
}

function sipTrunkStatus({ trunk, programmed, desired, reports }: TrunkFacts, now: number): SipTrunkStatus {
  const { metadata } = trunk.resource
  const { condition: registered, ...registrations } = registrationsOf(trunk.resource, reports.registrations)
  const { condition: reachable, targets, targetsUp } = reachabilityOf(trunk.resource, reports.targets)
  const conditions = [trunk.accepted, trunk.resolvedRefs, programmed.condition]
  const lastGood = keptTrunk(trunk.resource, trunk.lastGood)
  return {
    ...observed(metadata.generation),
    conditions: stampConditions([...conditions, registered, reachable, readyOf(conditions)], {
      generation: metadata.generation ?? 0,
      previous: trunk.previous?.conditions,
      now,
    }),
    programmed: `${programmed.count}/${desired}`,
    targetsUp,
    targets,
    ...registrations,
    ...(lastGood !== undefined && { lastGood }),
  }
}

/** What was said before is no part of it: while nothing else changes, that is what would be said again. */
function areSame(one: TrunkFacts, other: TrunkFacts): boolean {
  return (
    one.trunk.resource === other.trunk.resource &&
    one.trunk.lastGood === other.trunk.lastGood &&
    one.desired === other.desired &&
    one.programmed.count === other.programmed.count &&
    areAlike(one.programmed.condition, other.programmed.condition) &&
    areAlike(one.trunk.accepted, other.trunk.accepted) &&
    areAlike(one.trunk.resolvedRefs, other.trunk.resolvedRefs) &&
    isSame(one.reports, other.reports)
  )
}

function areAlike(one: AnyCondition, other: AnyCondition): boolean {
  if (one === other) return true
  return one.status === other.status && one.reason === other.reason && one.message === other.message
}

/**
 * Accepted as a whole, resolved and programmed: nobody may believe that a part is in force which was left out. What the
 * outside world answers is no part of it, so that a carrier's outage does not hold up a deployment.
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
  const partial = conditions.find(({ reason }) => reason === 'PartiallyInvalid')
  if (partial !== undefined) {
    return condition({ type, status: 'False', reason: 'PartiallyInvalid', message: `Accepted: ${partial.message}` })
  }
  const isIdle = conditions.some(({ reason }) => reason === 'ScaledToZero')
  const message = isIdle
    ? 'Accepted, and references resolved; no replica is wanted, and no call is taken.'
    : 'Accepted, references resolved, and programmed on every replica.'
  return condition({ type, status: 'True', reason: 'Ready', message })
}

function holds(conditions: readonly AnyCondition[], type: string): boolean {
  return conditions.some((other) => other.type === type && other.status === 'True')
}

function observed(generation: number | undefined): { observedGeneration?: number } {
  return generation === undefined ? {} : { observedGeneration: generation }
}
