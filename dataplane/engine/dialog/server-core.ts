import type { Counters } from '../counters.ts'
import { detached } from '#lib/detached.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import { createTag } from '../transaction/identifiers.ts'
import type { ServerTransaction } from '../transaction/server-transaction.ts'
import { type Transactions, serverKey } from '../transaction/transactions.ts'
import type { Flow } from '../transport/transport.ts'
import { type Application, type Applications, type Outcome, refuse, type ResponseOrder } from './application.ts'
import type { ClientCore } from './client-core.ts'
import { dialogIdOf, isTargetRefresh, refreshTarget } from './dialog.ts'
import type { DialogTable, LiveDialog } from './dialog-table.ts'
import { type Composed, composeResponse } from './application-response.ts'
import type { ProxyCore } from '../proxy/proxy-core.ts'
import type { ProxyOrder, ProxyProgress } from '../proxy/proxy-order.ts'
import { InviteDialogs, resumeAfterPrack, takePrack } from './invite-dialogs.ts'
import { checkInside, checkOutside, checkSubscribe, type Rejection } from './request-checks.ts'
import { formatCancel, formatResponse } from './response-text.ts'
import { type Exchange, inviteIdOf, isForeignFork, tagFor, tagOfExchange, wayBack } from './server-exchange.ts'

/** How long a peer may stay away while no application is there, in seconds. */
const RETRY_AFTER = '5'

/** INVITEs outside a dialog that wait for their final answer; more are refused. */
const MAX_CALLS_BEING_SET_UP = 20_000

const UNKNOWN_TRANSACTION = 'Response not sent due to unknown transaction'

type Done = (outcome: Outcome) => void

interface Parts {
  readonly transactions: Transactions
  readonly dialogs: DialogTable
  readonly applications: Applications
  readonly clients: ClientCore
  readonly proxies: ProxyCore
  readonly counters: Counters
  /** False: the source gets no answer. */
  readonly admit: (source: Flow) => boolean
  /** False: there is no room for one more call now. */
  readonly admitCall: () => boolean
  /** From 0 up to 1. */
  readonly random: () => number
}

/** The user agent server of RFC 3261 §8.2, §9.2, §12 and §13.3: requests in, the application's responses out. */
export class ServerCore {
  readonly #parts: Parts
  readonly #exchanges = new Map<string, Exchange>()
  /** Ids of the dialogs that INVITEs under way may make. */
  readonly #invites = new Set<string>()
  readonly #inviteDialogs: InviteDialogs

  constructor(parts: Parts) {
    this.#parts = parts
    const { transactions, dialogs, clients, counters, random } = parts
    this.#inviteDialogs = new InviteDialogs({
      ...{ transactions, dialogs, clients, counters, random },
      onPrackMissing: (exchange) => this.#onPrackMissing(exchange),
    })
    dialogs.onRemove = (dialog) => this.#abandon(dialog)
  }

  /** Takes a well-formed request whose top Via is complete. `reply` is where its responses go. */
  receive(request: ParsedMessage, source: Flow, reply: Flow): void {
    if (request.method === 'ACK') return this.#receiveAck(request, source)
    const key = serverKey(request, request.method)
    const known = this.#parts.transactions.serverAt(key)
    if (known !== undefined) {
      this.#parts.counters.count('received_again')
      known.repeat()
    } else if (request.method === 'CANCEL') this.#receiveCancel(request, key, source, reply)
    else {
      const dialog = this.#dialogOf(request) ?? this.#dialogMadeBy(request, source)
      if (dialog === undefined) this.#receiveOutside(request, key, source, reply)
      else this.#receiveInside(request, key, source, reply, dialog)
    }
  }

  /** Answers a request that could not be read well enough to be one. */
  rejectMalformed(request: ParsedMessage, status: number, reason: string, source: Flow, reply: Flow): void {
    if (!this.#parts.admit(source)) return
    const text = formatResponse(request, { status, reason, toTag: createTag() })
    this.#parts.counters.countResponse('sent', request.method, status)
    reply.listener.send(text, reply, this.#parts.transactions.responseSent)
  }

  /** Sends what the application answers; `done` is called once, when it goes out or cannot any more. */
  respond(application: Application, { transactionId, response }: ResponseOrder, done: Done): void {
    const exchange = this.#exchanges.get(transactionId)
    if (exchange === undefined || exchange.application !== application) return done(refuse(UNKNOWN_TRANSACTION))
    const { transaction, request } = exchange
    const provisionals = this.#inviteDialogs.provisionalsFor(exchange, response)
    const tag = tagFor(exchange, response)
    const composed = composeResponse(request, response, transaction.flow.listener, tag, provisionals?.next)
    if (!composed.ok) return done(refuse(composed.reason))
    const send = () => done(this.#send(exchange, response, composed))
    const chained = {
      ...{ text: composed.text, described: response.body !== '', send },
      drop: () => done(refuse(UNKNOWN_TRANSACTION)),
    }
    if (provisionals !== undefined) provisionals.send(chained)
    else if (exchange.reliable !== undefined && isSuccess(response.status)) exchange.reliable.sendSuccess(chained)
    else send()
  }

  /** Hands a request over to the proxy, as the application wants it. */
  proxy(application: Application, order: ProxyOrder, progress: ProxyProgress): void {
    const exchange = this.#exchanges.get(order.transactionId)
    if (exchange === undefined || exchange.application !== application) return progress.refused(UNKNOWN_TRANSACTION)
    const { transaction, request, inside, early } = exchange
    if (inside !== undefined) return progress.refused('a request in a dialog of our own is not proxied')
    if (early.length > 0) return progress.refused('a request that was answered provisionally is not proxied')
    this.#forget(transaction.id)
    this.#parts.proxies.begin(transaction, request, order, progress)
  }

  /** Text of the 100 to a request that is slow to be answered. */
  tryingFor(transaction: ServerTransaction): string {
    const request = this.#exchanges.get(transaction.id)?.request ?? this.#parts.proxies.requestOf(transaction.id)
    return request === undefined ? '' : formatResponse(request, { status: 100 })
  }

  onTerminated(transaction: ServerTransaction): void {
    // The application has left it unanswered.
    if (transaction.method === 'PRACK') this.#exchanges.get(transaction.id)?.inside?.reliable?.resume()
    this.#forget(transaction.id)
    this.#parts.proxies.onTerminated(transaction)
  }

  /** The application has left: what it had not answered gets a 503 (RFC 3261 §21.5.4). */
  applicationGone(application: Application): void {
    for (const [id, exchange] of this.#exchanges) {
      if (exchange.application !== application) continue
      this.#forget(id)
      this.#finish(exchange, 503, [['Retry-After', RETRY_AFTER]])
    }
  }

  stop(): void {
    this.#exchanges.clear()
    this.#invites.clear()
    this.#inviteDialogs.stop()
  }

  #send(exchange: Exchange, response: ParsedMessage, composed: Composed): Outcome {
    const { transaction, request, inside } = exchange
    const { status } = response
    const { text, to, toTag } = composed
    const dialogId =
      inside?.state.id ?? (makesDialog(request.method, status) ? dialogIdOf(request.callId, request.fromTag) : '')
    this.#parts.clients.subscriptionDialogs.settle(exchange, response, composed)
    if (request.method === 'INVITE' && status > 100) this.#inviteDialogs.settle(exchange, { status, text, to, toTag })
    else if (inside !== undefined && isSuccess(status) && isTargetRefresh(request.method)) {
      refreshTarget(inside.state, request)
    }
    if (status >= 200) this.#forget(transaction.id)
    transaction.respond(status, text)
    if (status >= 200 && request.method === 'PRACK' && inside !== undefined) resumeAfterPrack(inside)
    return { ok: true, text, flow: transaction.flow, transactionId: transaction.id, dialogId }
  }

  /**
   * RFC 3262 §3: "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding
   * PRACK, the UAS SHOULD reject the original request with a 5xx response." The application is told as of a CANCEL, which is
   * what it can do about it.
   */
  #onPrackMissing(exchange: Exchange): void {
    const { transaction, request, application } = exchange
    if (this.#exchanges.get(transaction.id) !== exchange) return
    this.#parts.counters.count('pracks_missing')
    const dialogId = exchange.inside?.state.id ?? dialogIdOf(request.callId, request.fromTag)
    this.#forget(transaction.id)
    this.#finish(exchange, 504, [])
    const text = formatCancel(request, 'SIP;cause=504;text="No PRACK"')
    application.deliverRequest({ text, source: transaction.flow, transactionId: transaction.id, dialogId })
  }

  /**
   * A peer's INVITE that is pending when its dialog ends, be it by a BYE of either side: "The UAS MUST still respond to any
   * pending requests received for that dialog. It is RECOMMENDED that a 487 (Request Terminated) response be generated to
   * those pending requests" (§15.1.2). What the application answers later comes to nothing.
   */
  #abandon(dialog: LiveDialog): void {
    const { invite } = dialog
    const exchange = invite === undefined ? undefined : this.#exchanges.get(invite.id)
    if (exchange === undefined || exchange.inside !== dialog) return
    this.#forget(exchange.transaction.id)
    this.#finish(exchange, 487, [])
  }

  #forget(transactionId: string): void {
    const exchange = this.#exchanges.get(transactionId)
    if (exchange === undefined) return
    this.#exchanges.delete(transactionId)
    this.#invites.delete(inviteIdOf(exchange))
  }

  #dialogOf(message: ParsedMessage): LiveDialog | undefined {
    return message.toTag === '' ? undefined : this.#parts.dialogs.find(message.callId, message.toTag, message.fromTag)
  }

  #dialogMadeBy(request: ParsedMessage, source: Flow): LiveDialog | undefined {
    if (request.method !== 'NOTIFY' || request.toTag === '' || !this.#parts.admit(source)) return undefined
    return this.#parts.clients.dialogMadeBy(request)
  }

  #receiveOutside(request: ParsedMessage, key: string, source: Flow, reply: Flow): void {
    if (!this.#parts.admit(source)) return
    const { transactions, applications, clients, dialogs, proxies } = this.#parts
    const { method } = request
    if (proxies.claims(request)) return proxies.takeInside(request, key, reply)
    if (method === 'PRACK' && this.#inviteDialogs.takeLatePrack(request)) {
      return this.#reject(transactions.createServer({ key, method }, reply), request, { status: 200, headers: [] })
    }
    const mergeKey = `${request.callId} ${request.fromTag} ${request.cseq} ${method}`
    const opens = method === 'INVITE' || method === 'SUBSCRIBE'
    const dialogId = opens ? dialogIdOf(request.callId, request.fromTag) : ''
    const rejection =
      checkOutside(request, {
        merged: transactions.hasMerge(mergeKey),
        // Of two dialogs with one id the application could never say which one it means.
        own:
          dialogId !== '' &&
          (clients.hasSent(dialogId) || this.#invites.has(dialogId) || dialogs.ofId(dialogId) !== undefined),
        allowed: this.#allowed,
      }) ??
      this.#checkService(method) ??
      this.#checkRoom(method) ??
      checkSubscribe(request)
    const application = rejection === undefined ? applications.next(method) : undefined
    // A merged request must not free the mark of the one it merges with when it ends first.
    const marks = rejection?.status !== 482
    const transaction = transactions.createServer({ key, method, mergeKey: marks ? mergeKey : undefined }, reply)
    if (application === undefined) this.#reject(transaction, request, rejection ?? this.#overloaded())
    else this.#pass(transaction, request, source, application, undefined)
  }

  #receiveInside(request: ParsedMessage, key: string, source: Flow, reply: Flow, dialog: LiveDialog): void {
    const { transactions, dialogs, random } = this.#parts
    const { method } = request
    const rejection = checkInside(request, dialog, this.#allowed, () => Math.floor(random() * 11))
    dialog.state.remoteSequence = Math.max(dialog.state.remoteSequence, request.cseq)
    const transaction = transactions.createServer({ key, method }, reply)
    if (rejection !== undefined) return this.#reject(transaction, request, rejection)
    // RFC 3262 §3: "If a PRACK request is received by the UA core that does not match any unacknowledged reliable provisional
    // response, the UAS MUST respond to the PRACK with a 481 response."
    if (method === 'PRACK' && !takePrack(dialog, request)) {
      return this.#reject(transaction, request, { status: 481, headers: [] })
    }
    if (isForeignFork(dialog, dialogs, method)) {
      if (method === 'BYE' && dialog.state.state === 'confirmed') dialogs.remove(dialog)
      return this.#reject(transaction, request, { status: 481, headers: [] })
    }
    dialog.way = wayBack(source)
    const application = this.#applicationOf(dialog, method)
    // §15.1.2: "A UAS first processes the BYE request according to the general UAS processing … If the BYE matches an
    // existing dialog", the session ends. Answering it is all that is left, and without an application the engine can.
    if (method === 'BYE') this.#ended(dialog)
    if (application === undefined) {
      return this.#reject(transaction, request, method === 'BYE' ? { status: 200, headers: [] } : this.#overloaded())
    }
    if (method === 'INVITE') dialog.invite = transaction
    else if (method === 'UPDATE') dialog.update = transaction
    this.#pass(transaction, request, source, application, dialog)
  }

  /** A 2xx that waits for its PRACK is no answer yet: "a 487 (Request Terminated)" is (§15.1.2). */
  #ended(dialog: LiveDialog): void {
    const { invite, reliable } = dialog
    this.#parts.dialogs.remove(dialog)
    const exchange =
      reliable?.holdsSuccess === true && invite !== undefined ? this.#exchanges.get(invite.id) : undefined
    if (exchange === undefined || exchange.reliable !== reliable) return
    this.#forget(exchange.transaction.id)
    this.#finish(exchange, 487, [])
  }

  /** The application that had the dialog so far; if it has left, whichever takes over. */
  #applicationOf(dialog: LiveDialog, method: string): Application | undefined {
    if (dialog.application?.gone === false) return dialog.application
    const next = this.#parts.applications.next(method)
    if (next !== undefined) dialog.application = next
    return next
  }

  #pass(
    transaction: ServerTransaction,
    request: ParsedMessage,
    source: Flow,
    application: Application,
    inside: LiveDialog | undefined,
  ): void {
    const own = { toTag: createTag(), early: [], reliable: undefined }
    const exchange: Exchange = { transaction, request, application, inside, ...own }
    this.#exchanges.set(transaction.id, exchange)
    if (inviteIdOf(exchange) !== '') this.#invites.add(detached(inviteIdOf(exchange)))
    // §17.2.1: "The server transaction MUST generate a 100 (Trying) response unless it knows that the TU will generate a
    // provisional or final response within 200 ms".
    if (request.method === 'INVITE') transaction.respond(100, formatResponse(request, { status: 100 }))
    else transaction.start()
    application.deliverRequest({
      text: request.text,
      message: request,
      source,
      transactionId: transaction.id,
      dialogId: inside?.state.id ?? '',
    })
  }

  #reject(transaction: ServerTransaction, request: ParsedMessage, rejection: Rejection): void {
    transaction.start()
    transaction.respond(rejection.status, formatResponse(request, { ...rejection, toTag: createTag() }))
  }

  /** §8.2.1: "If the UAS recognizes but does not support the method of a request, it MUST generate a 405". */
  #checkService(method: string): Rejection | undefined {
    const { applications } = this.#parts
    if (applications.count === 0 || applications.takes(method)) return undefined
    return { status: 405, headers: [['Allow', this.#allowed().join(', ')]] }
  }

  /** A caller that is told so at once can call elsewhere; one that waits for a busy server calls again and again. */
  #checkRoom(method: string): Rejection | undefined {
    const { counters, admitCall, random } = this.#parts
    if (method !== 'INVITE' || (this.#invites.size < MAX_CALLS_BEING_SET_UP && admitCall())) return undefined
    counters.count('refused_overload')
    // §21.5.4: spread, or all of them would come back at once.
    return { status: 503, headers: [['Retry-After', String(5 + Math.floor(random() * 6))]] }
  }

  /** No application, or none that keeps up: "the client SHOULD NOT … send requests to that server" for so long (§21.5.4). */
  #overloaded(): Rejection {
    return { status: 503, headers: [['Retry-After', RETRY_AFTER]] }
  }

  readonly #allowed = (): readonly string[] => this.#parts.applications.methods()

  #receiveAck(request: ParsedMessage, source: Flow): void {
    const transaction = this.#parts.transactions.serverAt(serverKey(request, 'INVITE'))
    if (transaction !== undefined && transaction.state !== 'accepted') {
      transaction.acknowledge()
      return
    }
    const dialog = this.#dialogOf(request)
    const { admit, proxies } = this.#parts
    if (dialog === undefined) {
      if (proxies.claims(request) && admit(source)) proxies.takeAck(request, source)
      return
    }
    const success = this.#inviteDialogs.takeAck(dialog, request)
    if (success === undefined) return
    this.#applicationOf(dialog, 'ACK')?.deliverRequest({
      text: request.text,
      message: request,
      source,
      transactionId: success.transactionId,
      dialogId: dialog.state.id,
    })
  }

  /**
   * §9.2: "The CANCEL method requests that the TU at the server side cancel a pending transaction. The TU determines the
   * transaction to be cancelled by taking the CANCEL request, and then assuming that the request method is anything but
   * CANCEL or ACK and applying the transaction matching procedures of Section 17.2.3."
   */
  #receiveCancel(cancel: ParsedMessage, key: string, source: Flow, reply: Flow): void {
    const { transactions } = this.#parts
    const invite = transactions.serverAt(serverKey(cancel, 'INVITE'))
    if (invite === undefined && !this.#parts.admit(source)) return
    const transaction = transactions.createServer({ key, method: 'CANCEL' }, reply)
    // "If the UAS did not find a matching transaction for the CANCEL according to the procedure above, it SHOULD respond
    // to the CANCEL with a 481".
    if (invite === undefined) return this.#reject(transaction, cancel, { status: 481, headers: [] })
    const exchange = this.#exchanges.get(invite.id)
    transaction.start()
    // "the To tag of the response to the CANCEL and the To tag in the response to the original request SHOULD be the same".
    const toTag = exchange === undefined ? this.#inviteDialogs.localTagOf(cancel, invite) : tagOfExchange(exchange)
    transaction.respond(200, formatResponse(cancel, { status: 200, toTag }))
    // "If it has already sent a final response for the original request, the CANCEL has no effect".
    if (exchange === undefined) return this.#parts.proxies.cancel(invite.id)
    this.#forget(invite.id)
    const dialogId = exchange.inside?.state.id ?? exchange.early[0]?.state.id ?? ''
    this.#finish(exchange, 487, [])
    exchange.application.deliverRequest({
      text: cancel.text,
      message: cancel,
      source,
      transactionId: invite.id,
      dialogId,
    })
  }

  #finish(exchange: Exchange, status: number, headers: readonly (readonly [string, string])[]): void {
    const { request, transaction } = exchange
    this.#inviteDialogs.endEarly(exchange)
    transaction.respond(status, formatResponse(request, { status, headers, toTag: tagOfExchange(exchange) }))
  }
}

/** The responses that make a dialog (RFC 3261 §12.1, RFC 6665 §4.4.1). */
function makesDialog(method: string, status: number): boolean {
  return method === 'INVITE' ? status > 100 && status < 300 : method === 'SUBSCRIBE' && isSuccess(status)
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}
