import type { ParsedMessage } from '../message/parsed-message.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { TimerWheel } from '../transaction/timer-wheel.ts'
import type { Application } from './application.ts'
import { type Dialog, dialogIdOf, dialogOfClient, dialogOfNotify, dialogOfServer, takeRoutes } from './dialog.ts'
import type { DialogTable, LiveDialog } from './dialog-table.ts'
import { type Exchange, wayBack } from './server-exchange.ts'
import { eventIn, lifeOf, Subscriptions } from './subscriptions.ts'

/** A SUBSCRIBE of ours outside of a dialog. */
export interface Subscribing {
  readonly application: Application | undefined
  /** With its tag. */
  readonly from: string
  readonly fromTag: string
  readonly cseq: number
  readonly uri: string
  /** Values of its header fields. */
  readonly event: string | undefined
  readonly expires: string | undefined
  /** Name of the listener that it left from. */
  readonly listener: string
}

/**
 * The dialogs that SUBSCRIBE makes (RFC 6665). There is one for each, though a SUBSCRIBE may have forked: the application knows
 * all dialogs of one request by one id. NOTIFYs of others get 481, which ends their subscriptions there (§4.2.2).
 */
export class SubscriptionDialogs {
  readonly #dialogs: DialogTable
  readonly #wheel: TimerWheel
  /** Those that have not had a NOTIFY yet. */
  readonly #unconfirmed = new WeakSet<LiveDialog>()

  constructor(dialogs: DialogTable, wheel: TimerWheel) {
    this.#dialogs = dialogs
    this.#wheel = wheel
  }

  /** What the answer to a request of a peer's does to subscriptions, if it is of any. */
  settle(exchange: Exchange, response: SipMessage, answer: { to: string; toTag: string }): void {
    const { request, inside } = exchange
    const { status } = response
    if (request.method === 'SUBSCRIBE' && status >= 200 && status < 300) this.#accepted(exchange, response, answer)
    else if (request.method === 'NOTIFY' && status >= 200 && inside !== undefined) this.#notified(inside, request)
  }

  /** The application has taken a SUBSCRIBE. */
  #accepted(exchange: Exchange, response: SipMessage, { to, toTag }: { to: string; toTag: string }): void {
    const { request, inside, application, transaction } = exchange
    const event = eventIn(request.get('Event'))
    const life = lifeOf(response.get('Expires'), request.get('Expires'))
    if (inside !== undefined) {
      inside.subscriptions?.extend(event, life)
      return
    }
    const { flow } = transaction
    if (this.#dialogs.ofId(dialogIdOf(request.callId, request.fromTag)) !== undefined) return
    const state = dialogOfServer(request, { status: response.status, to, toTag }, flow.listener.name)
    const dialog = this.#add(state, application, event, life)
    dialog.way = wayBack(flow)
  }

  /** A peer has taken our SUBSCRIBE with a 2xx. A NOTIFY that was faster has made the dialog. */
  taken(ours: Subscribing, response: SipMessage): LiveDialog {
    const known = this.#dialogs.ofId(dialogIdOf(response.callId, ours.fromTag))
    const life = lifeOf(response.get('Expires'), ours.expires)
    if (known !== undefined) {
      known.subscriptions?.extend(eventIn(ours.event), life)
      return known
    }
    const dialog = this.#add(dialogOfClient(ours, response), ours.application, eventIn(ours.event), life)
    this.#unconfirmed.add(dialog)
    return dialog
  }

  /**
   * RFC 6665 §4.4.1: NOTIFY requests "are matched to such SUBSCRIBE requests if they contain the same "Call-ID", a "To" header
   * field "tag" parameter that matches the "From" header field "tag" parameter of the SUBSCRIBE request, and the same "Event"
   * header field". The first makes the dialog, should it come before the 2xx.
   */
  madeBy(notify: ParsedMessage, ours: Subscribing): LiveDialog | undefined {
    const known = this.#dialogs.ofId(dialogIdOf(notify.callId, ours.fromTag))
    const event = eventIn(ours.event)
    if (known !== undefined || eventIn(notify.get('Event')) !== event) return undefined
    return this.#add(dialogOfNotify(ours, notify), ours.application, event, lifeOf(undefined, ours.expires))
  }

  /**
   * A NOTIFY of the peer's was answered. RFC 6665 §4.4.1: "Because the dialog usage is established by the NOTIFY request, the
   * route set at the subscriber is taken from the NOTIFY request itself, as opposed to the route set present in the 200-class
   * response to the SUBSCRIBE request."
   */
  #notified(dialog: LiveDialog, notify: ParsedMessage): void {
    if (this.#unconfirmed.delete(dialog)) takeRoutes(dialog.state, notify)
    dialog.subscriptions?.notified(eventIn(notify.get('Event')), notify.get('Subscription-State') ?? '')
  }

  #add(state: Dialog, application: Application | undefined, event: string, seconds: number): LiveDialog {
    const dialog = this.#dialogs.add(state, application)
    dialog.subscriptions = new Subscriptions(this.#wheel, () => this.#dialogs.remove(dialog))
    dialog.subscriptions.extend(event, seconds)
    return dialog
  }
}
