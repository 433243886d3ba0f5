import { isIP, isIPv6 } from 'node:net'
import type { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import type { Route, VoiceService } from '#api/voice-service.ts'
import { fullName, type World } from '../../operator/compile/world.ts'
import type { Credentials } from '../peer/digest-check.ts'
import type { Endpoint } from '../peer/peer-socket.ts'
import { addressesOf, addressFor } from '../replica-addresses.ts'
import { sampleNumber } from './sample-number.ts'

/** A far end to play. */
export interface PeerPlan extends Endpoint {
  /** Name of its trunk. */
  readonly trunk: string
  /** Passwords it asks for when the fleet registers, by the user part of the address of record; empty: no registrar. */
  readonly accounts: ReadonlyMap<string, Credentials>
}

/** The call to place: from a target of one trunk, over the fleet, to the targets of another. */
export interface CallPlan {
  readonly fleet: string
  readonly route: string
  readonly near: PeerPlan
  readonly far: readonly PeerPlan[]
  /** Where the near peer sends its call: a listener of the first replica. */
  readonly entry: Endpoint
  readonly called: string
  readonly calling: string
}

export interface Plan {
  readonly peers: readonly PeerPlan[]
  readonly call: CallPlan
}

/**
 * What a self-test of these fleets plays: a peer for every UDP target and registrar on the loopback network, and a call
 * along the first route that leads from one of them to another. A text says why there is nothing to play.
 */
export function planSelftest(
  worlds: readonly World[],
  addresses: readonly (readonly string[])[] | undefined,
): Plan | string {
  const peers = mergePeers(worlds.flatMap((world) => world.trunks.flatMap((trunk) => peersOf(trunk, world.secrets))))
  const reasons: string[] = []
  for (const { voiceService, trunks } of worlds) {
    for (const route of voiceService.spec.routes) {
      const call = planCall(voiceService, route, trunks, peers, addressesOf(0, addresses) ?? [])
      if (typeof call !== 'string') return { peers, call }
      reasons.push(`route ${route.name} of ${fullName(voiceService)}: ${call}`)
    }
  }
  return reasons.length === 0 ? 'no VoiceService has a route' : reasons.join('; ')
}

function planCall(
  voiceService: VoiceService,
  route: Route,
  trunks: readonly SipTrunk[],
  peers: readonly PeerPlan[],
  addresses: readonly string[],
): CallPlan | string {
  const of = (name: string) => peers.filter(({ trunk }) => trunk === name)
  const to = route.targets.toSorted((a, b) => a.priority - b.priority)[0]?.trunkRef.name ?? ''
  const from = (route.match.trunks ?? trunks.map(({ metadata }) => metadata.name)).find(
    (name) => name !== to && of(name).length > 0,
  )
  const far = of(to)
  if (far.length === 0) return `trunk ${to} has no UDP target on 127.0.0.0/8 or ::1 that could be played`
  const near = from === undefined ? undefined : of(from)[0]
  if (near === undefined) return 'no trunk that it takes calls from has a UDP target on 127.0.0.0/8 or ::1'

  const trunk = trunks.find(({ metadata }) => metadata.name === from)
  const entry = entryOf(voiceService, trunk, near, addresses)
  if (entry === undefined) return `trunk ${from} has no UDP listener of the IP family of ${near.host}`
  const called = sampleNumber(route.match.calledPattern)
  if (called === undefined) return `no usual number fits its calledPattern ${route.match.calledPattern}`
  const calling = sampleNumber(route.match.callingPattern ?? '\\+?1555[0-9]+')
  if (calling === undefined) return `no usual number fits its callingPattern ${route.match.callingPattern}`
  return { fleet: fullName(voiceService), route: route.name, near, far, entry, called, calling }
}

function entryOf(
  voiceService: VoiceService,
  trunk: SipTrunk | undefined,
  near: Endpoint,
  addresses: readonly string[],
): Endpoint | undefined {
  const family = isIPv6(near.host) ? 'IPv6' : 'IPv4'
  const allowed = trunk?.spec.listeners
  const listener = voiceService.spec.listeners.find(
    ({ name, transport, ipFamily }) =>
      transport === 'UDP' && ipFamily === family && (allowed === undefined || allowed.includes(name)),
  )
  const host = addressFor(family, addresses)
  return listener === undefined || host === undefined ? undefined : { host, port: listener.port }
}

function peersOf({ metadata, spec }: SipTrunk, secrets: readonly SecretManifest[]): PeerPlan[] {
  const targets = spec.targets.filter(isPlayable).map(({ host, port = 5060 }) => ({ host, port, accounts: new Map() }))
  const accounts = new Map(
    (spec.registration?.accounts ?? []).flatMap(({ number, secretRef }) => {
      const secret = secrets.find((one) => one.metadata.name === secretRef.name)
      const password = valueOf(secret, 'password')
      if (password === undefined) return []
      return [[number, { username: valueOf(secret, 'username') ?? number, password }] as const]
    }),
  )
  const registrars = (spec.registration?.registrars ?? [])
    .filter(isPlayable)
    .map(({ host, port = 5060 }) => ({ host, port, accounts }))
  return [...targets, ...registrars].map((peer) => ({ trunk: metadata.name, ...peer }))
}

/** One peer per endpoint: a target that is a registrar as well is both. */
function mergePeers(peers: readonly PeerPlan[]): PeerPlan[] {
  const merged = new Map<string, PeerPlan>()
  for (const peer of peers) {
    const key = `${peer.host} ${peer.port}`
    const known = merged.get(key)
    merged.set(key, known === undefined ? peer : { ...known, accounts: new Map([...known.accounts, ...peer.accounts]) })
  }
  return [...merged.values()]
}

function isPlayable({ host, transport }: { host: string; transport: string }): boolean {
  return transport === 'UDP' && isIP(host) !== 0 && (host.startsWith('127.') || host === '::1')
}

function valueOf(secret: SecretManifest | undefined, key: string): string | undefined {
  const encoded = secret?.data?.[key]
  return (
    secret?.stringData?.[key] ?? (encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8'))
  )
}
