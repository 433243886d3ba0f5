import type { Delivery, Orders, Outcome } from '../engine/dialog/application.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { type ClientTransaction, type HeaderList, SipPortError, type TransactionEvents } from './port.ts'
import { ReceivedResponse } from './received-response.ts'
import { writeRequest } from './written-message.ts'

/** What a transaction needs of the port that made it. */
export interface TransactionOwner {
  readonly orders: Orders
  /** The engine knows it by that id from now on. */
  transactionBegun(id: string, transaction: EngineTransaction): void
  /** It has got its final answer, has failed, or was given up. */
  transactionOver(id: string | undefined, transaction: EngineTransaction): void
  read(text: string): SipMessage | undefined
}

/** A request of ours, from `send` to its final answer. */
export class EngineTransaction implements ClientTransaction {
  readonly #owner: TransactionOwner
  readonly #events: TransactionEvents
  /** Undefined until it was sent. */
  #id: string | undefined
  #cancel: HeaderList | undefined
  #over = false
  #abandoned = false

  constructor(owner: TransactionOwner, events: TransactionEvents) {
    this.#owner = owner
    this.#events = events
  }

  /** What became of the order to send it. */
  ordered(outcome: Outcome): void {
    if (!outcome.ok) return this.failed(refusal(outcome.reason))
    this.#id = outcome.transactionId
    if (this.#abandoned) return this.#sendCancel([])
    if (this.#over) return
    this.#owner.transactionBegun(this.#id, this)
    const sent = this.#events.onSent === undefined ? undefined : this.#owner.read(outcome.text)
    if (sent !== undefined) this.#events.onSent?.(sent)
    if (this.#cancel !== undefined) this.#sendCancel(this.#cancel)
  }

  response(delivery: Delivery, message: SipMessage): void {
    if (this.#over) return
    if (message.status <= 100) return this.#events.onTrying?.()
    if (message.status >= 200) this.#end()
    const { dialogId } = delivery
    this.#events.onResponse(
      new ReceivedResponse(message, dialogId, (headers, body) => {
        const request = writeRequest('ACK', placeholder, headers, body)
        this.#owner.orders.request({ transactionId: '', dialogId, nextHop: '', request }, () => {})
      }),
    )
  }

  failed(error: SipPortError): void {
    if (this.#over) return
    this.#end()
    this.#events.onFailure(error)
  }

  cancel(headers: HeaderList = []): void {
    if (this.#over || this.#cancel !== undefined) return
    this.#cancel = headers
    if (this.#id !== undefined) this.#sendCancel(headers)
  }

  /** The engine takes a CANCEL of any request as the end of its transaction. */
  abandon(): void {
    if (this.#over) return
    this.#abandoned = true
    this.#end()
    if (this.#id !== undefined) this.#sendCancel([])
  }

  #end(): void {
    this.#over = true
    this.#owner.transactionOver(this.#id, this)
  }

  /** What became of the CANCEL shows in the answer to the INVITE. */
  #sendCancel(headers: HeaderList): void {
    try {
      const request = writeRequest('CANCEL', placeholder, headers, undefined)
      this.#owner.orders.request({ transactionId: this.#id ?? '', dialogId: '', nextHop: '', request }, () => {})
    } catch (error) {
      this.failed(asError(error))
    }
  }
}

/** Request-URI of what is sent inside a dialog, or on the way of another request: the engine knows better. */
export const placeholder = 'sip:placeholder'

/** What the engine refuses with, in the words of the port. */
function refusal(reason: string): SipPortError {
  if (/unable to find dialog/i.test(reason)) return new SipPortError('DialogGone', reason)
  if (reason.includes('INVITE is in progress')) return new SipPortError('InviteInProgress', reason)
  return new SipPortError('Rejected', reason)
}

export function asError(error: unknown): SipPortError {
  return error instanceof SipPortError ? error : new SipPortError('Rejected', String(error))
}
