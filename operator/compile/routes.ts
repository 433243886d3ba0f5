import { answersHere, moreRestrictive } from '#api/session-behaviour.ts'
import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { SipTrunk } from '#api/sip-trunk.ts'
import type { RouteConfig } from '#api/snapshot.ts'
import type { Route, RouteTarget, VoiceService } from '#api/voice-service.ts'
import { canonicalJson } from '#lib/hash.ts'
import { didYouMean } from '#lib/nearest.ts'
import { type Check, Findings, isFault, type Part, placed, type Placed } from './check.ts'
import { type GoodRoute, goodRoute } from './last-good.ts'
import { patternProblem } from './patterns.ts'
import { engineBehaviour, resolveBehaviour } from './resolve-behaviour.ts'
import type { CompiledTrunk } from './trunks.ts'
import { fullName, type World } from './world.ts'

/** What routes are checked against. */
interface RouteContext {
  readonly voiceService: VoiceService
  /** Every trunk that refers to the VoiceService, by name. */
  readonly trunks: ReadonlyMap<string, CompiledTrunk>
  /** VoiceServices of the other trunks in the namespace, by the name of the trunk. */
  readonly neighbours: ReadonlyMap<string, string>
}

/** A route with the parts that passed, before it is checked as a whole. */
interface SiftedRoute {
  readonly route: Route
  readonly callers: readonly Placed<string>[] | undefined
  readonly targets: readonly Placed<RouteTarget>[]
  /** Equal for routes that match the same calls. */
  readonly matching: string
  /** Generation of the last good one, when it is that. */
  readonly kept: number | undefined
}

type CallerPart = Part<string, RouteContext>
type TargetPart = Part<RouteTarget, RouteContext>
type RoutePart = Part<SiftedRoute, RouteContext>

/** There is a cause for it, with a finding of its own. */
const follows = true

const callerChecks: readonly Check<CallerPart>[] = [
  callerIsUsable, // a route may not wait for calls from the void
]

const targetChecks: readonly Check<TargetPart>[] = [
  targetIsUsable, // a route may not point into the void
  targetIsNew, // hunting tries each trunk once
]

const routeChecks: readonly Check<RoutePart>[] = [
  calledPatternCompiles, // without its pattern the route would take other calls
  callingPatternCompiles,
  hasCaller, // without its callers the route would take calls of every trunk
  hasTarget, // a route without a target ends calls that another route could take
  isReachable, // one that is never taken is a mistake in the dial plan
]

const behaviourChecks: readonly Check<RouteBehaviour>[] = [
  answersHaveMedia, // offers cannot be answered here where media is not
  earlyAnswersHaveMedia, // nor can those before the call is answered
]

/** What a route makes of its calls, from each caller to each target. */
interface RouteBehaviour {
  readonly route: Route
  readonly config: RouteConfig
  /** All of the fleet. */
  readonly trunks: readonly CompiledTrunk[]
}

export interface CompiledRoute {
  readonly config: RouteConfig
  readonly field: string
  /** Generation of the VoiceService that it stands in. */
  readonly generation: number
  /** Set when nothing is wrong with it. */
  readonly good?: GoodRoute
}

/** A route of the VoiceService, or the last good one in its place. */
interface Candidate {
  readonly route: Route
  readonly field: string
  /** Of the last good one. */
  readonly kept?: number
  /** What is wrong with the route that the last good one stands for, or was tried for. */
  readonly faults?: Findings['list']
}

/** A bad route never replaces a good one: of a route that has turned invalid, the last good version is used. */
export function compileRoutes(world: World, trunks: readonly CompiledTrunk[], findings: Findings): CompiledRoute[] {
  const asked = placed(world.voiceService.spec.routes, 'spec.routes').map(({ value, field }) => ({
    route: value,
    field,
  }))
  let candidates: readonly Candidate[] = asked
  for (;;) {
    const found = new Findings()
    const compiled = compileCandidates(candidates, world, trunks, found)
    const next = candidates.map((candidate, index) =>
      nextCandidate(candidate, asked[index], { world, found, compiled }),
    )
    if (next.every((one, index) => one === candidates[index])) {
      findings.list.push(...candidates.flatMap((one) => findingsOf(one, found, compiled)))
      return compiled
    }
    candidates = next
  }
}

/** The same as long as nothing is wrong with it, or nothing better is known. */
function nextCandidate(
  candidate: Candidate,
  asked: Pick<Candidate, 'route' | 'field'> | undefined,
  { world, found, compiled }: { world: World; found: Findings; compiled: readonly CompiledRoute[] },
): Candidate {
  const { field, kept, faults } = candidate
  if (kept !== undefined) {
    // Where the last good one has had its day, what can be used of the other is better than nothing.
    if (asked === undefined || faults === undefined || compiled.some((one) => one.field === field)) return candidate
    return { ...asked, faults }
  }
  const own = faults === undefined ? below(field, found) : []
  const good = own.some(isFault) ? goodRoute(candidate.route, world) : undefined
  return good === undefined ? candidate : { route: good.route, field, kept: good.generation, faults: own }
}

/** What would be wrong with a last good route is not what its manifest has to be mended for. */
function findingsOf(
  { field, kept, faults = [] }: Candidate,
  found: Findings,
  compiled: readonly CompiledRoute[],
): Findings['list'] {
  if (kept === undefined || !compiled.some((one) => one.field === field)) return below(field, found)
  return faults.map((fault) => ({
    ...fault,
    message: `${fault.message}; the last good route, of generation ${kept}, goes on`,
  }))
}

function below(field: string, { list }: Findings): Findings['list'] {
  return list.filter((one) => one.field.startsWith(`${field}.`))
}

function compileCandidates(
  candidates: readonly Candidate[],
  { voiceService, neighbours }: World,
  trunks: readonly CompiledTrunk[],
  findings: Findings,
): CompiledRoute[] {
  const context: RouteContext = {
    voiceService,
    trunks: new Map(trunks.map((one) => [one.trunk.metadata.name, one])),
    neighbours: new Map(neighbours?.map(({ metadata, spec }) => [metadata.name, spec.voiceServiceRef.name])),
  }
  const sifted = candidates.map(({ route, field, kept }) => ({
    value: { ...siftRoute(route, field, context, findings), kept },
    field,
  }))
  // Of two routes with one match the first in order of choice hides the other, wherever they stand in the list. What was
  // kept hides nothing of today.
  const inOrder = sifted.toSorted(
    ({ value: a }, { value: b }) =>
      Number(a.kept !== undefined) - Number(b.kept !== undefined) || byChoice(a.route, b.route),
  )
  return findings.sift(inOrder, context, routeChecks).map(({ value, field }) => {
    const config = routeConfig(value, context)
    findings.passes({ route: value.route, config, trunks }, `${field}.sip`, behaviourChecks)
    const generation = value.kept ?? voiceService.metadata.generation ?? 0
    const isGood = value.kept !== undefined || !below(field, findings).some(isFault)
    return { field, config, generation, ...(isGood && { good: { route: value.route, generation } }) }
  })
}

function siftRoute(route: Route, field: string, context: RouteContext, findings: Findings): Omit<SiftedRoute, 'kept'> {
  const { trunks, calledPattern, callingPattern } = route.match
  const callers = trunks && findings.sift(placed(trunks, `${field}.match.trunks`), context, callerChecks)
  const targets = findings.sift(placed(route.targets, `${field}.targets`), context, targetChecks)
  const names = callers?.map(({ value }) => value).toSorted()
  return { route, callers, targets, matching: canonicalJson({ names, calledPattern, callingPattern }) }
}

function routeConfig({ route, callers, targets }: SiftedRoute, { voiceService, trunks }: RouteContext): RouteConfig {
  const { calledPattern, callingPattern } = route.match
  const names = callers?.map(({ value }) => value)
  const behaviour = (trunk: SipTrunk | undefined) =>
    resolveBehaviour(engineBehaviour(voiceService), route.sip, trunk?.spec.sip, voiceService.spec.sip)
  return {
    type: 'Route',
    name: route.name,
    match: {
      ...(names !== undefined && { trunks: names }),
      ...(calledPattern !== undefined && { calledPattern }),
      ...(callingPattern !== undefined && { callingPattern }),
    },
    priority: route.priority,
    targets: targets.map(({ value: { trunkRef, priority, weight } }) => ({
      trunk: trunkRef.name,
      priority,
      weight,
      sip: behaviour(trunks.get(trunkRef.name)?.trunk),
    })),
    inbound: route.sip === undefined ? {} : inboundBehaviour(names, trunks, behaviour),
  }
}

/** Only what differs from the trunk's own, so that a large dial plan does not repeat every trunk in every route. */
function inboundBehaviour(
  names: readonly string[] | undefined,
  trunks: RouteContext['trunks'],
  behaviour: (trunk: SipTrunk) => ResolvedSipBehaviour,
): RouteConfig['inbound'] {
  const inbound: RouteConfig['inbound'] = {}
  for (const { trunk, config } of trunks.values()) {
    if (config === undefined || names?.includes(config.name) === false) continue
    const sip = behaviour(trunk)
    if (canonicalJson(sip) !== canonicalJson(config.sip)) inbound[config.name] = sip
  }
  return inbound
}

function callerIsUsable({ value, context }: CallerPart) {
  return trunkProblem(value, context)
}

function targetIsUsable({ value, context }: TargetPart) {
  const finding = trunkProblem(value.trunkRef.name, context)
  return finding && { ...finding, field: 'trunkRef.name' }
}

function trunkProblem(name: string, { voiceService, trunks, neighbours }: RouteContext) {
  const { namespace } = voiceService.metadata
  const found = trunks.get(name)
  if (found?.config !== undefined) return undefined
  if (found !== undefined) {
    const message = `SipTrunk ${namespace}/${name} is left out itself; see its condition Accepted`
    return { unresolved: 'TrunkNotAccepted', message } as const
  }
  const unresolved = 'TrunkNotFound'
  const fleet = fullName(voiceService)
  const other = neighbours.get(name)
  if (other !== undefined) {
    const message = `SipTrunk ${namespace}/${name} belongs to VoiceService ${namespace}/${other}, not to ${fleet}; routes stay within their fleet`
    return { unresolved, message } as const
  }
  const wayOut = didYouMean(name, trunks.keys()) || '; create it there, with voiceServiceRef to this VoiceService'
  return {
    unresolved,
    missing: `SipTrunk ${namespace}/${name}`,
    message: `VoiceService ${fleet} has no SipTrunk ${namespace}/${name}${wayOut}`,
  } as const
}

function targetIsNew({ value, earlier }: TargetPart) {
  const same = earlier.find((other) => other.value.trunkRef.name === value.trunkRef.name)
  if (same === undefined) return undefined
  return { message: `SipTrunk ${value.trunkRef.name} is already ${same.field}; remove one of them` }
}

function calledPatternCompiles({ value: { route } }: RoutePart) {
  return patternFinding('calledPattern', route.match.calledPattern)
}

function callingPatternCompiles({ value: { route } }: RoutePart) {
  return patternFinding('callingPattern', route.match.callingPattern)
}

function patternFinding(field: 'calledPattern' | 'callingPattern', pattern: string | undefined) {
  const message = pattern === undefined ? undefined : patternProblem(pattern)
  return message === undefined ? undefined : { field: `match.${field}`, message }
}

function hasCaller({ value: { callers } }: RoutePart) {
  if (callers === undefined || callers.length > 0) return undefined
  return { field: 'match.trunks', message: 'none of these trunks can call; the route is left out', follows } as const
}

function hasTarget({ value: { targets } }: RoutePart) {
  return targets.length > 0
    ? undefined
    : ({ field: 'targets', message: 'no target is left; the route is left out', follows } as const)
}

function isReachable({ value, earlier }: RoutePart) {
  const hiding = earlier.find((other) => other.value.matching === value.matching)
  if (hiding === undefined) return undefined
  const { name, priority } = hiding.value.route
  return {
    field: 'match',
    message: `never taken: route "${name}" (priority ${priority}) matches the same calls and comes first; change one match, or put the targets of both into one route`,
  }
}

/** What trunks make of calls without the route, they say themselves. */
function answersHaveMedia({ route: { sip }, config, trunks }: RouteBehaviour) {
  if (sip?.midcall?.mode === undefined && sip?.media?.mode === undefined) return undefined
  for (const { caller, target, inbound, outbound } of callsWithoutMedia(config, trunks)) {
    const mode = moreRestrictive(inbound.midcall.mode, outbound.midcall.mode)
    if (!answersHere(mode)) continue
    return {
      field: sip.midcall?.mode === undefined ? 'media.mode' : 'midcall.mode',
      message: `${mode} answers offers inside a call in the name of the other peer, which needs media.mode Anchor; calls from ${caller} to ${target} have Bypass, so that every one that changes something gets 488; set sip.media.mode Anchor here or on one of the trunks`,
    }
  }
  return undefined
}

function earlyAnswersHaveMedia({ route: { sip }, config, trunks }: RouteBehaviour) {
  if (sip?.update?.early === undefined && sip?.media?.mode === undefined) return undefined
  for (const { caller, target, inbound, outbound } of callsWithoutMedia(config, trunks)) {
    const mode = [inbound.update.early, outbound.update.early].find((early) => early !== 'PassThrough')
    if (mode === undefined) continue
    return {
      field: sip.update?.early === undefined ? 'media.mode' : 'update.early',
      message: `${mode} answers offers before the call is up in the name of the other peer, which needs media.mode Anchor; calls from ${caller} to ${target} have Bypass, so that every one gets 488; set sip.media.mode Anchor here or on one of the trunks`,
    }
  }
  return undefined
}

/** The calls of a route whose media goes around the fleet, with the behaviour towards the caller and the target. */
function* callsWithoutMedia({ match, inbound, targets }: RouteConfig, trunks: readonly CompiledTrunk[]) {
  for (const { config: caller } of trunks) {
    if (caller === undefined || match.trunks?.includes(caller.name) === false) continue
    const towardsCaller = inbound[caller.name] ?? caller.sip
    for (const { trunk: target, sip: outbound } of targets) {
      if (towardsCaller.media.mode === 'Anchor' || outbound.media.mode === 'Anchor') continue
      yield { caller: caller.name, target, inbound: towardsCaller, outbound }
    }
  }
}

function byChoice(a: Route, b: Route): number {
  return a.priority - b.priority || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
}
