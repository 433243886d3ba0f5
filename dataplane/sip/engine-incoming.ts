import type { Delivery, Orders } from '../engine/dialog/application.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type { IncomingRequest, ResponseOptions } from './port.ts'
import { writeResponse } from './written-message.ts'

/** What a request needs of the port that brought it. */
export interface RequestOwner {
  readonly orders: Orders
  /** Runs it when the engine has done its part. */
  later(tell: () => void): void
  /** The request has got its final answer or was cancelled. */
  requestOver(transactionId: string): void
}

/** A request from the network, answered through the engine. Calls keep their INVITE, so it holds little. */
export class EngineRequest implements IncomingRequest {
  readonly message: SipMessage
  readonly source: IncomingRequest['source']
  readonly receivedOn: IncomingRequest['receivedOn']
  readonly transactionId: string
  readonly dialogId: string | undefined
  /** Undefined once it is over. */
  #owner: RequestOwner | undefined
  #onCancel: ((cancel: SipMessage) => void) | undefined

  constructor({ source, transactionId, dialogId }: Delivery, message: SipMessage, owner: RequestOwner) {
    const { listener, address, port } = source
    this.message = message
    this.source = { address, port, transport: listener.transport }
    this.receivedOn = dialogId === '' ? { address: listener.address, port: listener.port } : undefined
    this.transactionId = transactionId
    this.dialogId = dialogId === '' ? undefined : dialogId
    this.#owner = owner
  }

  get method(): string {
    return this.message.method
  }

  respond(status: number, options: ResponseOptions = {}): void {
    const owner = this.#owner
    if (owner === undefined || this.method === 'ACK') return
    const { onDialog, onRefused } = options
    const response = writeResponse(status, this.message.get('To'), options)
    if (status >= 200) this.#end()
    owner.orders.respond({ transactionId: this.transactionId, response }, (outcome) => {
      if (!outcome.ok) {
        if (onRefused !== undefined) owner.later(() => onRefused(outcome.reason))
      } else if (onDialog !== undefined && outcome.dialogId !== '') owner.later(() => onDialog(outcome.dialogId))
    })
  }

  onCancel(handler: (cancel: SipMessage) => void): void {
    this.#onCancel = handler
  }

  /** The engine has answered both the CANCEL and this request. */
  cancelled(cancel: SipMessage): void {
    if (this.#owner === undefined) return
    this.#end()
    this.#onCancel?.(cancel)
  }

  #end(): void {
    this.#owner?.requestOver(this.transactionId)
    this.#owner = undefined
  }
}
