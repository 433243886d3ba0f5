import type { Clock } from '#lib/clock.ts'
import { param } from '../message/params.ts'
import { parseUri } from '../message/uri.ts'
import { bareHost, ipFamily } from './address.ts'
import type { Listeners } from './listeners.ts'
import type { Endpoint, Resolver } from './resolver.ts'
import type { Flow, Listener } from './transport.ts'

/** Requests above this many bytes go over TCP where it can be had (RFC 3261 §18.1.1). */
const LARGE_REQUEST = 1300
/** How long an address that refused TCP is not asked again for a large request, in milliseconds. */
const REMEMBER_REFUSAL = 600_000
const MAX_REFUSALS = 1000

const none: readonly Flow[] = []

/** Where a request leaves from and goes to: a way, or why there is none. */
export type Hop =
  /** `others`, from the same listener, are tried when the request cannot be sent there. */
  | { readonly ok: true; readonly flow: Flow; readonly others: readonly Flow[] }
  /** `unknown`: the URI or its transport can never be served. `unreachable`: its host has no address now. */
  | {
      readonly ok: false
      readonly cause: 'unknown' | 'unreachable'
      readonly reason: string
      readonly listener?: Listener
    }

/** From the URI of a next hop to a listener of ours and an address. */
export class NextHops {
  readonly #listeners: Listeners
  readonly #resolver: Resolver
  readonly #clock: Clock
  readonly #refusals = new Map<string, number>()

  constructor(listeners: Listeners, resolver: Resolver, clock: Clock) {
    this.#listeners = listeners
    this.#resolver = resolver
    this.#clock = clock
  }

  /**
   * Calls back at once when the host is an address. The transport is the URI's, else that of the preferred listener: RFC
   * 3263 §4.1 would have UDP, but a peer that is spoken to over TCP often leaves it out of its Contact.
   */
  find(uri: string, preferred: Listener | undefined, done: (hop: Hop) => void): void {
    const parsed = parseUri(uri)
    if (parsed === undefined || parsed.scheme === 'tel') {
      done({ ok: false, cause: 'unknown', reason: `invalid request-uri: ${uri}` })
      return
    }
    const params = parsed.params ?? []
    const transport = transportOf(parsed.scheme, param(params, 'transport'), preferred)
    this.#resolver.resolve(param(params, 'maddr') ?? parsed.host, parsed.port, transport, (endpoints) => {
      done(this.#choose(endpoints, transport, preferred, bareHost(parsed.host)))
    })
  }

  /**
   * RFC 3261 §18.1.1: "If a request is within 200 bytes of the path MTU, or if it is larger than 1300 bytes and the path
   * MTU is unknown, the request MUST be sent using an RFC 2914 congestion controlled transport protocol, such as TCP."
   * Undefined when it may go over UDP, or has to.
   */
  forSize(bytes: number, flow: Flow): Flow | undefined {
    if (bytes <= LARGE_REQUEST || flow.listener.transport !== 'UDP') return undefined
    const listener = this.#listeners.serving('TCP', flow.listener.family, flow.listener)
    if (listener === undefined) return undefined
    const until = this.#refusals.get(`${flow.address} ${flow.port}`)
    return until !== undefined && until > this.#clock.now() ? undefined : { ...flow, listener }
  }

  /** A request to it was not answered, could not be sent, or was answered with 503. */
  failed(flow: Flow): void {
    this.#resolver.failed(flow)
  }

  /** The address did not take TCP. */
  refused(flow: Flow): void {
    if (this.#refusals.size >= MAX_REFUSALS) this.#refusals.clear()
    this.#refusals.set(`${flow.address} ${flow.port}`, this.#clock.now() + REMEMBER_REFUSAL)
  }

  #choose(endpoints: readonly Endpoint[], transport: string, preferred: Listener | undefined, host: string): Hop {
    let flow: Flow | undefined
    let others: Flow[] | undefined
    for (const { address, port } of endpoints) {
      const family = ipFamily(address) === 6 ? 6 : 4
      const listener = this.#listeners.serving(transport, family, preferred)
      if (listener === undefined) continue
      if (flow === undefined) flow = { listener, address, port, connection: undefined, host }
      else if (listener === flow.listener) (others ??= []).push({ ...flow, address, port })
    }
    if (flow !== undefined) return { ok: true, flow, others: others ?? none }
    if (endpoints.length > 0)
      return { ok: false, cause: 'unknown', reason: 'requested protocol/transport not available' }
    const listener =
      this.#listeners.serving(transport, 4, preferred) ?? this.#listeners.serving(transport, 6, preferred)
    if (listener === undefined) {
      return { ok: false, cause: 'unknown', reason: 'requested protocol/transport not available' }
    }
    return { ok: false, cause: 'unreachable', reason: `${host} has no address`, listener }
  }
}

/**
 * RFC 7118 §5.4 has one value for WebSocket with and without TLS, so that the listener decides; sips: means TLS either way
 * (RFC 3261 §26.2.2).
 */
function transportOf(scheme: string, parameter: string | undefined, preferred: Listener | undefined): string {
  const wanted = parameter?.toUpperCase()
  if (wanted === 'WS') return scheme === 'sips' || preferred?.transport === 'WSS' ? 'WSS' : 'WS'
  if (scheme === 'sips') return wanted === 'WSS' ? 'WSS' : 'TLS'
  return wanted ?? preferred?.transport ?? 'UDP'
}
