import type { Log, OncePerSecond } from '#lib/log.ts'
import type { Counters } from './counters.ts'
import type { ServerCore } from './dialog/server-core.ts'
import { couldBeAwaited, type Gate } from './gate.ts'
import { parseMessage } from './message/parse.ts'
import type { ParsedMessage } from './message/parsed-message.ts'
import { completeVia, formatVia, parseVia, type Via } from './message/via.ts'
import { param } from './message/params.ts'
import type { Transactions } from './transaction/transactions.ts'
import { defaultPort } from './message/transports.ts'
import type { Connection, Flow, Receiver } from './transport/transport.ts'

interface Parts {
  readonly transactions: Transactions
  readonly server: ServerCore
  readonly counters: Counters
  readonly gate: Gate
  readonly log: Log
  readonly oncePerSecond: OncePerSecond
}

/** The way in: from the bytes of a transport to a transaction. A bad message ends here and never throws. */
export class Intake implements Receiver {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  receive(text: string, source: Flow): void {
    try {
      if (this.#mayEnter(text, source)) this.#take(text, source)
    } catch (error) {
      this.#parts.counters.count('failed')
      this.#report(source, (fields) =>
        this.#parts.log.error({ ...fields, err: error }, 'A SIP message could not be handled.'),
      )
    }
  }

  welcomes({ listener, address, port }: Flow, names: readonly string[]): boolean {
    return names.length > 0 || this.#parts.gate.knows(listener, address, port)
  }

  turnedAway(source: Flow): void {
    this.#parts.counters.count('ignored_unknown_source')
    this.#report(source, (fields) =>
      this.#parts.log.info(fields, 'A connection of an unknown source was closed without a word.'),
    )
  }

  outOfStep(source: Flow, reason: string): void {
    this.#parts.counters.count('rejected_stream')
    this.#report(source, (fields) =>
      this.#parts.log.info({ ...fields, reason }, 'A connection was closed: no SIP on it.'),
    )
  }

  notConnected(target: Flow, reason: string): void {
    this.#parts.counters.count('failed_connections')
    this.#report(target, (fields) => this.#parts.log.warn({ ...fields, reason }, 'No connection could be opened.'))
  }

  brokenOff(connection: Connection, reason: string): void {
    this.#parts.transactions.brokenOff(connection, new Error(reason))
  }

  /** A peer that has shown a certificate is known by that, and not by its address. */
  #mayEnter(text: string, source: Flow): boolean {
    if (source.connection !== undefined && source.connection.names.length > 0) return true
    const { gate, transactions, counters, log } = this.#parts
    const entry = gate.enter(source.listener, source.address, source.port)
    if (entry !== 'stranger') return entry === 'known'
    if (couldBeAwaited(text, (branch) => transactions.hasClient(branch))) return true
    if (text.startsWith('SIP/2.0 ')) counters.count('stray_responses')
    else {
      counters.count('ignored_unknown_source')
      this.#report(source, (fields) => log.info(fields, 'A request of an unknown source got no answer.'))
    }
    return false
  }

  #take(text: string, source: Flow): void {
    const parsed = parseMessage(text)
    const { counters, server } = this.#parts
    if (parsed.ok && parsed.message.kind === 'response') return this.#takeResponse(parsed.message, source)
    if (parsed.ok) {
      counters.countRequest('received', parsed.message.method)
      const { message, reply } = completed(parsed.message, source)
      server.receive(message, source, reply)
      return
    }
    const { status, reason } = parsed
    counters.count(`rejected_malformed ${reason}`)
    this.#report(source, (fields) => this.#parts.log.info({ ...fields, status, reason }, 'A malformed SIP message.'))
    if (parsed.message === undefined) return
    const { message, reply } = completed(parsed.message, source)
    server.rejectMalformed(message, status, reason, source, reply)
  }

  #takeResponse(response: ParsedMessage, source: Flow): void {
    const { counters, transactions } = this.#parts
    counters.countResponse('received', response.method, response.status)
    const transaction = transactions.clientOf(response)
    // RFC 3261 §8.1.3.3: "If more than one Via header field value is present in a response, the UAC SHOULD discard the
    // message." X-Engine-Local is ours alone to write.
    const strange =
      (transaction?.relays !== true && response.values('Via').length > 1) || response.has('X-Engine-Local')
    if (transaction === undefined || strange) counters.count('stray_responses')
    else transaction.receive(response, source)
  }

  #report(source: Flow, write: (fields: object) => void): void {
    this.#parts.oncePerSecond.run(source.address, (heldBack) =>
      write({ listener: source.listener.name, address: source.address, port: source.port, heldBack }),
    )
  }
}

/** The request with its top Via as the transport has to complete it (RFC 3261 §18.2.1, RFC 3581 §4), and its way back. */
function completed(request: ParsedMessage, source: Flow): { message: ParsedMessage; reply: Flow } {
  const via = parseVia(request.get('Via') ?? '')
  if (via === undefined) return { message: request, reply: source }
  const full = completeVia(via, source.address, source.port)
  const message = full === via ? request : request.withTopVia(formatVia(full))
  // RFC 5923 §5: "alias" in the Via.
  if (source.connection !== undefined && source.connection.names.length > 0 && param(via.params, 'alias') !== undefined)
    source.listener.alias?.(source, via.port ?? defaultPort(source.listener.transport))
  return { message, reply: replyTo(full, source) }
}

/**
 * RFC 3261 §18.2.2: over a connection "the response MUST be sent using the existing connection", and else, as over UDP, "to
 * the IP address in the "received" parameter, if present, using the port in the "sent-by" value, or using the default
 * port"; RFC 3581 §4: with rport "to the source IP address and port". `maddr` is not obeyed: it lets a sender point our
 * answers at anybody.
 */
function replyTo(via: Via, source: Flow): Flow {
  if (!source.listener.reliable && param(via.params, 'rport') !== undefined) return source
  const port = via.port ?? defaultPort(source.listener.transport)
  return port === source.port ? source : { ...source, port }
}
