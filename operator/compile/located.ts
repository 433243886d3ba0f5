import type { Transport } from '#api/fields.ts'
import type { TrunkDns } from '#api/sip-trunk.ts'
import { familyOf } from './address.ts'

/** What replicas look up: with a port by A and AAAA records, without by SRV records, and by NAPTR records before them. */
export type Located<P> = P & { readonly naptr?: true }

/** A target or registrar with the port that its name does not have to be asked for (RFC 3263 section 4.2). */
export function located<
  P extends { readonly host: string; readonly port?: number | undefined; readonly transport: Transport },
>(peer: P, mode: TrunkDns['mode']): Located<P> {
  if (peer.port !== undefined) return peer
  if (mode === 'AOnly' || familyOf(peer.host) !== undefined) return { ...peer, port: defaultPorts[peer.transport] }
  return mode === 'NaptrSrvA' ? { ...peer, naptr: true } : peer
}

/** RFC 3261 section 19.1.2; RFC 7118 section 5.3 for WebSocket. */
const defaultPorts: Readonly<Record<Transport, number>> = { UDP: 5060, TCP: 5060, TLS: 5061, WS: 80, WSS: 443 }
