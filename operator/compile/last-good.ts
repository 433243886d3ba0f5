import type { SipTrunk } from '#api/sip-trunk.ts'
import type { Route, VoiceService } from '#api/voice-service.ts'
import { canonicalJson } from '#lib/hash.ts'
import type { CompiledRoute } from './routes.ts'
import type { CompiledTrunk } from './trunks.ts'
import type { World } from './world.ts'

/** A route as it stood in a generation of its VoiceService. */
export interface GoodRoute {
  readonly route: Route
  readonly generation: number
}

/**
 * The manifests of a fleet as they were when nothing was wrong with them. They are compiled in the place of what has turned
 * invalid, in the world of today: what they refer to must still be there.
 */
export interface LastGood {
  readonly voiceService: VoiceService
  /** By name. */
  readonly trunks: ReadonlyMap<string, SipTrunk>
  /** By name. */
  readonly routes: ReadonlyMap<string, GoodRoute>
}

/** A manifest as far as it can be read. */
export interface Unread {
  readonly metadata: { readonly name: string; readonly uid?: unknown }
  readonly spec?: unknown
}

/** What is to be compiled in the place of an invalid trunk; undefined when nothing else is known of it. */
export function goodTrunk(trunk: Unread, good: SipTrunk | undefined): SipTrunk | undefined {
  if (good === undefined || good === trunk || !isSameObject(good, trunk)) return undefined
  return canonicalJson(good.spec) === canonicalJson(trunk.spec) ? undefined : good
}

/** What is to be compiled in the place of an invalid route; undefined when nothing else is known of it. */
export function goodRoute(
  route: Route,
  { voiceService, lastGood }: Pick<World, 'voiceService' | 'lastGood'>,
): GoodRoute | undefined {
  if (lastGood === undefined || !isSameObject(lastGood.voiceService, voiceService)) return undefined
  const good = lastGood.routes.get(route.name)
  if (good === undefined || good.route === route) return undefined
  return canonicalJson(good.route) === canonicalJson(route) ? undefined : good
}

/** What is good now, and what was where nothing better has come. What is no longer there is forgotten. */
export function nextLastGood(
  { voiceService, lastGood }: World,
  trunks: readonly CompiledTrunk[],
  routes: readonly CompiledRoute[],
): LastGood {
  const before = lastGood !== undefined && isSameObject(lastGood.voiceService, voiceService) ? lastGood : undefined
  const goodTrunks = new Map<string, SipTrunk>()
  for (const { trunk, isGood } of trunks) {
    const { name } = trunk.metadata
    const known = before?.trunks.get(name)
    if (isGood) goodTrunks.set(name, trunk)
    else if (known !== undefined && isSameObject(known, trunk)) goodTrunks.set(name, known)
  }
  const compiled = new Map(routes.map((one) => [one.config.name, one.good]))
  const goodRoutes = new Map<string, GoodRoute>()
  for (const { name } of voiceService.spec.routes) {
    const good = compiled.get(name) ?? before?.routes.get(name)
    if (good !== undefined) goodRoutes.set(name, good)
  }
  return { voiceService, trunks: goodTrunks, routes: goodRoutes }
}

/**
 * Of two memories of one fleet the newer one, trunk by trunk and route by route; where they are of one generation, the first.
 * The second is of objects that are there.
 */
export function newerOf(one: LastGood | undefined, other: LastGood): LastGood {
  if (one === undefined) return other
  const trunks = new Map(one.trunks)
  for (const [name, trunk] of other.trunks) {
    const known = trunks.get(name)
    if (known === undefined || !isSameObject(known, trunk) || isNewer(trunk, known)) trunks.set(name, trunk)
  }
  const routes = new Map(isSameObject(one.voiceService, other.voiceService) ? one.routes : [])
  for (const [name, route] of other.routes) {
    const known = routes.get(name)
    if (known === undefined || route.generation > known.generation) routes.set(name, route)
  }
  return { voiceService: other.voiceService, trunks, routes }
}

function isNewer({ metadata: one }: SipTrunk, { metadata: other }: SipTrunk): boolean {
  return (one.generation ?? 0) > (other.generation ?? 0)
}

/** Whether it is the object that it was, and not another one that was given its name. */
function isSameObject(one: Unread, other: Unread): boolean {
  return one.metadata.uid === other.metadata.uid
}
