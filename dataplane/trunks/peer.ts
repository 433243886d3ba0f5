import { isIPv6 } from 'node:net'
import type { Transport } from '#api/fields.ts'
import type { Clock } from '#lib/clock.ts'
import type { OpenListener } from '../config/running.ts'
import type { IpFamily } from '../dns/locate.ts'
import { lastOf, selectionOrder } from '../dns/selection.ts'
import { hopUri, transportParam } from '../engine/message/transports.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import { PenaltyBox } from './penalty-box.ts'
import type { Endpoint, HostResolution, HostWatch, Server } from './resolution.ts'

/** A host to speak to, and the listener that requests to it leave from. */
export interface PeerConfig {
  readonly host: string
  /** Absent: the DNS tells (RFC 3263). */
  readonly port?: number | undefined
  readonly naptr?: boolean | undefined
  readonly transport: Transport
  readonly listener: string
}

interface PeerOptions {
  readonly listener: OpenListener | undefined
  readonly resolution: HostResolution
  readonly clock: Clock
  /** Runs when the endpoints change, never before the peer is made. */
  readonly onChange: () => void
}

/** One peer with the endpoints its host has now. */
export class Peer {
  readonly config: PeerConfig
  /** Undefined while it is not open: nothing can be sent. */
  readonly listener: OpenListener | undefined
  readonly #host: HostWatch
  readonly #penalties: PenaltyBox

  constructor(config: PeerConfig, { listener, resolution, clock, onChange }: PeerOptions) {
    this.config = config
    this.listener = listener
    this.#penalties = new PenaltyBox(clock)
    this.#host = resolution.watch(config, familyOf(config, listener), onChange)
  }

  /** All of them, those of better servers first. */
  get endpoints(): readonly Endpoint[] {
    return this.#host.endpoints
  }

  /** A call is about to go there. */
  wanted(): void {
    this.#host.hasten()
  }

  /**
   * In the order in which one request tries them: drawn by priority and weight, those in the penalty box last. Among equals
   * the one with the favoured name is first.
   */
  order(random: () => number, favoured?: string): Endpoint[] {
    const { servers, endpoints } = this.#host
    const isOther = ({ name }: Endpoint) => name !== favoured
    if (servers.length < 2) return lastOf(lastOf(endpoints, isOther), this.#isPenalised)
    const rankOf = (server: Server) => (server.endpoints.every(isOther) ? 1 : 0)
    const drawn = selectionOrder(servers, random).toSorted((a, b) => a.priority - b.priority || rankOf(a) - rankOf(b))
    return lastOf(
      drawn.flatMap((server) => lastOf(server.endpoints, isOther)),
      this.#isPenalised,
    )
  }

  /** Why the host does not resolve, or not all of it; undefined when it does. */
  get failure(): string | undefined {
    return this.#host.failure
  }

  get settled(): boolean {
    return this.#host.settled
  }

  /** RFC 3263 section 4.3: a request that failed "is sent to the next element in the list"; this one is last for a while. */
  passOver({ name }: Endpoint, atLeastSeconds?: number): void {
    this.#penalties.fail(name, atLeastSeconds)
  }

  /** A request was answered there. */
  trust({ name }: Pick<Endpoint, 'name'>): void {
    this.#penalties.succeed(name)
  }

  isPassedOver(endpoint: Endpoint): boolean {
    return this.#isPenalised(endpoint)
  }

  nextHop(endpoint: Endpoint): string {
    return hopUri(this.config, endpoint)
  }

  /** Address, port and transport for people: `192.0.2.1:5060 over UDP`. */
  describe({ name }: Endpoint): string {
    return `${name} over ${this.config.transport}`
  }

  stop(): void {
    this.#host.stop()
  }

  readonly #isPenalised = (endpoint: Endpoint) => this.#penalties.holds(endpoint.name)
}

/** Tells whether two configurations mean the same peer, reached from the same socket. */
export function peerIdentity(config: PeerConfig, listener: OpenListener | undefined): string {
  const socket = listener === undefined ? 'closed' : formatHostPort(listener.address, listener.port)
  return `${config.transport} ${soughtName(config)} from ${config.listener} ${socket}`
}

/** What is looked for, as text: two with the same are found at the same endpoints. */
export function soughtName({ host, port, naptr = false }: PeerConfig): string {
  return `${formatHostPort(host, port)}${naptr ? ' by NAPTR' : ''}`
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
