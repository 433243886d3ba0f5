import type { SecretManifest } from '#api/sip-trunk.ts'
import type { ListenerConfig } from '#api/snapshot.ts'
import type { Listener, VoiceService } from '#api/voice-service.ts'
import { canonicalBlock, familyOf } from './address.ts'
import { compileListenerTls, type SecretContext } from './certificates.ts'
import { placed, type Findings, type Part, type Placed } from './check.ts'
import type { Claims } from './claims.ts'

/** What the parts of a trunk are checked against. */
export interface TrunkContext {
  readonly namespace: string
  /** `namespace/name` of the VoiceService. */
  readonly fleet: string
  /** Listeners that the trunk uses, in its order. */
  readonly listeners: readonly Listener[]
  readonly secrets: ReadonlyMap<string, SecretManifest>
  readonly claims: Claims
  /** Whether the trunk registers, so that calls to it come to a Contact of its own. */
  readonly registers: boolean
}

interface Peer {
  readonly host: string
  readonly transport: Listener['transport']
}

export function compileListeners(
  { spec }: VoiceService,
  context: SecretContext,
  findings: Findings,
): Placed<ListenerConfig>[] {
  return placed(spec.listeners, 'spec.listeners').map(({ value: { tls, ...listener }, field }) => ({
    field,
    value: {
      type: 'Listener',
      ...listener,
      ...(tls !== undefined && { tls: compileListenerTls(tls, `${field}.tls`, context, findings) }),
    },
  }))
}

/** The listener that requests to a peer leave from: the first with its transport and, for an address, its IP family. */
export function listenerTowards({ host, transport }: Peer, listeners: readonly Listener[]): Listener | undefined {
  const family = familyOf(host)
  return listeners.find((one) => one.transport === transport && (family === undefined || one.ipFamily === family))
}

/** Requests to the peer need a listener to leave from. */
export function hasListener<P extends Peer>({ value: peer, context }: Part<P, TrunkContext>) {
  if (listenerTowards(peer, context.listeners) !== undefined) return undefined
  const candidates = context.listeners.filter(({ transport }) => transport === peer.transport)
  const names = context.listeners.map(({ name }) => name).join(', ')
  if (candidates.length === 0) {
    return {
      field: 'transport',
      message: `none of the trunk's listeners (${names}) has ${peer.transport}; add a ${peer.transport} listener to VoiceService ${context.fleet}, or change the transport`,
    }
  }
  const family = familyOf(peer.host)
  return {
    field: 'host',
    message: `${peer.host} is an ${family} address, and none of the trunk's ${peer.transport} listeners (${candidates.map(({ name }) => name).join(', ')}) has that family; add a listener with ipFamily: ${family} to VoiceService ${context.fleet}`,
  }
}

/** `999.1.1.1` and `fe80::x` have the letters of an address, and no resolver would ever find them. */
export function hostIsWellFormed<P extends Pick<Peer, 'host'>, C>({ value: { host } }: Part<P, C>) {
  if (canonicalBlock(host) !== undefined || !/^[0-9.]+$|:/.test(host)) return undefined
  return { field: 'host', message: `"${host}" is not an IP address; correct it, or give a DNS name` }
}
