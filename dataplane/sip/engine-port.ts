import type { Log } from '#lib/log.ts'
import type { Delivery, Orders, ServedApplication } from '../engine/dialog/application.ts'
import type { Engine } from '../engine/engine.types.ts'
import { readMessage } from '../engine/message/parse.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { EngineRequest, type RequestOwner } from './engine-incoming.ts'
import { asError, EngineTransaction, placeholder, type TransactionOwner } from './engine-outgoing.ts'
import {
  type ClientTransaction,
  type IncomingRequest,
  type OutgoingRequest,
  type SipPort,
  SipPortError,
  type TransactionEvents,
} from './port.ts'
import { isPlain, writeRequest } from './written-message.ts'

/**
 * `SipPort` on the engine of this process. Orders are carried out at once. What the engine tells is heard when the turn of the
 * event loop that brought it is over, so the engine is never called from within itself, nor is whoever sends something
 * called back before `send` has returned; and all that came from the network in a turn is worked off in that turn.
 */
export class EnginePort implements SipPort, ServedApplication, RequestOwner, TransactionOwner {
  readonly orders: Orders
  readonly methods: ReadonlySet<string>
  readonly wantsTrying = true
  readonly behind = false
  readonly #log: Log
  /** INVITEs without final answer, by transaction. */
  readonly #invites = new Map<string, EngineRequest>()
  readonly #outstanding = new Set<EngineTransaction>()
  readonly #transactions = new Map<string, EngineTransaction>()
  #told: (() => void)[] = []
  #gone = false
  #onRequest: (request: IncomingRequest) => void = () => {}
  #onDialogLost: (dialogId: string, reason: string) => void = () => {}
  #onDisconnect: () => void = () => {}

  /** The engine answers methods outside a dialog that are not taken with 405, and tells these in Allow. */
  constructor(engine: Pick<Engine, 'join'>, methods: readonly string[], log: Log) {
    this.methods = new Set(methods)
    this.#log = log
    this.orders = engine.join(this)
  }

  get gone(): boolean {
    return this.#gone
  }

  onRequest(handler: (request: IncomingRequest) => void): void {
    this.#onRequest = handler
  }

  onDialogLost(handler: (dialogId: string, reason: string) => void): void {
    this.#onDialogLost = handler
  }

  onDisconnect(handler: () => void): void {
    this.#onDisconnect = handler
  }

  send(request: OutgoingRequest, events: TransactionEvents): ClientTransaction {
    const transaction = new EngineTransaction(this, events)
    this.#outstanding.add(transaction)
    try {
      this.#order(request, transaction)
    } catch (error) {
      this.later(() => transaction.failed(asError(error)))
    }
    return transaction
  }

  /** Leaves the engine: every transaction of ours ends with it. */
  close(): void {
    if (this.#gone) return
    this.#gone = true
    this.orders.leave()
    // One by one, so that an error in whoever hears of it costs nobody else the news.
    for (const transaction of this.#outstanding) this.later(() => transaction.failed(disconnected()))
    this.later(() => {
      this.#invites.clear()
      this.#onDisconnect()
    })
  }

  deliverRequest(delivery: Delivery): void {
    this.later(() => this.#request(delivery))
  }

  deliverResponse(delivery: Delivery): void {
    this.later(() => this.#response(delivery))
  }

  deliverNotice({ text, dialogId }: Delivery): void {
    this.later(() => this.#onDialogLost(dialogId, this.read(text)?.get('Reason') ?? 'ended by the SIP engine'))
  }

  later(tell: () => void): void {
    if (this.#told.push(tell) === 1) setImmediate(this.#hear)
  }

  requestOver(transactionId: string): void {
    this.#invites.delete(transactionId)
  }

  transactionBegun(id: string, transaction: EngineTransaction): void {
    this.#transactions.set(id, transaction)
  }

  transactionOver(id: string | undefined, transaction: EngineTransaction): void {
    this.#outstanding.delete(transaction)
    if (id !== undefined) this.#transactions.delete(id)
  }

  /** A message as it is outside of the engine: its text has UTF-8 decoded. */
  read(text: string): SipMessage | undefined {
    const result = readMessage(isPlain(text) ? text : Buffer.from(text, 'latin1').toString())
    if (result.ok) return result.message
    this.#log.warn({ reason: result.reason }, 'the SIP engine handed over a malformed message')
    return undefined
  }

  #order({ method, uri, dialogId, nextHop, fork, headers, body }: OutgoingRequest, transaction: EngineTransaction) {
    if (this.#gone) throw disconnected()
    const all = fork === undefined ? headers : [['To', `<sip:fork>;tag=${fork}`] as const, ...headers]
    const request = writeRequest(method, uri ?? placeholder, all, body)
    this.orders.request({ transactionId: '', dialogId: dialogId ?? '', nextHop: nextHop ?? '', request }, (outcome) =>
      this.later(() => transaction.ordered(outcome)),
    )
  }

  readonly #hear = (): void => {
    const told = this.#told
    this.#told = []
    for (const tell of told) {
      try {
        tell()
      } catch (error) {
        this.#log.error({ err: error }, 'What came from the SIP engine could not be handled.')
      }
    }
  }

  #request(delivery: Delivery): void {
    const message = this.#messageOf(delivery)
    if (message === undefined) return
    if (message.method === 'CANCEL') return this.#invites.get(delivery.transactionId)?.cancelled(message)
    const request = new EngineRequest(delivery, message, this)
    if (message.method === 'INVITE') this.#invites.set(delivery.transactionId, request)
    try {
      this.#onRequest(request)
    } catch (error) {
      // A fault of ours costs this request, and no other call.
      this.#log.error({ err: error, method: message.method, callId: message.callId }, 'A request could not be handled.')
      request.respond(500)
    }
  }

  #response(delivery: Delivery): void {
    const transaction = this.#transactions.get(delivery.transactionId)
    if (transaction === undefined) return
    const message = this.#messageOf(delivery)
    if (message === undefined) transaction.failed(new SipPortError('Rejected', 'the answer is malformed'))
    else transaction.response(delivery, message)
  }

  #messageOf({ message, text }: Delivery): SipMessage | undefined {
    return message !== undefined && isPlain(text) ? message : this.read(text)
  }
}

function disconnected(): SipPortError {
  return new SipPortError('Disconnected', 'the SIP engine was left')
}
