import { isIPv6 } from 'node:net'
import type { ListenerConfig, ListenerTlsConfig } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import { stringifyWithSecrets } from '#lib/secret.ts'
import type { ListenerAddress, ServerTls } from '../engine/engine.types.ts'
import { tlsProblem } from '../engine/transport/tls.ts'
import type { OpenListener } from './running.ts'

/** What is wrong with a listener here, on this machine. */
export type ListenerTrouble = Pick<ResourceError, 'code' | 'field' | 'message'>

/**
 * A socket as text, `UDP 127.0.0.2:5060`: the name it has in the engine. A listener that is renamed keeps its socket, and
 * one that moves has its new socket before the old one is closed.
 */
export function socketName(listener: Pick<OpenListener, 'transport' | 'address' | 'port' | 'bound'>): string {
  const { transport } = listener
  const { address, port } = boundOf(listener)
  return `${transport} ${isIPv6(address) ? `[${address}]` : address}:${port}`
}

/** The IP address and port that are bound. */
export function boundOf({ address, port, bound }: Pick<OpenListener, 'address' | 'port' | 'bound'>) {
  return bound ?? { address, port }
}

/** Whether two listeners of different transports want the same port of the system. */
export function sharesPort(one: OpenListener, other: OpenListener): boolean {
  const [a, b] = [boundOf(one), boundOf(other)]
  const differs = one.transport !== other.transport && one.transport !== 'UDP' && other.transport !== 'UDP'
  return differs && a.address === b.address && a.port === b.port
}

/** What the engine opens for a listener. */
export function engineListener(listener: OpenListener): ListenerAddress {
  const { transport, tls } = listener
  const advertised = listener.bound === undefined ? undefined : { host: listener.address, port: listener.port }
  return {
    name: socketName(listener),
    transport,
    ...boundOf(listener),
    ...(advertised !== undefined && { advertised }),
    ...(tls !== undefined && { tls: revealed(tls) }),
  }
}

function revealed({ certificate, key, others, clientAuthorities, minVersion }: ListenerTlsConfig): ServerTls {
  const inTheClear = (one: Pick<ListenerTlsConfig, 'certificate' | 'key'>) => ({
    certificate: one.certificate,
    key: one.key.reveal(),
  })
  return { ...inTheClear({ certificate, key }), others: others.map(inTheClear), clientAuthorities, minVersion }
}

/** What of a listener the engine takes over without binding it anew: equal texts, nothing to do. */
export function reloadable({ tls, bound, address, port }: OpenListener): string {
  return stringifyWithSecrets([tls, bound === undefined ? undefined : { address, port }])
}

/** Why the certificates of a listener cannot be used; undefined when they can. */
export function certificateTrouble({ tls }: Pick<ListenerConfig, 'tls'>): string | undefined {
  if (tls === undefined) return undefined
  if (tls.certificate === '') return 'its Secret cannot be used, see ResolvedRefs of the VoiceService'
  return tlsProblem(revealed(tls))
}

/** The listener on the first of the replica's own addresses that is of its family. */
export function placeListener(
  listener: ListenerConfig,
  addresses: readonly string[],
): { listener: OpenListener } | { trouble: ListenerTrouble } {
  const address = addresses.find((own) => (isIPv6(own) ? 'IPv6' : 'IPv4') === listener.ipFamily)
  if (address !== undefined) return { listener: placedAt(address, listener) }
  const message =
    `this replica has no ${listener.ipFamily} address, only ${addresses.join(', ')}: ` +
    'give it one in SBCFLEET_ADDRESSES, or change ipFamily'
  return { trouble: { code: 'AddressNotAvailable', field: 'body.ipFamily', message } }
}

function placedAt(address: string, listener: ListenerConfig): OpenListener {
  const { advertisedAddress, advertisedPort, port } = listener
  if (advertisedAddress === undefined && advertisedPort === undefined) return { ...listener, address }
  const told = { address: advertisedAddress ?? address, port: advertisedPort ?? port }
  return { ...listener, ...told, bound: { address, port } }
}

/** Says in words what the system said when the socket was bound. */
export function bindTrouble(error: unknown, listener: OpenListener): ListenerTrouble {
  const name = socketName(listener)
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'EADDRINUSE':
      return {
        code: 'AddressInUse',
        field: 'body.port',
        message: `${name} is in use by another process: stop that process, or choose another port`,
      }
    case 'EACCES':
      return {
        code: 'PermissionDenied',
        field: 'body.port',
        message: `${name} may not be bound: choose a port above 1023, or give the replica the capability NET_BIND_SERVICE`,
      }
    case 'EADDRNOTAVAIL':
      return {
        code: 'AddressNotAvailable',
        field: 'body.ipFamily',
        message: `${boundOf(listener).address} is not an address of this machine; correct the addresses of the replica (--address, or SBCFLEET_ADDRESSES)`,
      }
    default: {
      const cause = error instanceof Error ? error.message : String(error)
      return { code: 'Internal', field: 'body.port', message: `${name} cannot be opened: ${cause}` }
    }
  }
}
