import type { Rejection } from '../dialog/request-checks.ts'
import { otherHeaders } from '../dialog/application-request.ts'
import { routeRequest } from '../dialog/dialog.ts'
import { formatResponse } from '../dialog/response-text.ts'
import { parseNameAddr } from '../message/name-addr.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import type { SipMessage } from '../message/sip-message.ts'
import { createTag } from '../transaction/identifiers.ts'
import { formatRequest, type Headers } from '../transaction/outgoing-request.ts'
import type { ServerTransaction } from '../transaction/server-transaction.ts'
import type { Transactions } from '../transaction/transactions.ts'
import type { Listeners } from '../transport/listeners.ts'
import type { NextHops } from '../transport/next-hop.ts'
import type { Flow, Listener } from '../transport/transport.ts'
import { Branch, type BranchUser } from './branch.ts'
import { forwardedRequest } from './forwarding.ts'
import { ProxiedRequest } from './proxied-request.ts'
import type { ProxyOrder, ProxyProgress } from './proxy-order.ts'
import { RecordRoutes } from './record-routes.ts'

/** Requests that are proxied and not answered yet; more are refused. */
const MOST_REQUESTS = 10_000

interface Parts {
  readonly transactions: Transactions
  readonly listeners: Listeners
  readonly nextHops: NextHops
}

/** Where a request goes, once the routes that led here are taken off (RFC 3261 §16.4). */
interface Way {
  readonly uri: string
  readonly routes: readonly string[]
  /** The listener of ours that the last of them named. */
  readonly listener: Listener
}

/**
 * The stateful proxy of RFC 3261 §16, for requests that an application wants to be proxied, and for those in the dialogs that
 * have come of it. Nothing is proxied that no application has asked for.
 */
export class ProxyCore {
  readonly #parts: Parts
  readonly #recordRoutes: RecordRoutes
  readonly #requests = new Map<string, ProxiedRequest>()

  constructor(parts: Parts) {
    this.#parts = parts
    this.#recordRoutes = new RecordRoutes(parts.listeners)
  }

  /** Proxies a request of a peer's as the application wants it, which has not been answered yet. */
  begin(transaction: ServerTransaction, request: ParsedMessage, order: ProxyOrder, progress: ProxyProgress): void {
    const refused = this.#check(request)
    if (refused !== undefined) {
      this.#reject(transaction, request, refused)
      return progress.done()
    }
    const { destinations: targets, simultaneous, followsRedirects, provisionalTimeout, finalTimeout } = order
    const way = this.#wayOf(request, transaction.flow.listener)
    const record = order.recordRoute ? (request.method === 'REGISTER' ? 'Path' : 'Record-Route') : undefined
    const timeouts = { provisionalTimeout, finalTimeout }
    this.#start(transaction, request, {
      ...{ targets, simultaneous, followsRedirects },
      // A Request-URI of ours is the application's to translate; any other says what the peer wants.
      branchTo: (target, user) =>
        this.#branch(
          request,
          { way: this.#isOurs(way.uri) ? { ...way, uri: target } : way, nextHop: target, record, timeouts },
          order.additions,
          user,
        ),
      onFinal(response, source) {
        if (!order.tellsResponses) return
        const { listener, address, port } = source
        progress.response(response.text, { transport: listener.transport.toLowerCase(), address, port })
      },
      onDone: () => progress.done(),
    })
  }

  /** A request or ACK in a dialog comes by a Record-Route of ours. */
  claims(request: SipMessage): boolean {
    if (request.toTag === '') return false
    const [first] = request.values('Route')
    return (
      (first !== undefined && this.#recordRoutes.ours(first, request.callId) !== undefined) ||
      this.#recordRoutes.ours(request.uri, request.callId) !== undefined
    )
  }

  /** Sends a request that it claims on to where its routes and Request-URI lead (§16.4, §16.6). */
  takeInside(request: ParsedMessage, key: string, reply: Flow): void {
    const { method } = request
    const transaction = this.#parts.transactions.createServer({ key, method }, reply)
    if (method === 'INVITE') transaction.respond(100, formatResponse(request, { status: 100 }))
    else transaction.start()
    const refused = this.#check(request)
    if (refused !== undefined) this.#reject(transaction, request, refused)
    else this.#startInside(transaction, request)
  }

  /** The ACK of a 2xx, which has no transaction (§16.11, and §16.6 for the rest). */
  takeAck(ack: ParsedMessage, source: Flow): void {
    if (Number(ack.get('Max-Forwards') ?? 70) === 0) return
    const way = this.#wayOf(ack, source.listener)
    const { uri, routes, nextHop } = routeRequest(way.uri, way.routes)
    this.#parts.nextHops.find(nextHop, way.listener, (hop) => {
      if (!hop.ok) return
      const request = forwardedRequest(ack, { uri, routes, recorded: [], added: [] })
      const text = formatRequest(request, this.#recordRoutes.branchOf(ack), hop.flow.listener)
      this.#parts.transactions.counters.countRequest('sent', 'ACK')
      hop.flow.listener.send(text, hop.flow, (error) => {
        if (error) this.#parts.transactions.counters.count('unsent_acks')
      })
    })
  }

  /** The caller has cancelled it. */
  cancel(transactionId: string): void {
    this.#requests.get(transactionId)?.cancel()
  }

  /** The request of a transaction that is proxied. */
  requestOf(transactionId: string): SipMessage | undefined {
    return this.#requests.get(transactionId)?.request
  }

  onTerminated(transaction: ServerTransaction): void {
    const proxied = this.#requests.get(transaction.id)
    this.#requests.delete(transaction.id)
    proxied?.end()
  }

  stop(): void {
    this.#requests.clear()
  }

  #startInside(transaction: ServerTransaction, request: ParsedMessage): void {
    const way = this.#wayOf(request, transaction.flow.listener)
    const { uri, routes, nextHop } = routeRequest(way.uri, way.routes)
    const timeouts = { provisionalTimeout: undefined, finalTimeout: undefined }
    const parts = { way: { ...way, uri, routes }, nextHop, record: undefined, timeouts }
    this.#start(transaction, request, {
      ...{ targets: [nextHop], simultaneous: false, followsRedirects: false },
      branchTo: (_target, user) => this.#branch(request, parts, undefined, user),
      onFinal() {},
      onDone() {},
    })
  }

  #start(
    transaction: ServerTransaction,
    request: ParsedMessage,
    how: Omit<ConstructorParameters<typeof ProxiedRequest>[0], 'request' | 'transaction' | 'responseSent'>,
  ): void {
    const { responseSent } = this.#parts.transactions
    const onDone = (): void => {
      // One that was answered is of no more interest, though its transaction stays for a while.
      if (!transaction.pending) this.#requests.delete(transaction.id)
      how.onDone()
    }
    const proxied = new ProxiedRequest({ ...how, request, transaction, responseSent, onDone })
    this.#requests.set(transaction.id, proxied)
    proxied.start()
  }

  #branch(
    request: ParsedMessage,
    to: {
      way: Way
      nextHop: string
      record: 'Path' | 'Record-Route' | undefined
      timeouts: { provisionalTimeout: number | undefined; finalTimeout: number | undefined }
    },
    additions: SipMessage | undefined,
    user: BranchUser,
  ): { branch: Branch; send: () => void } {
    const { way, nextHop, record, timeouts } = to
    const { transactions, nextHops } = this.#parts
    const compose = (listener: Listener) => {
      const values = record === undefined ? [] : this.#recordRoutes.of(request.callId, way.listener, listener)
      const recorded: Headers = record === undefined ? [] : values.map((value) => [record, value])
      const added = additions === undefined ? [] : otherHeaders(additions, listener)
      return forwardedRequest(request, { uri: way.uri, routes: way.routes, recorded, added })
    }
    const branch = new Branch({ transactions, nextHops, compose, ...timeouts }, user)
    return { branch, send: () => branch.send(nextHop, way.listener) }
  }

  /** §16.3: what a proxy refuses to forward. Max-Forwards of a request outside of a dialog was looked at before. */
  #check(request: SipMessage): Rejection | undefined {
    if (Number(request.get('Max-Forwards') ?? 70) === 0) return { status: 483, headers: [] }
    // "If the request contains a Proxy-Require header field … with one or more option-tags this element does not understand, the
    // element MUST return a 420 (Bad Extension) response." It understands none.
    if (request.has('Proxy-Require')) {
      return { status: 420, headers: [['Unsupported', request.values('Proxy-Require').join(', ')]] }
    }
    return this.#requests.size < MOST_REQUESTS ? undefined : { status: 503, headers: [['Retry-After', '5']] }
  }

  #reject(transaction: ServerTransaction, request: SipMessage, rejection: Rejection): void {
    transaction.respond(rejection.status, formatResponse(request, { ...rejection, toTag: createTag() }))
  }

  /**
   * §16.4: "If the Request-URI of the request contains a value this proxy previously placed into a Record-Route header field …,
   * the proxy MUST replace the Request-URI in the request with the last value from the Route header field"; "If the first value in
   * the Route header field indicates this proxy, the proxy MUST remove that value from the request."
   */
  #wayOf(request: SipMessage, cameIn: Listener): Way {
    let uri = request.uri
    let listener = cameIn
    const routes = request.values('Route')
    const strict = this.#recordRoutes.ours(uri, request.callId)
    if (strict !== undefined) {
      listener = strict
      uri = parseNameAddr(routes.pop() ?? '')?.uri ?? uri
    }
    for (let own = this.#first(routes); own !== undefined; own = this.#first(routes)) {
      routes.shift()
      listener = own
    }
    return { uri, routes, listener }
  }

  #first([first]: readonly string[]): Listener | undefined {
    return first === undefined ? undefined : this.#recordRoutes.names(first)
  }

  #isOurs(uri: string): boolean {
    return this.#recordRoutes.names(uri) !== undefined
  }
}
