import type { Condition, StatusCondition } from '#api/conditions.ts'
import type { SipTrunk, SipTrunkStatus } from '#api/sip-trunk.ts'
import type { VoiceService, VoiceServiceStatus } from '#api/voice-service.ts'
import type { Clock } from '#lib/clock.ts'
import {
  type FleetInCluster,
  fleetOfTrunk,
  type OurObject,
  type Read,
  selectorText,
  sipTrunks,
  voiceServices,
} from './cluster.ts'
import type { Compiled, Verdicts } from './compile/compile.ts'
import { keptRoutes, keptTrunk } from './compile/kept.ts'
import type { LastGood } from './compile/last-good.ts'
import type { EventRecorder } from './kube/events.ts'
import { keyOf, type Resource } from './kube/resource.ts'
import type { StatusWriter } from './kube/status-writer.ts'
import type { ReplicaState } from './push/replica-state.ts'
import { Crowd } from './report/crowd.ts'
import { occurrencesOf } from './report/occurrences.ts'
import { unreadableStatus, withProgress } from './report/progress.ts'
import { urgencyOf } from './report/urgency.ts'
import { MadeStatuses, statusOf, strayTrunkStatus } from './report/status-of.ts'

export interface FleetStatusesOptions {
  readonly replicas: (fleet: string) => readonly ReplicaState[]
  readonly writer: Pick<StatusWriter, 'write' | 'forget'>
  readonly events: Pick<EventRecorder, 'record'>
  readonly clock: Clock
}

/** What a fleet came to. */
export interface FleetOutcome {
  readonly compiled: Compiled | undefined
  readonly strays: Verdicts
  readonly refused: string | undefined
  /** Why pods are not as they are wanted yet. */
  readonly unrolled: string | undefined
  /** Why pods cannot be made. */
  readonly podFailure: string | undefined
}

interface Status {
  readonly conditions?: StatusCondition[] | undefined
  readonly lastGood?: unknown
  /** For autoscalers. */
  readonly selector?: string
}

interface Said {
  readonly object: OurObject
  /** As it was made, and as it was said. */
  readonly given: Status
  readonly status: Status
}

/** How long replicas are given to find this process before one that is not connected counts, in milliseconds. */
const settleMilliseconds = 15_000

/** Makes the statuses of all resources of a fleet, has them written, and tells users what has turned. */
export class FleetStatuses {
  readonly #options: FleetStatusesOptions
  readonly #began: number
  /** What was said last of each object: what is read may be older. */
  readonly #said = new Map<string, Said>()
  /** By fleet. */
  readonly #made = new Map<string, MadeStatuses>()
  readonly #crowd: Crowd

  constructor(options: FleetStatusesOptions) {
    this.#options = options
    this.#began = options.clock.now()
    this.#crowd = new Crowd({ record: (occurrence) => options.events.record(occurrence), clock: options.clock })
  }

  /**
   * Says of every resource of the fleet how it stands. Returns after how many milliseconds it must be said again, when it
   * is too early: a process that has just started does not know yet which replicas there are.
   */
  report(key: string, fleet: FleetInCluster, outcome: FleetOutcome): number | undefined {
    const replicas = this.#options.replicas(key)
    const desired = fleet.voiceService?.value?.spec.replicas ?? 0
    const early = this.#began + settleMilliseconds - this.#options.clock.now()
    const hadReplicas =
      (readStatus<VoiceServiceStatus>(fleet.voiceService)?.replicas?.programmed ?? 0) > replicas.length
    if (hadReplicas && replicas.length < desired && early > 0) return early
    if (fleet.voiceService === undefined) this.#reportStrays(fleet, outcome)
    else this.#reportFleet(fleet, fleet.voiceService, outcome, replicas)
    return undefined
  }

  #reportFleet(
    { trunks }: FleetInCluster,
    voiceService: Read<VoiceService>,
    { compiled, refused, unrolled, podFailure }: FleetOutcome,
    replicas: readonly ReplicaState[],
  ): void {
    const { value, object } = voiceService
    if (value === undefined || compiled === undefined)
      return this.#say(voiceServices, object, this.#unreadable(voiceService, this.#previous<Status>(object)?.lastGood))
    const readable = lasting(trunks).flatMap(({ object: trunk, value: resource }) =>
      resource === undefined ? [] : [{ trunk, resource }],
    )
    const conditions = conditionsBy(compiled)
    const made = this.#made.get(keyOf(object)) ?? new MadeStatuses()
    this.#made.set(keyOf(object), made)
    const view = {
      voiceService: {
        resource: value,
        ...conditions(value),
        previous: this.#previous(object) as VoiceServiceStatus | undefined,
      },
      trunks: readable.map(({ trunk, resource }) => ({
        resource,
        ...conditions(resource),
        previous: this.#previous<SipTrunkStatus>(trunk),
        lastGood: compiled.lastGood.trunks.get(resource.metadata.name),
      })),
      lastGood: keptRoutes(value, compiled.lastGood),
      snapshot: compiled.snapshot,
      replicas,
      refused,
      unrolled,
      podFailure,
      now: this.#options.clock.wallTime(),
    }
    const statuses = statusOf(view, made)
    this.#say(voiceServices, object, { ...statuses.voiceService, selector: selectorText(value) })
    for (const { trunk, resource } of readable) {
      const status = statuses.trunks.get(resource.metadata.name)
      if (status !== undefined) this.#say(sipTrunks, trunk, status, object)
    }
    this.#reportUnreadable(trunks, compiled.lastGood)
  }

  #reportStrays({ trunks }: FleetInCluster, { strays }: FleetOutcome): void {
    const now = this.#options.clock.wallTime()
    const conditions = conditionsBy(strays)
    for (const { object, value } of lasting(trunks)) {
      if (value === undefined) continue
      const previous = this.#previous<SipTrunkStatus>(object)
      this.#say(sipTrunks, object, strayTrunkStatus({ resource: value, ...conditions(value), previous }, now))
    }
    this.#reportUnreadable(trunks)
  }

  #reportUnreadable(trunks: readonly Read<SipTrunk>[], known?: LastGood): void {
    for (const trunk of lasting(trunks)) {
      const { object, value } = trunk
      if (value !== undefined) continue
      const lastGood = keptTrunk(object, known?.trunks.get(object.metadata.name))
      this.#say(sipTrunks, object, this.#unreadable(trunk, lastGood))
    }
  }

  #unreadable({ object, problem }: Read<unknown>, lastGood: unknown): Status {
    return { ...unreadableStatus(problem, this.#stamp(object)), ...(lastGood !== undefined && { lastGood }) }
  }

  /** Has a status written, with the words for tools, and tells what has turned since the last one; of trunks of a fleet together. */
  #say(resource: Resource<OurObject>, object: OurObject, given: Status, voiceService?: OurObject): void {
    const { writer, events } = this.#options
    const last = this.#said.get(sayingOf(object))
    if (last?.given === given && last.object === object) return
    const status = withProgress(given, this.#stamp(object))
    const before = this.#previous<Status>(object)?.conditions
    for (const one of occurrencesOf(before, status.conditions ?? [])) {
      const occurrence = { ...one, regarding: object }
      if (voiceService === undefined) events.record(occurrence)
      else this.#crowd.tell(occurrence, voiceService)
    }
    this.#said.set(sayingOf(object), { object, given, status })
    writer.write(resource, object, status, urgencyOf(before, status.conditions ?? []))
  }

  /** Somebody else runs the fleet, and says how it stands: we say that alone, and nothing that was still to be written. */
  leave({ voiceService, trunks }: FleetInCluster, operator: string): void {
    for (const { object } of trunks) this.forget(sipTrunks, object)
    if (voiceService === undefined) return
    this.forget(voiceServices, voiceService.object)
    this.#options.events.record({
      regarding: voiceService.object,
      type: 'Warning',
      reason: 'OtherOperator',
      action: 'Program',
      note: `The operator with the Lease ${operator} runs this fleet, so this one leaves it alone. Uninstall one of them, or give each its own watchNamespaces.`,
    })
  }

  /** To be called when an object is gone. */
  forget(resource: Resource, object: OurObject): void {
    this.#said.delete(sayingOf(object))
    if (resource === voiceServices) this.#made.delete(keyOf(object))
    else this.#made.get(fleetOfTrunk(object))?.forget(object.metadata.name)
    this.#options.writer.forget(resource, keyOf(object))
  }

  #stamp(object: OurObject) {
    const { generation = 0 } = object.metadata
    return { generation, previous: this.#previous<Status>(object)?.conditions, now: this.#options.clock.wallTime() }
  }

  #previous<S extends Status>(object: OurObject): S | undefined {
    const said = this.#said.get(sayingOf(object))
    return (said === undefined ? object.status : said.status) as S | undefined
  }
}

/** Of no other object, now or later. */
function sayingOf({ kind, metadata }: OurObject): string {
  return metadata.uid ?? `${kind} ${keyOf({ metadata })}`
}

function readStatus<S>(read: Read<unknown> | undefined): S | undefined {
  return read?.object.status as S | undefined
}

/** Of a trunk that is being deleted nothing is said any more. */
function lasting<T>(trunks: readonly Read<T>[]): readonly Read<T>[] {
  return trunks.filter(({ object }) => object.metadata.deletionTimestamp === undefined)
}

interface SaidByCompiler {
  readonly accepted: Condition<'Accepted'>
  readonly resolvedRefs: Condition<'ResolvedRefs'>
}

/** What compiling said of a resource. */
function conditionsBy({ conditions }: Verdicts): (resource: VoiceService | SipTrunk) => SaidByCompiler {
  const byName = { VoiceService: new Map<string, SaidByCompiler>(), SipTrunk: new Map<string, SaidByCompiler>() }
  for (const one of conditions) byName[one.resource.kind].set(one.resource.name, one)
  return ({ kind, metadata }) => {
    const found = byName[kind].get(metadata.name)
    if (found === undefined) throw new Error(`compiling said nothing of ${kind} ${metadata.name}`)
    return { accepted: found.accepted, resolvedRefs: found.resolvedRefs }
  }
}
