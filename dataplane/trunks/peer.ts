import { isIPv6 } from 'node:net'
import type { Transport } from '#api/fields.ts'
import type { OpenListener } from '../config/running.ts'
import { hopUri, transportParam } from '../engine/message/transports.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { HostResolution, HostWatch, IpFamily } from './resolution.ts'

/** A host to speak to, and the listener that requests to it leave from. */
export interface PeerConfig {
  readonly host: string
  readonly port: number
  readonly transport: Transport
  readonly listener: string
}

/** One peer with the addresses its host has now. */
export class Peer {
  readonly config: PeerConfig
  /** Undefined while it is not open: nothing can be sent. */
  readonly listener: OpenListener | undefined
  readonly #host: HostWatch
  #preferred: string | undefined

  /** `onChange` runs when the addresses change, never before this returns. */
  constructor(
    config: PeerConfig,
    options: { listener: OpenListener | undefined; resolution: HostResolution; onChange: () => void },
  ) {
    this.config = config
    this.listener = options.listener
    this.#host = options.resolution.watch(config.host, familyOf(config, options.listener), options.onChange)
  }

  /** Best first: the order of the DNS, but for addresses that were passed over, which come last. */
  get addresses(): readonly string[] {
    const { addresses } = this.#host
    const first = this.#preferred === undefined ? 0 : addresses.indexOf(this.#preferred)
    return first <= 0 ? addresses : [...addresses.slice(first), ...addresses.slice(0, first)]
  }

  /** Why the host does not resolve; undefined when it does. */
  get failure(): string | undefined {
    return this.#host.failure
  }

  get settled(): boolean {
    return this.#host.settled
  }

  /** RFC 3263 section 4.3: after a failure "the client SHOULD try the next". */
  passOver(address: string): void {
    const { addresses } = this
    if (addresses[0] === address) this.#preferred = addresses[1]
  }

  nextHop(address: string): string {
    return hopUri(this.config, address)
  }

  /** Address, port and transport for people: `192.0.2.1:5060 over UDP`. */
  describe(address: string): string {
    return `${formatHostPort(address, this.config.port)} over ${this.config.transport}`
  }

  stop(): void {
    this.#host.stop()
  }
}

/** Tells whether two configurations mean the same peer, reached from the same socket. */
export function peerIdentity(config: PeerConfig, listener: OpenListener | undefined): string {
  const socket = listener === undefined ? 'closed' : formatHostPort(listener.address, listener.port)
  return `${config.transport} ${formatHostPort(config.host, config.port)} from ${config.listener} ${socket}`
}

/** The listener decides; while there is none, a literal address is of its own family. */
function familyOf({ host }: PeerConfig, listener: OpenListener | undefined): IpFamily {
  return listener?.ipFamily ?? (isIPv6(host) ? 'IPv6' : 'IPv4')
}

/** URI of a listener, for Contact; UDP is what a URI without transport means for an address (RFC 3263 section 4.1). */
export function listenerUri(user: string, { address, port, transport }: OpenListener): string {
  const value = transportParam(transport)
  const parameter = value === undefined ? '' : `;transport=${value}`
  return `sip:${user === '' ? '' : `${user}@`}${formatHostPort(address, port)}${parameter}`
}

/** Whether what kept a request from leaving was TLS: a certificate, or the handshake, and not the connection below it. */
export function isTlsFailure(reason: string | undefined): boolean {
  return reason !== undefined && /certificate|\bTLS\b|\bSSL\b|handshake|RFC 5922/i.test(reason)
}

/** `192.0.2.1:5061 over TLS cannot be reached: certificate has expired` */
export function unreachable(peer: string, reason: string | undefined): string {
  return reason === undefined ? `${peer} cannot be reached` : `${peer} cannot be reached: ${reason}`
}
