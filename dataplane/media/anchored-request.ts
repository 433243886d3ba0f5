import type { SipMessage } from '../engine/message/sip-message.ts'
import type { IncomingRequest, ResponseOptions } from '../sip/port.ts'
import type { CallMedia } from './media-port.ts'
import { withBody } from './with-body.ts'

/**
 * A PRACK whose offer goes no further: what it acknowledges is acknowledged all the same (RFC 3262 section 3), and its sender
 * gets the status.
 */
export function withoutOffer(request: IncomingRequest, status: number): IncomingRequest {
  const { method, message, source, receivedOn, transactionId, dialogId } = request
  return {
    ...{ method, source, receivedOn, transactionId, dialogId },
    message: withBody(message, ''),
    respond: (answer, options) => request.respond(answer < 300 ? status : answer, answer < 300 ? {} : options),
    onCancel: (handler) => request.onCancel(handler),
  }
}

/** A request whose offer the engine has taken: its answer tells the engine what became of the offer. */
export class AnchoredRequest implements IncomingRequest {
  message: SipMessage
  readonly method: string
  readonly source: IncomingRequest['source']
  readonly receivedOn: IncomingRequest['receivedOn']
  readonly transactionId: string
  readonly dialogId: string | undefined
  readonly #request: IncomingRequest
  readonly #media: CallMedia
  readonly #onOver: () => void
  #over = false
  #onCancel: ((cancel: SipMessage) => void) | undefined

  /** `onOver` runs once, at the final answer or the CANCEL. */
  constructor(request: IncomingRequest, media: CallMedia, onOver: () => void) {
    this.message = request.message
    this.method = request.method
    this.source = request.source
    this.receivedOn = request.receivedOn
    this.transactionId = request.transactionId
    this.dialogId = request.dialogId
    this.#request = request
    this.#media = media
    this.#onOver = onOver
    if (request.method === 'INVITE') request.onCancel((cancel) => this.#cancelled(cancel))
  }

  /** With the message as the call sees it. */
  with(message: SipMessage): this {
    this.message = message
    return this
  }

  respond(status: number, options: ResponseOptions = {}): void {
    if (status < 200 || this.#over) return this.#request.respond(status, options)
    this.#end()
    if (status >= 300) this.#media.withdraw()
    else this.#media.settle()
    this.#request.respond(status, {
      ...options,
      // The CANCEL was there first.
      onRefused: (reason) => {
        this.#media.withdraw()
        options.onRefused?.(reason)
      },
    })
  }

  /** It has got its final answer, or a CANCEL. */
  get over(): boolean {
    return this.#over
  }

  onCancel(handler: (cancel: SipMessage) => void): void {
    this.#onCancel = handler
  }

  #cancelled(cancel: SipMessage): void {
    if (!this.#over) {
      this.#end()
      this.#media.withdraw()
    }
    this.#onCancel?.(cancel)
  }

  #end(): void {
    this.#over = true
    this.#onOver()
  }
}
