import { condition, type Condition } from '#api/conditions.ts'
import { lacksCertificates, type Resource, type Snapshot } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import type { ReplicaState } from '../push/replica-state.ts'
import { listed } from './stamp.ts'

/** A manifest of the fleet. */
export interface Programmable {
  readonly kind: 'VoiceService' | 'SipTrunk'
  readonly name: string
  readonly generation: number
  readonly accepted: boolean
}

export interface Programmed {
  readonly condition: Condition<'Programmed'>
  /** Replicas that run this generation, never more than are desired. */
  readonly count: number
}

/** What a fleet is to run and what its replicas do run, laid out once for all of its manifests. */
export interface Rollout {
  /** Undefined when the fleet has nothing to run. */
  readonly snapshot: Snapshot | undefined
  readonly desired: number
  /** Those that are connected and stay. */
  readonly replicas: readonly ReplicaState[]
  /** What they run. Those that took the same without objection share one map. */
  readonly running: readonly ReplicaState['versions'][]
  /** By kind, then by name, of the manifest they come from. */
  readonly byOrigin: Readonly<Record<Programmable['kind'], ReadonlyMap<string, readonly Resource[]>>>
  readonly listeners: ReadonlyMap<string, Resource>
  /** Of everything of the VoiceService that there is to run. */
  readonly keys: ReadonlySet<string>
  /** What is said of a generation that all replicas run: the same of almost all trunks. */
  readonly complete: Map<number, Programmed>
}

/** `replicas` are those that are connected. */
export function rolloutOf(snapshot: Snapshot | undefined, replicas: readonly ReplicaState[], desired: number): Rollout {
  const byOrigin = { VoiceService: new Map<string, Resource[]>(), SipTrunk: new Map<string, Resource[]>() }
  const listeners = new Map<string, Resource>()
  const keys = new Set<string>()
  for (const resource of snapshot?.resources ?? []) {
    const { origin, body, key } = resource
    const known = byOrigin[origin.kind].get(origin.name)
    if (known === undefined) byOrigin[origin.kind].set(origin.name, [resource])
    else known.push(resource)
    if (body.type === 'Listener') listeners.set(body.name, resource)
    if (body.type !== 'Trunk') keys.add(key)
  }
  const staying = replicas.filter(({ draining }) => !draining)
  return {
    snapshot,
    desired,
    replicas: staying,
    running: [...new Set(staying.map(({ versions }) => versions))],
    byOrigin,
    listeners,
    keys,
    complete: new Map(),
  }
}

/** Whether all replicas that there should be run everything that was made of one manifest. */
export function programmedOf(manifest: Programmable, rollout: Rollout): Programmed {
  const { generation } = manifest
  const { snapshot, desired, replicas } = rollout
  if (!manifest.accepted || snapshot === undefined) {
    return failed(0, 'NotAccepted', 'This generation is not run, since it is not accepted.')
  }
  if (desired === 0) return scaledToZero
  if (replicas.length === 0) return failed(0, 'NoReplicas', `None of ${desired} replicas is connected.`)

  const own = rollout.byOrigin[manifest.kind].get(manifest.name) ?? []
  const needed: Needed = { kind: manifest.kind, own, listeners: rollout.listeners, keys: rollout.keys }
  const without = replicasWithout(needed, rollout)
  if (without.length === 0 && replicas.length >= desired) return completeOf(generation, rollout)
  const refusals = without.flatMap((replica) => refusalBy(replica, needed) ?? [])
  const count = Math.min(replicas.length - without.length, desired)
  const summary = `${count}/${desired} replicas run generation ${generation}`
  if (refusals.length > 0) return failed(count, 'RejectedByDataplane', `${summary}; ${listed(refusals, 3)}`)
  if (count === desired) return completeOf(generation, rollout)
  const lacking = [...own, ...listenersOf(needed)].filter(({ body }) => lacksCertificates(body))
  const waiting = lacking.length === 0 ? without.map(({ replica }) => `${replica} has not acknowledged it`) : []
  waiting.unshift(...new Set(lacking.map((resource) => `${placeOf(manifest.kind, resource)} waits for its Secret`)))
  if (replicas.length < desired) waiting.push(`${desired - replicas.length} not connected`)
  return failed(count, 'Pending', `${summary}; ${listed(waiting, 3)}`)
}

/** As of a Deployment without replicas: nothing is on its way, and nobody may wait for it. */
const scaledToZero: Programmed = {
  count: 0,
  condition: condition({
    type: 'Programmed',
    status: 'True',
    reason: 'ScaledToZero',
    message: 'No replica is wanted, since spec.replicas of the VoiceService is 0; no call is taken.',
  }),
}

function completeOf(generation: number, { desired, complete }: Rollout): Programmed {
  const known = complete.get(generation)
  if (known !== undefined) return known
  const message = `${desired}/${desired} replicas run generation ${generation}.`
  const programmed: Programmed = {
    count: desired,
    condition: condition({ type: 'Programmed', status: 'True', reason: 'Programmed', message }),
  }
  complete.set(generation, programmed)
  return programmed
}

/** What a replica must run for a manifest. */
interface Needed {
  readonly kind: Programmable['kind']
  readonly own: readonly Resource[]
  /** By name: the requests of a trunk leave from some of them, and without one of those, in whatever version, it is of no use. */
  readonly listeners: Rollout['listeners']
  readonly keys: Rollout['keys']
}

function listenersOf({ own, listeners }: Needed): Resource[] {
  const names = new Set(
    own.flatMap(({ body }) => (body.type === 'Trunk' ? body.targets.map(({ listener }) => listener) : [])),
  )
  return [...names].flatMap((name) => listeners.get(name) ?? [])
}

function replicasWithout(needed: Needed, { replicas, running }: Rollout): readonly ReplicaState[] {
  const lacking = running.filter((versions) => !isRun(needed, versions))
  return lacking.length === 0 ? [] : replicas.filter(({ versions }) => lacking.includes(versions))
}

/** Asked of every trunk for every map of versions, whatever has changed. */
function isRun({ kind, own, listeners, keys }: Needed, versions: ReplicaState['versions']): boolean {
  for (const { key, version, body } of own) {
    if (versions.get(key) !== version) return false
    if (body.type !== 'Trunk') continue
    for (const { listener } of body.targets) {
      const resource = listeners.get(listener)
      if (resource !== undefined && !versions.has(resource.key)) return false
    }
  }
  return kind === 'SipTrunk' || !hasLeftovers(versions, keys)
}

function refusalBy({ replica, refused, errors }: ReplicaState, needed: Needed): string | undefined {
  if (refused !== undefined) return `${replica}: refused the whole configuration (${refused})`
  if (errors.length === 0) return undefined
  for (const resource of [...needed.own, ...listenersOf(needed)]) {
    // What waits for a Secret was sent to be refused.
    if (lacksCertificates(resource.body)) continue
    const error = errors.find(({ key, version }) => key === resource.key && version === resource.version)
    if (error !== undefined) return `${replica}: ${refusalOf(needed.kind, resource, error)}`
  }
  return undefined
}

/** Something of the VoiceService that is no longer in the snapshot is still run. */
function hasLeftovers(versions: ReplicaState['versions'], keys: ReadonlySet<string>): boolean {
  for (const key of versions.keys()) if (!key.startsWith('Trunk/') && !keys.has(key)) return true
  return false
}

/** The field in the manifest: where the resource comes from, and the field inside it. */
function refusalOf(kind: Programmable['kind'], resource: Resource, error: ResourceError): string {
  const inside = error.field.replace(/^body\b\.?/, '')
  return `${placeOf(kind, resource)}${inside === '' ? '' : `.${inside}`}: ${error.message}`
}

/** Where a resource comes from, named when it is another manifest. */
function placeOf(kind: Programmable['kind'], { origin }: Resource): string {
  return `${origin.kind === kind ? '' : `${origin.kind} ${origin.name} `}${origin.field}`
}

function failed(
  count: number,
  reason: 'NotAccepted' | 'NoReplicas' | 'RejectedByDataplane' | 'Pending',
  message: string,
): Programmed {
  return { count, condition: condition({ type: 'Programmed', status: 'False', reason, message }) }
}
