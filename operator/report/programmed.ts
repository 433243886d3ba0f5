import { condition, type Condition } from '#api/conditions.ts'
import type { Resource, Snapshot } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import type { ReplicaState } from '../push/replica-state.ts'
import { listed } from './stamp.ts'

export interface ProgrammedInput {
  readonly kind: 'VoiceService' | 'SipTrunk'
  readonly name: string
  readonly generation: number
  readonly accepted: boolean
  /** Undefined when the fleet has nothing to run. */
  readonly snapshot: Snapshot | undefined
  /** Those that are connected. */
  readonly replicas: readonly ReplicaState[]
  readonly desired: number
}

export interface Programmed {
  readonly condition: Condition<'Programmed'>
  /** Replicas that run this generation, never more than are desired. */
  readonly count: number
}

/** Whether all replicas that there should be run everything that was made of one manifest. */
export function programmedOf(input: ProgrammedInput): Programmed {
  const { accepted, snapshot, generation, desired } = input
  if (!accepted || snapshot === undefined) {
    return failed(0, 'NotAccepted', 'Nothing is run, since the resource is not accepted.')
  }
  const replicas = input.replicas.filter(({ draining }) => !draining)
  if (desired === 0) return failed(0, 'NoReplicas', 'spec.replicas of the VoiceService is 0.')
  if (replicas.length === 0) return failed(0, 'NoReplicas', `None of ${desired} replicas is connected.`)

  const own = snapshot.resources.filter(({ origin }) => origin.kind === input.kind && origin.name === input.name)
  const listeners = listenersOf(own, snapshot)
  const verdicts = replicas.map((replica) => verdictOf(replica, own, listeners, input.kind, snapshot))
  const running = verdicts.filter(({ runs }) => runs).length
  const refusals = verdicts.flatMap(({ refusal }) => refusal ?? [])
  const count = Math.min(running, desired)
  const summary = `${count}/${desired} replicas run generation ${generation}`
  if (refusals.length > 0) return failed(count, 'RejectedByDataplane', `${summary}; ${listed(refusals, 3)}`)
  if (count === desired) {
    return {
      count,
      condition: condition({ type: 'Programmed', status: 'True', reason: 'Programmed', message: `${summary}.` }),
    }
  }
  const waiting = verdicts.filter(({ runs }) => !runs).map(({ replica }) => `${replica} has not acknowledged it`)
  if (replicas.length < desired) waiting.push(`${desired - replicas.length} not connected`)
  return failed(count, 'Pending', `${summary}; ${listed(waiting, 3)}`)
}

/** The listeners that the requests of a trunk leave from: without one of them, in whatever version, it is of no use. */
function listenersOf(own: readonly Resource[], snapshot: Snapshot): Resource[] {
  const names = new Set(
    own.flatMap(({ body }) => (body.type === 'Trunk' ? body.targets.map(({ listener }) => listener) : [])),
  )
  return snapshot.resources.filter(({ body }) => body.type === 'Listener' && names.has(body.name))
}

interface Verdict {
  readonly replica: string
  readonly runs: boolean
  readonly refusal?: string
}

function verdictOf(
  replica: ReplicaState,
  own: readonly Resource[],
  listeners: readonly Resource[],
  kind: ProgrammedInput['kind'],
  snapshot: Snapshot,
): Verdict {
  const name = replica.replica
  const runs =
    own.every(({ key, version }) => replica.versions.get(key) === version) &&
    listeners.every(({ key }) => replica.versions.has(key)) &&
    (kind === 'SipTrunk' || !hasLeftovers(replica, snapshot))
  if (runs) return { replica: name, runs }
  if (replica.refused !== undefined) {
    return { replica: name, runs, refusal: `${name}: refused the whole configuration (${replica.refused})` }
  }
  for (const resource of [...own, ...listeners]) {
    const error = replica.errors.find(({ key, version }) => key === resource.key && version === resource.version)
    if (error !== undefined) return { replica: name, runs, refusal: `${name}: ${refusalOf(kind, resource, error)}` }
  }
  return { replica: name, runs }
}

/** Something of the VoiceService that is no longer in the snapshot is still run. */
function hasLeftovers(replica: ReplicaState, snapshot: Snapshot): boolean {
  const keys = new Set<string>(snapshot.resources.map(({ key }) => key))
  for (const key of replica.versions.keys()) if (!key.startsWith('Trunk/') && !keys.has(key)) return true
  return false
}

/** The field in the manifest: where the resource comes from, named when it is another one, and the field inside it. */
function refusalOf(kind: ProgrammedInput['kind'], { origin }: Resource, error: ResourceError): string {
  const inside = error.field.replace(/^body\b\.?/, '')
  const field = inside === '' ? origin.field : `${origin.field}.${inside}`
  return `${origin.kind === kind ? '' : `${origin.kind} ${origin.name} `}${field}: ${error.message}`
}

function failed(
  count: number,
  reason: 'NotAccepted' | 'NoReplicas' | 'RejectedByDataplane' | 'Pending',
  message: string,
): Programmed {
  return { count, condition: condition({ type: 'Programmed', status: 'False', reason, message }) }
}
