import type { SipTrunk } from '#api/sip-trunk.ts'
import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Secret } from '#lib/secret.ts'
import { type Cluster, type FleetInCluster, type Read, sipTrunks } from './cluster.ts'
import { type Compiled, compile, compileFleets, type Verdicts } from './compile/compile.ts'
import { keptIn } from './compile/kept.ts'
import { type LastGood, newerOf } from './compile/last-good.ts'
import { Memory } from './compile/memory.ts'
import { finalizerStep } from './finalizer.ts'
import { ApiError, isConflict, isNotFound, isUnknownField } from './kube/api-error.ts'
import type { Applier } from './kube/apply.ts'
import type { KubeClient } from './kube/client.ts'
import type { Outcome } from './kube/controller.ts'
import { keyOf, nameOf } from './kube/resource.ts'
import type { PushServer } from './push/push-server.ts'
import type { FleetStatuses } from './fleet-statuses.ts'
import type { PodFailures } from './pod-failures.ts'
import { type StatefulSet, unrolled } from './report/rolled.ts'
import type { Rivals } from './rivals.ts'
import type { ReplicaSettings } from './resources/fleet.ts'
import { type Manifest, statefulSets } from './resources/kinds.ts'
import { type FleetObject, fleetObjects } from './resources/objects.ts'
import { foreignness } from './resources/ownership.ts'

export interface FleetReconcilerOptions {
  readonly cluster: Cluster
  readonly api: Pick<KubeClient, 'patch'>
  readonly applier: Applier
  readonly push: Pick<PushServer, 'publish' | 'forget' | 'replicas'>
  readonly statuses: FleetStatuses
  readonly isLeader: () => boolean
  /** Whether everything in the fleet's namespace is known. Before, what is missing may be there. */
  readonly isListed: (namespace: string) => boolean
  readonly rivals: Pick<Rivals, 'isRunBy'>
  readonly podFailures: Pick<PodFailures, 'find' | 'forget'>
  /** Undefined until there is a certificate for replicas to check. */
  readonly settings: () => ReplicaSettings | undefined
  /** Of which keys for nonces are made: the same for every operator replica. Undefined until there is one. */
  readonly nonceRoot: () => Secret | undefined
  readonly clock: Clock
  readonly log: Log
}

/** How soon objects that the API server refused are tried again, in milliseconds. */
const refusedMilliseconds = 10_000
/** How often a fleet that another operator runs is looked at, in milliseconds; how often that is told. */
const othersMilliseconds = 10_000
const tellMilliseconds = 600_000

/** What a fleet comes to, as far as it can be known. */
interface Result {
  /** Undefined when there is no VoiceService, or none that can be read: what runs goes on. */
  readonly compiled: Compiled | undefined
  /** What is said of trunks without a VoiceService. */
  readonly strays: Verdicts
}

interface Remembered {
  /** Of what it was made. */
  readonly made: readonly unknown[]
  readonly result: Result
  /** Whether this process led. */
  readonly leads: boolean
}

/**
 * Brings one fleet in line with what stands in the cluster. Only the leader does anything. The others compile what they see, so that
 * whoever takes the lead knows what was good before.
 */
export class FleetReconciler {
  readonly #options: FleetReconcilerOptions
  /** The last result of each fleet, and of what it was made: most wake-ups change nothing of that. */
  readonly #results = new Map<string, Remembered>()
  readonly #memories = new Map<string, Memory>()
  readonly #lastGood = new Map<string, LastGood>()
  /** When it was last told that another operator runs a fleet. */
  readonly #told = new Map<string, number>()

  constructor(options: FleetReconcilerOptions) {
    this.#options = options
  }

  /** Reads everything once, and from top to bottom does what is to be done; every way leads to the statuses. */
  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { cluster, push, statuses, podFailures, isLeader, isListed } = this.#options
    if (!isListed(nameOf(key).namespace ?? '')) return {}
    const fleet = cluster.fleet(key)
    if (!isLeader()) return this.#follow(key, fleet)
    const operator = cluster.operatorOf(key)
    if (await this.#options.rivals.isRunBy(operator, signal)) return this.#leave(key, fleet, operator)
    this.#told.delete(key)
    const { compiled } = this.#result(key, fleet)
    const voiceService = fleet.voiceService?.value

    if (fleet.voiceService === undefined) {
      this.#forget(key)
      push.forget(key)
    }
    if (compiled !== undefined && voiceService !== undefined) {
      push.publish(compiled.snapshot, { replicas: voiceService.spec.replicas })
    }
    const provided = await this.#provide(fleet, signal)
    const wait = await this.#finalize(key, fleet.trunks, signal)
    const { refused, statefulSet } = provided
    const pods = statefulSet && unrolled(statefulSet)
    const { words: podFailure, after: look } = await podFailures.find(key, statefulSet, signal)
    const settle = statuses.report(key, fleet, { ...this.#result(key, fleet), refused, unrolled: pods, podFailure })

    if (provided.failure !== undefined) throw provided.failure
    return soonest([wait, settle, look, provided.refused === undefined ? undefined : refusedMilliseconds])
  }

  /** Two operators that both change a fleet would restart its replicas for ever. */
  #leave(key: string, fleet: FleetInCluster, operator = ''): Outcome {
    const { clock, log, statuses } = this.#options
    const told = this.#told.get(key)
    if (told === undefined || clock.now() - told >= tellMilliseconds) {
      this.#told.set(key, clock.now())
      statuses.leave(fleet, operator)
      log.error({ fleet: key, operator }, 'another operator runs this fleet; it is left alone')
    }
    return { after: othersMilliseconds }
  }

  /** Keeps in mind what is good, and nothing else. */
  #follow(key: string, fleet: FleetInCluster): Outcome {
    if (fleet.voiceService === undefined) this.#forget(key)
    else this.#result(key, fleet)
    return {}
  }

  #result(key: string, fleet: FleetInCluster): Result {
    const nonceRoot = this.#options.nonceRoot()
    const leads = this.#options.isLeader()
    const made = madeOf(fleet, nonceRoot)
    const known = this.#results.get(key)
    if (known?.leads === leads && areSame(known.made, made)) return known.result
    // What was remembered stands for last good versions that another leader may have seen newer ones of.
    const memory = (known?.leads === leads ? this.#memories.get(key) : undefined) ?? new Memory()
    this.#memories.set(key, memory)
    const result = compiledOf(fleet, nonceRoot, memory, this.#lastGoodOf(key, fleet, known?.leads === true))
    if (result.compiled !== undefined) this.#lastGood.set(key, result.compiled.lastGood)
    this.#results.set(key, { made, result, leads })
    return result
  }

  /** Who leads has seen everything itself. Before, another one may have seen what came and went too soon for us. */
  #lastGoodOf(key: string, { voiceService, trunks }: FleetInCluster, hasLed: boolean): LastGood | undefined {
    const known = this.#lastGood.get(key)
    if (voiceService?.value === undefined || (hasLed && known !== undefined)) return known
    const objects = trunks.map(({ object }) => object)
    return newerOf(known, keptIn(voiceService.value, voiceService.object.status, objects))
  }

  #forget(key: string): void {
    this.#results.delete(key)
    this.#memories.delete(key)
    this.#lastGood.delete(key)
    this.#options.podFailures.forget(key)
  }

  /**
   * Applies the objects of the fleet. One that is refused does not keep the others from it, but as long as a name belongs
   * to somebody else, nothing is made that is not there yet: half a fleet is of no use.
   */
  async #provide({ voiceService }: FleetInCluster, signal: AbortSignal): Promise<Provided> {
    const { applier } = this.#options
    const settings = this.#options.settings()
    const { metadata } = voiceService?.object ?? {}
    if (voiceService?.value === undefined || metadata?.uid === undefined || settings === undefined) return {}
    // What is on its way out is collected with everything it owns.
    if (metadata.deletionTimestamp !== undefined) return {}
    const wanted = fleetObjects({ voiceService: voiceService.value, uid: metadata.uid, settings })
    const found = await Promise.all(wanted.map((object) => this.#find(object, signal)))
    const refusals = found.flatMap(({ refused }) => refused ?? [])
    const isTaken = refusals.length > 0
    let statefulSet: StatefulSet | undefined
    let failure = found.find((one) => one.failure !== undefined)?.failure
    for (const { object, live, refused, failure: unseen } of found) {
      if (refused !== undefined || unseen !== undefined || (isTaken && live === undefined)) continue
      try {
        const now = await applier.apply(object.resource, object.manifest, live, signal)
        if (object.resource === statefulSets) statefulSet = now
      } catch (error) {
        if (isRefusal(error)) refusals.push(wordsOf(object, error))
        else failure ??= error
      }
    }
    return { failure, statefulSet, ...(refusals.length > 0 && { refused: refusals.join('; ') }) }
  }

  /** What stands under the name of an object of a fleet. The stores only have what is labelled as ours, so more is asked for. */
  async #find(object: FleetObject, signal: AbortSignal): Promise<Found> {
    const { cluster, applier } = this.#options
    const { resource, manifest } = object
    try {
      const known = cluster.owned.get(resource.plural)?.get(keyOf(manifest))
      const live = known ?? (await applier.find(resource, manifest, signal))
      return { object, live, refused: live === undefined ? undefined : foreignness(live, object) }
    } catch (error) {
      return isRefusal(error) ? { object, refused: wordsOf(object, error) } : { object, failure: error }
    }
  }

  /** Adds and removes finalizers. Returns how long the next deadline is away, in milliseconds. */
  async #finalize(key: string, trunks: readonly Read<SipTrunk>[], signal: AbortSignal): Promise<number | undefined> {
    const { api, clock, push } = this.#options
    const replicas = push.replicas(key)
    const waits: number[] = []
    for (const { object, value } of trunks) {
      const registers = value?.spec.registration !== undefined
      const step = finalizerStep(object, { registers, replicas, now: clock.wallTime() })
      if (step.do === 'wait') waits.push(step.milliseconds)
      if (step.do !== 'write') continue
      const { resourceVersion } = object.metadata
      try {
        await api.patch(
          sipTrunks,
          object.metadata,
          { metadata: { resourceVersion, finalizers: step.finalizers } },
          { signal },
        )
      } catch (error) {
        // It has changed or gone since it was read: the watch wakes us for what it is now.
        if (!isConflict(error) && !isNotFound(error)) throw error
      }
    }
    return waits.length === 0 ? undefined : Math.min(...waits)
  }
}

interface Found {
  readonly object: FleetObject
  readonly live?: Manifest | undefined
  /** Why it must not be applied. */
  readonly refused?: string | undefined
  /** Why it is not known what stands there. */
  readonly failure?: unknown
}

interface Provided {
  /** What cannot be made, and why: the API server's words, or whose it is. */
  readonly refused?: string
  /** As it is now; undefined where it is not ours, or not known. */
  readonly statefulSet?: StatefulSet | undefined
  /** What trying again may cure. */
  readonly failure?: unknown
}

/** The parts that replicas are to run; a trunk that is being deleted is none of them. */
function compiledOf(
  fleet: FleetInCluster,
  nonceRoot: Secret | undefined,
  memory: Memory,
  lastGood: LastGood | undefined,
): Result {
  const { voiceService, secrets, neighbours } = fleet
  const trunks = lasting(fleet.trunks, lastGood)
  if (voiceService?.value !== undefined) {
    const world = { voiceService: voiceService.value, trunks, secrets, neighbours, nonceRoot, lastGood }
    const compiled = compile(world, memory)
    return { compiled, strays: { conditions: [], problems: [] } }
  }
  if (voiceService !== undefined) return { compiled: undefined, strays: { conditions: [], problems: [] } }
  const { strays } = compileFleets({ voiceServices: fleet.services, trunks, secrets })
  return { compiled: undefined, strays }
}

/** A trunk that cannot be read is as it was when it could. */
function lasting(trunks: readonly Read<SipTrunk>[], lastGood: LastGood | undefined): SipTrunk[] {
  return trunks.flatMap(({ object: { metadata }, value }) => {
    if (metadata.deletionTimestamp !== undefined) return []
    if (value !== undefined) return value
    const known = lastGood?.trunks.get(metadata.name)
    return known !== undefined && known.metadata['uid'] === metadata.uid ? known : []
  })
}

/**
 * The same things for fleets that compile to the same: what was read is the same object for as long as it means the same. Of thousands
 * of trunks no text is made whenever one of them has changed.
 */
function madeOf(
  { voiceService, trunks, secrets, neighbours, services }: FleetInCluster,
  nonceRoot: Secret | undefined,
): unknown[] {
  const made: unknown[] = [nonceRoot?.reveal(), voiceService?.value ?? voiceService?.object.metadata.uid]
  for (const { value, object } of trunks) {
    // One that cannot be read may go on as it was; one that is on its way out does not.
    const { deletionTimestamp, uid } = object.metadata
    made.push(deletionTimestamp === undefined ? (value ?? uid) : 'deleted')
  }
  for (const { metadata, spec } of neighbours) made.push(metadata.name, spec.voiceServiceRef.name)
  for (const { metadata } of services) made.push(metadata.name)
  made.push(...secrets)
  return made
}

function areSame(some: readonly unknown[], others: readonly unknown[]): boolean {
  return some.length === others.length && some.every((one, index) => one === others[index])
}

/** The API server has understood, and will not: no use in asking again soon. */
function isRefusal(error: unknown): error is ApiError {
  if (isUnknownField(error)) return true
  return error instanceof ApiError && [400, 403, 409, 413, 422].includes(error.code)
}

function wordsOf({ resource, manifest }: FleetObject, { status, reason }: ApiError): string {
  return `${resource.kind} ${manifest.metadata.name}: ${status.message ?? reason}`
}

function soonest(delays: readonly (number | undefined)[]): Outcome {
  const known = delays.filter((delay) => delay !== undefined)
  return known.length === 0 ? {} : { after: Math.min(...known) }
}
