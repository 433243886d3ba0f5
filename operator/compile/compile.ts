import { condition } from '#api/conditions.ts'
import type { FleetConfig, Resource, ResourceBody, Snapshot } from '#api/snapshot.ts'
import type { SipTrunk } from '#api/sip-trunk.ts'
import type { VoiceService } from '#api/voice-service.ts'
import { canonicalJson, contentHash } from '#lib/hash.ts'
import { didYouMean } from '#lib/nearest.ts'
import { stringifyWithSecrets } from '#lib/secret.ts'
import { Findings } from './check.ts'
import { checkEngine } from './engine.ts'
import { type LastGood, nextLastGood } from './last-good.ts'
import { compileListeners } from './listeners.ts'
import { compileMediaEngines } from './media-engines.ts'
import { Memory } from './memory.ts'
import { compileRoutes } from './routes.ts'
import { compileTrunks, type CompiledTrunk } from './trunks.ts'
import { sentence, verdict, type Verdict } from './verdict.ts'
import { fleetsOf, fullName, idOf, type Problem, type ResourceConditions, type ResourceId } from './world.ts'
import type { Resources, World } from './world.ts'

/** What compiling says: the conditions of each resource, and every problem with its field. */
export interface Verdicts {
  readonly conditions: readonly ResourceConditions[]
  readonly problems: readonly Problem[]
}

export interface Compiled extends Verdicts {
  readonly snapshot: Snapshot
  /** To be handed in the next time. */
  readonly lastGood: LastGood
}

/**
 * Compiles one fleet. Pure: equal input gives an equal snapshot with an equal revision, whatever the order of the input.
 * What is wrong says why in the conditions, and is left out or stays at its last good version; everything else goes on. A
 * memory of the last time makes it faster and nothing else.
 */
export function compile(world: World, memory = new Memory()): Compiled {
  const { voiceService } = world
  memory.begin(world)
  const findings = new Findings()
  const secrets = new Map(world.secrets.map((secret) => [secret.metadata.name, secret]))
  const { namespace } = voiceService.metadata
  const listeners = compileListeners(voiceService, { namespace, secrets }, findings)
  const trunks = compileTrunks(world, secrets, memory)
  const routes = compileRoutes(world, trunks, findings)
  checkEngine(world, findings)
  const service = idOf(voiceService)
  const resources = [
    ...listeners.map(({ value, field }) => resource(value, service, field)),
    ...trunks.flatMap(({ trunk, config }) =>
      config === undefined ? [] : [memory.resource(config, () => resource(config, idOf(trunk), 'spec'))],
    ),
    ...routes.map(({ config, field, generation }) => resource(config, { ...service, generation }, field)),
    ...compileMediaEngines(voiceService, findings).map(({ value, field }) => resource(value, service, field)),
    ...compileFleet(voiceService).map((config) => resource(config, service, 'spec.admission')),
  ].toSorted((a, b) => (a.key < b.key ? -1 : 1))
  return {
    snapshot: { fleet: fullName(voiceService), revision: revisionOf(resources), resources },
    lastGood: nextLastGood(world, trunks, routes),
    ...collect([verdict(service, findings.list, true), ...trunks.toSorted(byName)]),
  }
}

/** What holds for the fleet as a whole; nothing where nothing is asked for. */
function compileFleet({ metadata: { name }, spec: { admission } }: VoiceService): FleetConfig[] {
  return admission === undefined ? [] : [{ type: 'Fleet', name, admission }]
}

/**
 * Compiles every fleet there is. `strays` is what is said of trunks whose VoiceService does not exist. `before` is what the
 * fleets came to the last time.
 */
export function compileFleets(
  resources: Resources,
  before: readonly Compiled[] = [],
): {
  fleets: readonly (Compiled & { readonly world: World })[]
  strays: Verdicts
} {
  const { fleets, strays } = fleetsOf(resources)
  return {
    fleets: fleets.map((one) => {
      const lastGood = before.find(({ snapshot }) => snapshot.fleet === fullName(one.voiceService))?.lastGood
      const world = { ...one, lastGood }
      return { world, ...compile(world) }
    }),
    strays: collect(strays.map((trunk) => strayVerdict(trunk, resources))),
  }
}

function strayVerdict(trunk: SipTrunk, { voiceServices }: Resources): Verdict {
  const { namespace } = trunk.metadata
  const wanted = trunk.spec.voiceServiceRef.name
  const names = voiceServices.filter(({ metadata }) => metadata.namespace === namespace).map((one) => one.metadata.name)
  const elsewhere = voiceServices.find(({ metadata }) => metadata.name === wanted)
  const wayOut =
    didYouMean(wanted, names) ||
    (elsewhere
      ? `; there is ${fullName(elsewhere)}, but a trunk must be in the namespace of its VoiceService`
      : '; create it')
  const message = `VoiceService ${namespace}/${wanted} does not exist${wayOut}`
  const resource = idOf(trunk)
  const reason = 'VoiceServiceNotFound'
  return {
    problems: [
      { resource, field: 'spec.voiceServiceRef.name', message, missing: `VoiceService ${namespace}/${wanted}` },
    ],
    conditions: {
      resource,
      accepted: condition({ type: 'Accepted', status: 'False', reason, message: sentence(`Left out: ${message}`) }),
      resolvedRefs: condition({ type: 'ResolvedRefs', status: 'False', reason, message: sentence(message) }),
    },
  }
}

function resource(body: ResourceBody, origin: ResourceId, field: string): Resource {
  return { key: `${body.type}/${body.name}`, version: versionOf(body), origin: { ...origin, field }, body }
}

/** Hash of the content with secrets in the clear, so that a new password is a new version. */
function versionOf(body: ResourceBody): string {
  return contentHash(canonicalJson(JSON.parse(stringifyWithSecrets(body))))
}

function revisionOf(resources: readonly Resource[]): string {
  // No object is in it, so that it is canonical as it is.
  return contentHash(JSON.stringify(resources.map(({ key, version }) => [key, version])))
}

function collect(verdicts: readonly Verdict[]): Verdicts {
  return {
    conditions: verdicts.map(({ conditions }) => conditions),
    problems: verdicts.flatMap(({ problems }) => problems),
  }
}

function byName(a: CompiledTrunk, b: CompiledTrunk): number {
  return a.trunk.metadata.name < b.trunk.metadata.name ? -1 : 1
}
