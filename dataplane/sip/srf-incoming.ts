import { Transport } from '#api/fields.ts'
import { isRegisteredStatus, reasonPhrase } from '../engine/message/reason-phrases.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type { IncomingRequest, ResponseOptions } from './port.ts'
import { srfHeaders } from './srf-headers.ts'
import type { SrfRequest, SrfResponse, SrfSendCallback, SrfSendError } from './srf.types.ts'

/** Status codes in use that drachtio-srf refuses to send, since its table lacks them. */
const unlisted: Readonly<Record<number, string>> = {
  425: 'Bad Alert Message',
  440: 'Max-Breadth Exceeded',
  469: 'Bad Info Package',
  555: 'Push Notification Service Not Supported',
  607: 'Unwanted',
  608: 'Rejected',
}

/** A request from the network, answered through drachtio-srf. */
export class SrfIncomingRequest implements IncomingRequest {
  readonly message: SipMessage
  readonly #req: SrfRequest
  readonly #res: SrfResponse
  readonly #onOver: () => void
  #over = false
  #onCancel: ((cancel: SipMessage) => void) | undefined

  /** `onOver` runs once, when the request has got its final answer or was cancelled. */
  constructor(req: SrfRequest, res: SrfResponse, message: SipMessage, onOver: () => void) {
    this.#req = req
    this.#res = res
    this.#onOver = onOver
    this.message = message
  }

  get method(): string {
    return this.message.method
  }

  get source(): IncomingRequest['source'] {
    const { source_address: address, source_port: port, protocol } = this.#req
    return { address: withoutBrackets(address), port, transport: transportOf(protocol) }
  }

  get receivedOn(): IncomingRequest['receivedOn'] {
    const text = this.#req.receivedOn
    if (text === undefined) return undefined
    const colon = text.lastIndexOf(':')
    return { address: withoutBrackets(text.slice(0, colon)), port: Number(text.slice(colon + 1)) }
  }

  get transactionId(): string {
    return this.#req.stackTxnId
  }

  get dialogId(): string | undefined {
    const id = this.#req.stackDialogId
    return id === '' ? undefined : id
  }

  respond(status: number, options: ResponseOptions = {}): void {
    if (this.#over || this.method === 'ACK') return
    const { body, toTag, onDialog, onRefused } = options
    const headers = srfHeaders(options.headers ?? [], body)
    // drachtio-srf takes only the tag out of it.
    if (toTag !== undefined) headers['to'] = `;tag=${toTag}`
    const send = { headers, ...(body !== undefined && { body: body.content }) }
    const callback =
      onDialog === undefined && onRefused === undefined
        ? undefined
        : (error: SrfSendError) => {
            if (error) return onRefused?.(error instanceof Error ? error.message : error)
            if (this.#res.stackDialogId) onDialog?.(this.#res.stackDialogId)
          }
    if (status >= 200) this.#end()
    const reason = options.reason ?? unlisted[status]
    // A peer may answer with a code that nobody has registered, and it is carried on as it is (RFC 3261 section 8.1.3.2).
    if (status in unlisted || !isRegisteredStatus(status)) {
      this.#sendUnlisted(status, reason ?? reasonPhrase(status), send, callback)
    } else if (reason === undefined) this.#res.send(status, send, callback)
    else this.#res.send(status, reason, send, callback)
  }

  onCancel(handler: (cancel: SipMessage) => void): void {
    this.#onCancel = handler
  }

  /** The server has answered both the CANCEL and this request. */
  cancelled(cancel: SipMessage): void {
    if (this.#over) return
    this.#end()
    this.#onCancel?.(cancel)
  }

  #end(): void {
    this.#over = true
    this.#onOver()
  }

  /** What `res.send` does after it has looked into its table. */
  #sendUnlisted(
    status: number,
    reason: string,
    options: { headers: Record<string, string>; body?: string },
    callback: SrfSendCallback | undefined,
  ): void {
    this.#res.msg.status = this.#res.status = status
    this.#res.msg.reason = reason
    this.#res.agent.sendResponse(this.#res, options, callback)
    this.#res.finished = true
  }
}

function withoutBrackets(address: string): string {
  return address.startsWith('[') ? address.slice(1, -1) : address
}

/** drachtio-server says tcp, or nothing, of WebSocket. */
function transportOf(protocol: string): Transport {
  const known = Transport.safeParse(protocol.toUpperCase())
  return known.success ? known.data : 'TCP'
}
