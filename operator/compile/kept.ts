import { LastGoodRoutes, LastGoodTrunk } from '#api/last-good.ts'
import { SipTrunk } from '#api/sip-trunk.ts'
import { apiVersion, Route, type VoiceService } from '#api/voice-service.ts'
import { type GoodRoute, goodRoute, goodTrunk, type LastGood, type Unread } from './last-good.ts'

/**
 * The last good manifests of what has turned invalid, as the statuses keep them for an operator that has not seen them:
 * one that starts, or takes the lead.
 */

/** What one object may come to, in bytes: etcd takes 1.5 MiB, and conditions and states stand in the status, too. */
const mostBytes = 1_400_000

/** An object of the API server, readable or not. */
interface Stored {
  readonly metadata: { readonly name: string; readonly uid?: string; readonly generation?: number | undefined }
  readonly status?: unknown
}

/** What the status of a trunk has to keep; undefined while the trunk is good, and where it would not fit. */
export function keptTrunk(trunk: Unread, lastGood: SipTrunk | undefined): LastGoodTrunk | undefined {
  const good = goodTrunk(trunk, lastGood)
  const { uid } = trunk.metadata
  if (good === undefined || typeof uid !== 'string' || bytesOf(good.spec) > roomBeside(trunk)) return undefined
  return { uid, generation: good.metadata.generation ?? 0, spec: good.spec }
}

/** What the status of a VoiceService has to keep; undefined while all its routes are good. What does not fit is left out. */
export function keptRoutes(voiceService: VoiceService, lastGood: LastGood): LastGoodRoutes | undefined {
  const { uid } = voiceService.metadata
  if (typeof uid !== 'string') return undefined
  const good = voiceService.spec.routes.flatMap((route) => goodRoute(route, { voiceService, lastGood }) ?? [])
  if (good.length === 0) return undefined
  let room = roomBeside(voiceService)
  const routes = good.filter(({ route }) => (room -= bytesOf(route)) >= 0)
  return routes.length === 0
    ? undefined
    : { uid, routes: routes.map(({ generation, route }) => ({ generation, route })) }
}

/**
 * Reads back what the statuses of a fleet keep. Whoever may write a status may have written it: it counts only as an earlier
 * generation of the same object in the same fleet, and what is not well-formed today counts for nothing.
 */
export function keptIn(voiceService: VoiceService, status: unknown, trunks: readonly Stored[]): LastGood {
  const { name, generation = 0 } = voiceService.metadata
  const goodTrunks = trunks.flatMap((trunk) => trunkIn(trunk, name) ?? [])
  const kept = LastGoodRoutes.safeParse(lastGoodIn(status)).data
  const routes = kept === undefined || kept.uid !== voiceService.metadata['uid'] ? [] : kept.routes
  const goodRoutes = routes.flatMap((one): GoodRoute[] => {
    const route = Route.safeParse(one.route).data
    return route === undefined || one.generation >= generation ? [] : [{ route, generation: one.generation }]
  })
  return {
    voiceService,
    trunks: new Map(goodTrunks.map((trunk) => [trunk.metadata.name, trunk])),
    routes: new Map(goodRoutes.map((one) => [one.route.name, one])),
  }
}

function trunkIn({ metadata, status }: Stored, fleet: string): SipTrunk | undefined {
  const kept = LastGoodTrunk.safeParse(lastGoodIn(status)).data
  if (kept === undefined || kept.uid !== metadata.uid || kept.generation >= (metadata.generation ?? 0)) return undefined
  const { spec, generation } = kept
  const read = SipTrunk.safeParse({ apiVersion, kind: 'SipTrunk', metadata: { ...metadata, generation }, spec })
  return read.data?.spec.voiceServiceRef.name === fleet ? read.data : undefined
}

function lastGoodIn(status: unknown): unknown {
  return (status as { readonly lastGood?: unknown } | null | undefined)?.lastGood
}

/** The API server notes beside a spec who wrote each field of it, which can be as long again. */
function roomBeside({ spec }: Unread): number {
  return mostBytes - 2 * bytesOf(spec)
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
