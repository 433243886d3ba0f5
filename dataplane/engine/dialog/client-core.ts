import type { Counters } from '../counters.ts'
import { detached } from '#lib/detached.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import { createBranch } from '../transaction/identifiers.ts'
import { formatRequest, type OutgoingRequest } from '../transaction/outgoing-request.ts'
import type { TimerWheel } from '../transaction/timer-wheel.ts'
import type { Transactions } from '../transaction/transactions.ts'
import type { Listeners } from '../transport/listeners.ts'
import type { Hop, NextHops } from '../transport/next-hop.ts'
import type { Flow, Listener } from '../transport/transport.ts'
import { type Application, type Outcome, refuse, type RequestOrder } from './application.ts'
import {
  composeInside,
  composeOutside,
  composePlain,
  findProblem,
  listenerNamedBy,
  otherHeaders,
  routeOutside,
} from './application-request.ts'
import { ClientExchange, type ExchangeOwner } from './client-exchange.ts'
import { dialogIdOf } from './dialog.ts'
import type { DialogTable, LiveDialog } from './dialog-table.ts'
import { SubscriptionDialogs } from './subscription-dialogs.ts'
import { rackOf } from '../message/reliability.ts'

interface Parts {
  readonly transactions: Transactions
  readonly dialogs: DialogTable
  readonly listeners: Listeners
  readonly nextHops: NextHops
  readonly counters: Counters
}

type Done = (outcome: Outcome) => void

/** The user agent client of RFC 3261 §8.1, §9.1, §12.2.1 and §13.2: the application's requests out, responses in. */
export class ClientCore implements ExchangeOwner {
  readonly dialogs: DialogTable
  readonly subscriptionDialogs: SubscriptionDialogs
  readonly nextHops: NextHops
  readonly wheel: TimerWheel
  readonly #transactions: Transactions
  readonly #listeners: Listeners
  readonly #counters: Counters
  /** Requests whose transaction is alive, by the id the application knows. */
  readonly #exchanges = new Map<string, ClientExchange>()
  /** By the ids of the dialogs that they make: INVITEs and SUBSCRIBEs under way. None from outside may have such an id. */
  readonly #openings = new Map<string, ClientExchange>()

  constructor(parts: Parts) {
    this.dialogs = parts.dialogs
    this.nextHops = parts.nextHops
    this.wheel = parts.transactions.wheel
    this.#transactions = parts.transactions
    this.subscriptionDialogs = new SubscriptionDialogs(parts.dialogs, this.wheel)
    this.#listeners = parts.listeners
    this.#counters = parts.counters
  }

  /** Sends what the application wants to send; `done` is called once, at once unless a host has to be looked up. */
  request(application: Application, order: RequestOrder, done: Done): void {
    const { request, dialogId } = order
    const problem = findProblem(request)
    if (problem !== undefined) done(refuse(problem))
    else if (request.method === 'CANCEL') done(this.#cancel(application, order))
    else if (request.method === 'ACK') this.#acknowledge(order, done)
    else if (dialogId !== '') this.#requestInside(application, order, done)
    else this.#requestOutside(application, order, done)
  }

  /** An INVITE or SUBSCRIBE of ours with that dialog id is under way, or has made a dialog. */
  hasSent(dialogId: string): boolean {
    return this.#openings.has(dialogId) || this.dialogs.ofId(dialogId)?.state.role === 'uac'
  }

  /** The dialog that a NOTIFY makes which has come before the 2xx of its SUBSCRIBE; undefined where there is no such thing. */
  dialogMadeBy(notify: ParsedMessage): LiveDialog | undefined {
    const ours = this.#openings.get(dialogIdOf(notify.callId, notify.toTag))?.subscribing
    return ours === undefined ? undefined : this.subscriptionDialogs.madeBy(notify, ours)
  }

  /** Ends a dialog by a BYE of the engine's own, and tells the application that it is gone. */
  endByItself(dialog: LiveDialog, reason: string): void {
    const { application, state } = dialog
    const listener = this.#listeners.get(state.listener)
    const headers = [['Reason', `SIP;cause=200;text="${reason}"`]] as const
    this.bye(dialog, headers, (outcome) => {
      if (application === undefined || application.gone) return
      // The application has to know, though the BYE has no way to go.
      const source = outcome.ok ? outcome.flow : nowhere(listener)
      if (source === undefined) return
      const text = outcome.ok
        ? outcome.text
        : formatRequest(composePlain('BYE', state, state.localSequence, headers), createBranch(), source.listener)
      application.deliverNotice({ text, source, transactionId: 'unsolicited', dialogId: state.id })
    })
  }

  /** Sends a BYE whose answer nobody waits for, and forgets the dialog. */
  bye(dialog: LiveDialog, headers: readonly (readonly [string, string])[], done: Done): void {
    this.dialogs.remove(dialog)
    const bye = composePlain('BYE', dialog.state, ++dialog.state.localSequence, headers)
    this.#dispatch(bye.nextHop, this.#listeners.get(dialog.state.listener), done, dialog, (flow) =>
      this.#open(undefined, bye, flow, undefined),
    )
  }

  /** Sends the ACK of a 2xx that the application does not know of. */
  acknowledgePlain(dialog: LiveDialog, sequence: number): void {
    const ack = composePlain('ACK', dialog.state, sequence, [])
    this.#find(ack.nextHop, this.#listeners.get(dialog.state.listener), dialog, (hop) => {
      if (hop.ok) this.#sendAck(dialog, ack, hop.flow)
    })
  }

  /** Sends a CANCEL as its own transaction, on the way of its INVITE. */
  sendCancel(exchange: ClientExchange, cancel: OutgoingRequest): void {
    const { flow, branch } = exchange.transaction
    const own = new ClientExchange(this, { request: cancel, application: undefined, inside: undefined }, (user) =>
      this.#transactions.createClient(user, { request: cancel, branch, flow }),
    )
    own.transaction.start(formatRequest(cancel, branch, flow.listener))
    exchange.transaction.cancelSent()
  }

  forget(exchange: ClientExchange): void {
    this.#exchanges.delete(exchange.id)
    if (this.#openings.get(exchange.newDialogId) === exchange) this.#openings.delete(exchange.newDialogId)
  }

  /** The application has left: nobody waits for its INVITEs any more. */
  applicationGone(application: Application): void {
    for (const exchange of this.#exchanges.values()) {
      if (exchange.application === application && exchange.method === 'INVITE') exchange.cancel([])
    }
  }

  stop(): void {
    this.#exchanges.clear()
    this.#openings.clear()
  }

  #cancel(application: Application, { request, transactionId }: RequestOrder): Outcome {
    const exchange = this.#exchanges.get(transactionId)
    if (exchange === undefined || exchange.application !== application) {
      return refuse(`unable to cancel unknown transaction id: ${transactionId}`)
    }
    // RFC 3261 §9.1: "A CANCEL request SHOULD NOT be sent to cancel a request other than INVITE."
    if (exchange.method !== 'INVITE') {
      const ended = exchange.abandon() ? 'it is not sent again' : 'its answer is awaited'
      return refuse(`no CANCEL for ${exchange.method}: ${ended}`)
    }
    const { flow, branch } = exchange.transaction
    const cancel = exchange.cancel(otherHeaders(request, flow.listener))
    if (cancel === undefined) return refuse(`unable to cancel unknown transaction id: ${transactionId}`)
    return { ok: true, text: formatRequest(cancel, branch, flow.listener), flow, transactionId, dialogId: '' }
  }

  /** The ACK of a 2xx: "the sequence number of the CSeq header field MUST be the same as the INVITE being acknowledged" (§13.2.2.4). */
  #acknowledge({ request, dialogId }: RequestOrder, done: Done): void {
    const dialog = this.dialogs.ofId(dialogId)
    const sequence = dialog?.acknowledgementDue
    if (dialog === undefined || sequence === undefined) {
      done(refuse('Server error: ACK for non-success final response is automatically generated by server'))
      return
    }
    dialog.acknowledgementDue = undefined
    const preferred = this.#listeners.get(dialog.state.listener)
    if (preferred === undefined) return done(refuse(`listener ${dialog.state.listener} is closed`))
    const ack = composeInside(request, dialog.state, sequence, preferred)
    this.#find(ack.nextHop, preferred, dialog, (hop) => {
      if (!hop.ok) return done(refuse(hop.reason))
      const text = this.#sendAck(dialog, ack, hop.flow)
      done({ ok: true, text, flow: hop.flow, transactionId: '', dialogId })
    })
  }

  #sendAck(dialog: LiveDialog, ack: OutgoingRequest, flow: Flow): string {
    const text = formatRequest(ack, createBranch(), flow.listener)
    dialog.acknowledgement = { sequence: ack.cseq, text: detached(text), flow }
    this.#counters.countRequest('sent', 'ACK')
    flow.listener.send(text, flow, this.ackSent)
    return text
  }

  readonly ackSent = (error?: Error | null): void => {
    if (error) this.#counters.count('unsent_acks')
  }

  #requestInside(application: Application, order: RequestOrder, done: Done): void {
    const { request, dialogId } = order
    const prack = request.method === 'PRACK'
    const dialog = prack ? this.#takeHeard(dialogId, request) : this.dialogs.ofId(dialogId, request.toTag)
    if (prack && dialog === undefined && this.dialogs.ofId(dialogId) !== undefined) {
      return done(refuse('Server error: no provisional response waits for that PRACK'))
    }
    if (dialog === undefined) return done(refuse('Server error: unable to find dialog for dialog id provided'))
    // RFC 3261 §14.1: "a UAC MUST NOT initiate a new INVITE transaction within a dialog while another INVITE transaction
    // is in progress in either direction."
    if (request.method === 'INVITE' && (dialog.invite?.pending === true || dialog.ownInvite?.pending === true)) {
      return done(refuse('Server error: another INVITE is in progress in this dialog'))
    }
    const preferred = this.#listeners.get(dialog.state.listener)
    // A BYE that can go nowhere ends the dialog all the same: nobody will ask for it again.
    const told = (outcome: Outcome): void => {
      if (!outcome.ok && request.method === 'BYE') this.dialogs.remove(dialog)
      done(outcome)
    }
    if (preferred === undefined) return told(refuse(`listener ${dialog.state.listener} is closed`))
    const outgoing = composeInside(request, dialog.state, ++dialog.state.localSequence, preferred)
    this.#dispatch(outgoing.nextHop, preferred, told, dialog, (flow) => this.#open(application, outgoing, flow, dialog))
  }

  /** The fork whose last reliable response a PRACK acknowledges: the one that its To names, else one that has got none. */
  #takeHeard(dialogId: string, prack: ParsedMessage): LiveDialog | undefined {
    const rack = rackOf(prack)
    const isMeant = ({ heard }: LiveDialog) => heard?.rseq === rack?.rseq && heard?.sequence === rack?.sequence
    const forks = this.dialogs.forksOf(dialogId).filter((fork) => fork.heard !== undefined && isMeant(fork))
    const named = forks.find(({ state }) => state.remoteTag === prack.toTag)
    // One that was challenged goes out once more.
    const dialog = named ?? forks.find(({ heard }) => heard?.due === true) ?? forks[0]
    if (dialog?.heard !== undefined) dialog.heard = { ...dialog.heard, due: false }
    return dialog
  }

  #requestOutside(application: Application, { request, nextHop }: RequestOrder, done: Done): void {
    if (request.uri.includes('placeholder')) return done(refuse(`invalid request-uri: ${request.uri}`))
    const named = listenerNamedBy(request, this.#listeners)
    const routing = routeOutside(request)
    this.#dispatch(nextHop === '' ? routing.nextHop : nextHop, named, done, undefined, (flow) =>
      this.#open(application, composeOutside(request, routing, named ?? flow.listener), flow, undefined),
    )
  }

  /**
   * Finds the way, makes the transaction, tells `done`, and then sends. A host without an address is no error of the order:
   * the request fails as if it had been sent.
   */
  #dispatch(
    nextHop: string,
    preferred: Listener | undefined,
    done: Done,
    dialog: LiveDialog | undefined,
    open: (flow: Flow) => Opened,
  ): void {
    this.#find(nextHop, preferred, dialog, (hop) => {
      if (!hop.ok && hop.listener === undefined) return done(refuse(hop.reason))
      const flow = hop.ok ? hop.flow : nowhere(hop.listener)
      if (flow === undefined) return
      const { exchange, text, dialogId } = open(flow)
      done({ ok: true, text, flow: exchange.transaction.flow, transactionId: exchange.id, dialogId })
      if (hop.ok) exchange.transaction.start(text, hop.others)
      else exchange.transaction.fail()
    })
  }

  /**
   * RFC 7118 §5.2: a WebSocket client cannot be connected to, and its Contact names no host; its connection is the way. So is
   * that of a TLS client whose Contact is its own end of it: RFC 3261 §18 has "the connection … used to send messages to
   * that address, port, and transport". RFC 5923 §5 asks for a certificate only where the connection is to stand for another
   * port; outside the dialog that rule holds for every port.
   */
  #find(
    nextHop: string,
    preferred: Listener | undefined,
    dialog: LiveDialog | undefined,
    done: (hop: Hop) => void,
  ): void {
    const way = dialog?.way
    if (way?.connection?.open !== true) return this.nextHops.find(nextHop, preferred, done)
    if (way.listener.transport !== 'TLS') return done({ ok: true, flow: way, others: [] })
    this.nextHops.find(nextHop, preferred, (hop) => {
      done(hop.ok && leadsTo(hop.flow, way) ? { ok: true, flow: way, others: [] } : hop)
    })
  }

  /** Makes the transaction of a request. */
  #open(
    application: Application | undefined,
    request: OutgoingRequest,
    flow: Flow,
    dialog: LiveDialog | undefined,
  ): Opened {
    const branch = createBranch()
    let text = formatRequest(request, branch, flow.listener)
    const larger = this.nextHops.forSize(text.length, flow)
    if (larger !== undefined) text = formatRequest(request, branch, larger.listener)
    const way = larger === undefined ? { flow } : { flow: larger, fallback: flow }
    const exchange = new ClientExchange(this, { request, application, inside: dialog }, (user) =>
      this.#transactions.createClient(user, { request, branch, ...way }),
    )
    this.#exchanges.set(exchange.id, exchange)
    if (exchange.newDialogId !== '') this.#openings.set(exchange.newDialogId, exchange)
    else if (dialog !== undefined && request.method === 'INVITE') dialog.ownInvite = exchange.transaction
    return { exchange, text, dialogId: dialog?.state.id ?? '' }
  }
}

interface Opened {
  readonly exchange: ClientExchange
  readonly text: string
  readonly dialogId: string
}

/** The peer's end of an open connection is that address and port. */
function leadsTo({ listener, address, port }: Flow, way: Flow): boolean {
  const { connection } = way
  return listener === way.listener && address === way.address && connection?.open === true && connection.port === port
}

function nowhere(listener: Listener | undefined): Flow | undefined {
  return listener === undefined ? undefined : { listener, address: '', port: 0, connection: undefined }
}
