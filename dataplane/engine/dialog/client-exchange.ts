import { detached } from '#lib/detached.ts'
import { parseNameAddr, tagOf } from '../message/name-addr.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { ClientTransaction, ClientTransactionUser } from '../transaction/client-transaction.ts'
import { createId } from '../transaction/identifiers.ts'
import { formatOwnVia, type Headers, type OutgoingRequest } from '../transaction/outgoing-request.ts'
import type { TimerTarget, TimerWheel } from '../transaction/timer-wheel.ts'
import { GIVE_UP } from '../transaction/timers.ts'
import type { NextHops } from '../transport/next-hop.ts'
import type { Flow, SendCallback } from '../transport/transport.ts'
import type { Application, Outcome } from './application.ts'
import { confirmByClient, dialogIdOf, dialogOfClient, isTargetRefresh, refreshTarget } from './dialog.ts'
import type { DialogTable, LiveDialog } from './dialog-table.ts'
import { reliableSequence } from '../message/reliability.ts'
import { eventIn, lifeOf } from './subscriptions.ts'
import type { Subscribing, SubscriptionDialogs } from './subscription-dialogs.ts'
import { formatLocalResponse } from './response-text.ts'

/**
 * Answers that destroy the dialog with all its usages (RFC 5057 §5.1), so that nobody sends a BYE in it. They are taken at
 * their word when they answer OPTIONS; many a peer says 404 to an INFO that it does not like, and 481 only when it means it.
 */
const destroying: ReadonlySet<number> = new Set([404, 410, 416, 482, 483, 484, 485, 502, 604])

/**
 * RFC 6665 §4.1.2.2: "If a SUBSCRIBE request to refresh a subscription receives a 404, 405, 410, 416, 480-485, 489, 501, or 604
 * response, the subscriber MUST consider the subscription terminated."
 */
function endsSubscription(status: number): boolean {
  return (status >= 480 && status <= 485) || [404, 405, 410, 416, 489, 501, 604].includes(status)
}

/**
 * Early dialogs that one INVITE may make; nobody rings at more places. Each tag that a peer makes up would take memory, and
 * be searched among the others.
 */
const MOST_FORKS = 32

/** What an exchange needs of the client core. */
export interface ExchangeOwner {
  readonly dialogs: DialogTable
  readonly subscriptionDialogs: SubscriptionDialogs
  readonly nextHops: NextHops
  readonly wheel: TimerWheel
  readonly ackSent: SendCallback
  sendCancel(exchange: ClientExchange, cancel: OutgoingRequest): void
  acknowledgePlain(dialog: LiveDialog, sequence: number): void
  bye(dialog: LiveDialog, headers: Headers, done: (outcome: Outcome) => void): void
  forget(exchange: ClientExchange): void
}

/** One request of ours with what its responses do to dialogs, until its transaction ends. */
export class ClientExchange implements ClientTransactionUser {
  readonly id: string = createId()
  /** Undefined for what the engine sends by itself. */
  readonly application: Application | undefined
  readonly method: string
  /** Id of the dialogs that an INVITE or SUBSCRIBE outside a dialog makes; empty for any other request. */
  readonly newDialogId: string
  readonly #owner: ExchangeOwner
  readonly #transaction: ClientTransaction
  readonly #inside: LiveDialog | undefined
  readonly #fromTag: string
  /** What is left of the request once it is answered would only take memory. */
  #request: OutgoingRequest | undefined
  readonly #cseq: number
  #cancel: OutgoingRequest | undefined
  #cancelSent = false
  /** Dialogs by its responses: one for each To tag. */
  readonly #forks = new Map<string, LiveDialog>()
  /** The one whose 2xx the application has. */
  #answered: LiveDialog | undefined

  constructor(
    owner: ExchangeOwner,
    wanted: { request: OutgoingRequest; application: Application | undefined; inside: LiveDialog | undefined },
    createTransaction: (user: ClientTransactionUser) => ClientTransaction,
  ) {
    const { request, application, inside } = wanted
    this.#owner = owner
    this.application = application
    this.method = request.method
    this.#inside = inside
    this.#request = request
    this.#cseq = request.cseq
    const makesDialog = (request.method === 'INVITE' || request.method === 'SUBSCRIBE') && inside === undefined
    const from = makesDialog ? parseNameAddr(request.from) : undefined
    this.#fromTag = from === undefined ? '' : tagOf(from)
    this.newDialogId = makesDialog ? detached(dialogIdOf(request.callId, this.#fromTag)) : ''
    this.#transaction = createTransaction(this)
  }

  get transaction(): ClientTransaction {
    return this.#transaction
  }

  /** The CANCEL, sent at once or after the first provisional response; undefined when there is nothing to cancel any more. */
  cancel(headers: Headers): OutgoingRequest | undefined {
    if (this.#cancel !== undefined) return undefined
    this.#cancel = this.#transaction.cancelWith(headers)
    if (this.#cancel !== undefined && this.#transaction.mayCancel) this.#sendCancel(this.#cancel)
    return this.#cancel
  }

  /** Ends a request outside of a dialog, whose answer nobody waits for; false for any other, whose end means more. */
  abandon(): boolean {
    if (this.method === 'INVITE' || this.#inside !== undefined) return false
    this.#request = undefined
    this.#transaction.abandon()
    return true
  }

  onResponse(response: SipMessage, source: Flow): void {
    const { status } = response
    if (status === 503) this.#owner.nextHops.failed(this.#transaction.flow)
    if (status < 200 && this.#cancel !== undefined && !this.#cancelSent) this.#sendCancel(this.#cancel)
    if (status === 100) {
      if (this.method === 'INVITE' && this.newDialogId !== '' && this.application?.wantsTrying === true)
        this.#deliver(response, source, undefined)
      return
    }
    if (this.method === 'INVITE') {
      if (this.#inside !== undefined) this.#onReinviteResponse(response, source, this.#inside)
      else if (status < 200) this.#onProvisional(response, source)
      else if (status < 300) this.#onSuccess(response, source)
      else this.#onFailure(response, source)
    } else {
      const dialog = this.#inside ?? this.#subscribed(response)
      if (this.#inside !== undefined) this.#settle(response, this.#inside)
      this.#deliver(response, source, dialog)
    }
    if (status >= 200) this.#request = undefined
  }

  onTimeout(): void {
    this.#owner.nextHops.failed(this.#transaction.flow)
    this.#failLocally('timeout')
  }

  onTransportError(error: Error): void {
    this.#owner.nextHops.failed(this.#transaction.flow)
    this.#failLocally('transport', error.message)
  }

  onMovedOn(failed: Flow): void {
    this.#owner.nextHops.failed(failed)
  }

  onFallback(refused: Flow): void {
    this.#owner.nextHops.refused(refused)
  }

  onTerminated(): void {
    const { dialogs } = this.#owner
    // RFC 3261 §13.2.2.4: 64*T1 after the first 2xx, early dialogs that were not confirmed are over.
    for (const fork of this.#forks.values()) if (fork !== this.#answered) dialogs.remove(fork)
    const answered = this.#answered ?? this.#inside
    if (this.method === 'INVITE' && answered?.acknowledgement?.sequence === this.#cseq)
      answered.acknowledgement = undefined
    this.#owner.forget(this)
  }

  #sendCancel(cancel: OutgoingRequest): void {
    this.#cancelSent = true
    this.#owner.sendCancel(this, cancel)
  }

  #onProvisional(response: SipMessage, source: Flow): void {
    const { toTag } = response
    // A 2xx makes its dialog all the same: whoever answers has to get an ACK.
    if (toTag !== '' && this.#forks.size >= MOST_FORKS && !this.#forks.has(toTag)) return
    const fork = toTag === '' ? undefined : this.#forkOf(response)
    if (fork === undefined || this.#isNext(response, fork)) this.#deliver(response, source, fork)
  }

  /**
   * RFC 3262 §4: "if the UAC receives another reliable provisional response to the same request, and its RSeq value is not one
   * higher than the value of the sequence number, that response MUST NOT be acknowledged with a PRACK, and MUST NOT be
   * processed further by the UAC." Every early dialog counts by itself. One that is not reliable is always next.
   */
  #isNext(response: SipMessage, dialog: LiveDialog): boolean {
    const rseq = reliableSequence(response)
    if (rseq === undefined) return true
    const { heard } = dialog
    if (heard?.sequence === this.#cseq && rseq !== heard.rseq + 1) return false
    dialog.heard = { sequence: this.#cseq, rseq, due: true }
    return true
  }

  #onSuccess(response: SipMessage, source: Flow): void {
    const fork = this.#forkOf(response)
    if (this.#answered === undefined) {
      this.#answered = fork
      confirmByClient(fork.state, response)
      if (this.#canDeliver()) {
        fork.acknowledgementDue = this.#cseq
        this.#deliver(response, source, fork)
      } else this.#hangUp(fork)
    } else if (fork === this.#answered) this.#acknowledgeAgain(fork)
    else {
      // §13.2.2.4: "The UAC core MUST generate an ACK request for each 2xx received from the transaction layer" — also of
      // a fork that comes after the call is answered, which a BYE then ends.
      confirmByClient(fork.state, response)
      this.#hangUp(fork)
    }
  }

  #onFailure(response: SipMessage, source: Flow): void {
    for (const fork of this.#forks.values()) this.#owner.dialogs.remove(fork)
    this.#forks.clear()
    this.#deliver(response, source, undefined)
  }

  #onReinviteResponse(response: SipMessage, source: Flow, dialog: LiveDialog): void {
    const success = response.status >= 200 && response.status < 300
    if (success && this.#answered !== undefined) return this.#acknowledgeAgain(dialog)
    if (success) {
      this.#answered = dialog
      refreshTarget(dialog.state, response)
      dialog.acknowledgementDue = this.#cseq
      if (!this.#canDeliver()) this.#owner.acknowledgePlain(dialog, this.#cseq)
    }
    if (response.status < 200 && !this.#isNext(response, dialog)) return
    this.#deliver(response, source, dialog)
    this.#settle(response, dialog)
  }

  /** What the final response to a request in a dialog does to it. */
  #settle(response: SipMessage, dialog: LiveDialog): void {
    const { status } = response
    // RFC 3262 §3: a 481 to PRACK says that no response waits for it, and nothing of the dialog.
    if (status < 200 || this.method === 'PRACK') return
    if (status === 481 || (this.method === 'OPTIONS' && destroying.has(status))) {
      return this.#destroy(dialog)
    }
    if (status < 300 && isTargetRefresh(this.method)) refreshTarget(dialog.state, response)
    this.#settleSubscription(response, dialog)
    if (this.method === 'BYE') this.#endDialog(dialog, status === 401 || status === 407)
  }

  /** What a SUBSCRIBE or NOTIFY of ours in a dialog has come to; after a challenge it will be sent again. */
  #settleSubscription(response: SipMessage, { subscriptions }: LiveDialog): void {
    const { status } = response
    const event = eventIn(this.#header('Event'))
    if (this.method === 'SUBSCRIBE') {
      if (status < 300) subscriptions?.extend(event, lifeOf(response.get('Expires'), this.#header('Expires')))
      else if (endsSubscription(status)) subscriptions?.end(event)
    } else if (this.method === 'NOTIFY' && status !== 401 && status !== 407) {
      // RFC 6665 §4.2.2: an error is a failure where neither Retry-After nor the status itself says how to try again, and
      // "NOTIFY failure" ends the subscription in whatever state (§4.2).
      if (status >= 400 && !response.has('Retry-After')) subscriptions?.end(event)
      else subscriptions?.notified(event, this.#header('Subscription-State') ?? '')
    }
  }

  /** The dialog of a SUBSCRIBE that a peer has taken; undefined for any other request and answer. */
  #subscribed(response: SipMessage): LiveDialog | undefined {
    const ours = response.status < 300 ? this.subscribing : undefined
    return ours === undefined ? undefined : this.#owner.subscriptionDialogs.taken(ours, response)
  }

  /** What there is to know of a SUBSCRIBE that waits for its answer outside of a dialog; undefined for any other. */
  get subscribing(): Subscribing | undefined {
    const request = this.#request
    if (this.method !== 'SUBSCRIBE' || this.newDialogId === '' || request === undefined) return undefined
    const { application } = this
    const { from, cseq, uri } = request
    const listener = this.#transaction.flow.listener.name
    const said = { event: this.#header('Event'), expires: this.#header('Expires') }
    return { application, from, fromTag: this.#fromTag, cseq, uri, listener, ...said }
  }

  #header(name: string): string | undefined {
    return this.#request?.headers.find(([each]) => each === name)?.[1]
  }

  /** The application knows all forks by one id, and takes that for gone: what is left under it is hung up. */
  #destroy(dialog: LiveDialog): void {
    const { dialogs } = this.#owner
    dialogs.remove(dialog)
    for (let left = dialogs.ofId(dialog.state.id); left !== undefined; left = dialogs.ofId(dialog.state.id)) {
      this.#owner.bye(left, [], () => {})
    }
  }

  /** A BYE that is challenged will be sent again; if it is not, the dialog is over all the same (§15.1.1). */
  #endDialog(dialog: LiveDialog, challenged: boolean): void {
    const { dialogs, wheel } = this.#owner
    if (!challenged) return dialogs.remove(dialog)
    const end: TimerTarget = { onTimer: () => dialogs.remove(dialog) }
    wheel.start(GIVE_UP, end, 'end')
  }

  /** The early dialog of the response's To tag; a new tag is another fork (§12.1.2). */
  #forkOf(response: SipMessage): LiveDialog {
    const known = this.#forks.get(response.toTag)
    if (known !== undefined) {
      if (known.state.state === 'early') refreshTarget(known.state, response)
      return known
    }
    const { flow } = this.#transaction
    const state = dialogOfClient(
      {
        from: this.#request?.from ?? response.get('From') ?? '',
        cseq: this.#cseq,
        listener: flow.listener.name,
        fromTag: this.#fromTag,
        uri: this.#request?.uri ?? '',
      },
      response,
    )
    const fork = this.#owner.dialogs.add(state, this.application)
    fork.ownInvite = this.#transaction
    this.#forks.set(state.remoteTag, fork)
    return fork
  }

  /** A retransmitted 2xx gets the same ACK again; before the application has sent one, nothing. */
  #acknowledgeAgain(dialog: LiveDialog): void {
    const ack = dialog.acknowledgement
    if (ack?.sequence === this.#cseq) ack.flow.listener.send(ack.text, ack.flow, this.#owner.ackSent)
  }

  #hangUp(fork: LiveDialog): void {
    this.#owner.acknowledgePlain(fork, this.#cseq)
    this.#owner.bye(fork, [], () => {})
  }

  #failLocally(cause: 'timeout' | 'transport', reason?: string): void {
    const request = this.#request
    if (request === undefined) return
    // RFC 6665 §4.2.2: a notifier whose NOTIFY is not answered "SHOULD remove the subscription".
    if (this.method === 'NOTIFY') this.#inside?.subscriptions?.end(eventIn(this.#header('Event')))
    this.#request = undefined
    for (const fork of this.#forks.values()) this.#owner.dialogs.remove(fork)
    this.#forks.clear()
    // RFC 3261 §12.2.1.2: "If the response for a request within a dialog is a 481 …, or a 408 … the UAC SHOULD terminate
    // the dialog", which is the application's to do, but a BYE has ended it anyway.
    if (this.method === 'BYE' && this.#inside !== undefined) this.#owner.dialogs.remove(this.#inside)
    const { flow, branch } = this.#transaction
    const text = formatLocalResponse(request, formatOwnVia(branch, flow.listener), cause, reason)
    this.#deliver({ text }, flow, this.#inside)
  }

  #canDeliver(): boolean {
    return this.application !== undefined && !this.application.gone
  }

  #deliver(response: SipMessage | { readonly text: string }, source: Flow, dialog: LiveDialog | undefined): void {
    if (!this.#canDeliver()) return
    this.application?.deliverResponse({
      text: response.text,
      ...('kind' in response && { message: response }),
      ...{ source, transactionId: this.id, dialogId: dialog?.state.id ?? '' },
    })
  }
}
