import type { SipTrunkStatus } from '#api/sip-trunk.ts'
import type { VoiceServiceStatus } from '#api/voice-service.ts'
import type { Compiled, Verdicts } from '../operator/compile/compile.ts'
import { fullName, type World } from '../operator/compile/world.ts'
import type { ReplicaState } from '../operator/push/replica-state.ts'
import { statusOf, strayTrunkStatus } from '../operator/report/status-of.ts'
import { placeProblems } from './check.ts'
import type { Known } from './generations.ts'
import { formatProblem, type Manifests, placeOf, resourceName, type ManifestProblem } from './manifests/manifests.ts'
import type { StatusDocument } from './status-files.ts'
import type { Row, View } from './table.ts'

export type CompiledFleet = Compiled & { readonly world: World }

/** What was read and compiled last. */
export interface Compilation {
  readonly manifests: Manifests
  readonly known: ReadonlyMap<string, Known>
  readonly fleets: readonly CompiledFleet[]
  readonly strays: Verdicts & { readonly trunks: World['trunks'] }
}

type Previous = ReadonlyMap<string, VoiceServiceStatus | SipTrunkStatus>

/**
 * The status of every resource as it is now: from what was compiled, from what the replicas answered and reported, and
 * from the status before, by the name of the resource, for its transition times.
 */
export function documentsOf(
  compilation: Compilation,
  replicasOf: (fleet: string) => readonly ReplicaState[],
  previous: Previous,
  now: number,
): StatusDocument[] {
  const fleets = compilation.fleets.flatMap((fleet) => {
    const { voiceService, trunks } = fleet.world
    const statuses = statusOf({
      voiceService: {
        resource: voiceService,
        ...conditionsOf(fleet, voiceService),
        ...before<VoiceServiceStatus>(previous, voiceService),
      },
      trunks: trunks.map((trunk) => ({
        resource: trunk,
        ...conditionsOf(fleet, trunk),
        ...before<SipTrunkStatus>(previous, trunk),
      })),
      snapshot: fleet.snapshot,
      replicas: replicasOf(fleet.snapshot.fleet),
      now,
    })
    return [
      document(compilation.known, voiceService, statuses.voiceService),
      ...trunks.flatMap((trunk) => {
        const status = statuses.trunks.get(trunk.metadata.name)
        return status === undefined ? [] : [document(compilation.known, trunk, status)]
      }),
    ]
  })
  const strays = compilation.strays.trunks.map((trunk) => {
    const stray = {
      resource: trunk,
      ...conditionsOf(compilation.strays, trunk),
      ...before<SipTrunkStatus>(previous, trunk),
    }
    return document(compilation.known, trunk, strayTrunkStatus(stray, now))
  })
  return [...fleets, ...strays]
}

/** What there is to show: the statuses, and what is wrong with its place in the files. */
export function viewOf(
  compilation: Compilation,
  documents: readonly StatusDocument[],
  replicasOf: (fleet: string) => readonly ReplicaState[],
): View {
  const { manifests, fleets, strays } = compilation
  const compiled = [...fleets, strays].flatMap(({ problems }) => problems)
  const problems = [
    ...manifests.problems,
    ...placeProblems(manifests, compiled),
    ...fleets.flatMap((fleet) => refusals(manifests, fleet, replicasOf(fleet.snapshot.fleet))),
  ]
  return {
    fleets: rows<VoiceServiceStatus>(documents, 'VoiceService'),
    trunks: rows<SipTrunkStatus>(documents, 'SipTrunk'),
    problems: [...new Set(problems.map(formatProblem))],
  }
}

/** What replicas refused, each with the place of the field in the files. */
function refusals(
  manifests: Manifests,
  { snapshot }: CompiledFleet,
  replicas: readonly ReplicaState[],
): ManifestProblem[] {
  const origins = new Map(snapshot.resources.map(({ key, version, origin }) => [`${key} ${version}`, origin]))
  return replicas.flatMap(({ replica, errors }) =>
    errors.flatMap(({ key, version, field, message }) => {
      const origin = origins.get(`${key} ${version}`)
      if (origin === undefined) return []
      const inside = field.replace(/^body\b\.?/, '')
      const path = inside === '' ? origin.field : `${origin.field}.${inside}`
      const place = placeOf(manifests, origin, path)
      const resource = resourceName(origin.kind, origin.namespace, origin.name)
      return place === undefined ? [] : [{ ...place, resource, field: path, message: `${replica}: ${message}` }]
    }),
  )
}

function rows<Status>(documents: readonly StatusDocument[], kind: StatusDocument['kind']): Row<Status>[] {
  return documents
    .filter((one) => one.kind === kind)
    .map(({ namespace, name, createdAt, status }) => ({
      name: `${namespace}/${name}`,
      createdAt,
      status: status as Status,
    }))
}

type FleetResource = World['voiceService'] | World['trunks'][number]

function document(
  known: ReadonlyMap<string, Known>,
  resource: FleetResource,
  status: VoiceServiceStatus | SipTrunkStatus,
): StatusDocument {
  const { namespace, name, generation = 0 } = resource.metadata
  const createdAt = known.get(resourceName(resource.kind, namespace, name))?.createdAt ?? 0
  return { kind: resource.kind, namespace, name, generation, createdAt, status }
}

function conditionsOf({ conditions }: Verdicts, { kind, metadata }: FleetResource) {
  const found = conditions.find(
    ({ resource }) =>
      resource.kind === kind && resource.namespace === metadata.namespace && resource.name === metadata.name,
  )
  if (found === undefined) throw new Error(`compiling said nothing of ${kind} ${fullName({ metadata })}`)
  return { accepted: found.accepted, resolvedRefs: found.resolvedRefs }
}

function before<S>(previous: Previous, { kind, metadata }: FleetResource): { previous?: S } {
  const status = previous.get(resourceName(kind, metadata.namespace, metadata.name))
  return status === undefined ? {} : { previous: status as S }
}
