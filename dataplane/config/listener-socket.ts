import { isIPv6 } from 'node:net'
import type { ListenerConfig } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import type { OpenListener } from './running.ts'

/** What is wrong with a listener here, on this machine. */
export type ListenerTrouble = Pick<ResourceError, 'code' | 'field' | 'message'>

/**
 * A socket as text, `UDP 127.0.0.2:5060`: the name it has in the engine. A listener that is renamed keeps its socket, and
 * one that moves has its new socket before the old one is closed.
 */
export function socketName({ transport, address, port }: Pick<OpenListener, 'transport' | 'address' | 'port'>): string {
  return `${transport} ${isIPv6(address) ? `[${address}]` : address}:${port}`
}

/** The listener on the first of the replica's own addresses that is of its family. */
export function placeListener(
  listener: ListenerConfig,
  addresses: readonly string[],
): { listener: OpenListener } | { trouble: ListenerTrouble } {
  const address = addresses.find((own) => (isIPv6(own) ? 'IPv6' : 'IPv4') === listener.ipFamily)
  if (address !== undefined) return { listener: { ...listener, address } }
  const message =
    `this replica has no ${listener.ipFamily} address, only ${addresses.join(', ')}: ` +
    'give it one in SBCFLEET_ADDRESSES, or change ipFamily'
  return { trouble: { code: 'AddressNotAvailable', field: 'body.ipFamily', message } }
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
        message: `${listener.address} is not an address of this machine: correct SBCFLEET_ADDRESSES of the replica`,
      }
    default: {
      const cause = error instanceof Error ? error.message : String(error)
      return { code: 'Internal', field: 'body.port', message: `${name} cannot be opened: ${cause}` }
    }
  }
}
