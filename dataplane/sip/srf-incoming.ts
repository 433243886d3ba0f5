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

/**
 * A request from the network, answered through drachtio-srf. Calls keep their INVITE, so nothing of drachtio-srf is held
 * any longer than an answer may come.
 */
export class SrfIncomingRequest implements IncomingRequest {
  readonly message: SipMessage
  readonly source: IncomingRequest['source']
  readonly receivedOn: IncomingRequest['receivedOn']
  readonly transactionId: string
  readonly dialogId: string | undefined
  readonly #onOver: () => void
  /** Undefined once it is over. */
  #res: SrfResponse | undefined
  #onCancel: ((cancel: SipMessage) => void) | undefined

  /** `onOver` runs once, when the request has got its final answer or was cancelled. */
  constructor(req: SrfRequest, res: SrfResponse, message: SipMessage, onOver: () => void) {
    const { source_address: address, source_port: port, protocol, receivedOn, stackTxnId, stackDialogId } = req
    this.message = message
    this.source = { address: withoutBrackets(address), port, transport: transportOf(protocol) }
    this.receivedOn = receivedOn === undefined ? undefined : hostPort(receivedOn)
    this.transactionId = stackTxnId
    this.dialogId = stackDialogId === '' ? undefined : stackDialogId
    this.#res = res
    this.#onOver = onOver
  }

  get method(): string {
    return this.message.method
  }

  respond(status: number, options: ResponseOptions = {}): void {
    const res = this.#res
    if (res === undefined || this.method === 'ACK') return
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
            if (res.stackDialogId) onDialog?.(res.stackDialogId)
          }
    if (status >= 200) this.#end()
    const reason = options.reason ?? unlisted[status]
    // A peer may answer with a code that nobody has registered, and it is carried on as it is (RFC 3261 section 8.1.3.2).
    if (status in unlisted || !isRegisteredStatus(status)) {
      sendUnlisted(res, status, reason ?? reasonPhrase(status), send, callback)
    } else if (reason === undefined) res.send(status, send, callback)
    else res.send(status, reason, send, callback)
  }

  onCancel(handler: (cancel: SipMessage) => void): void {
    this.#onCancel = handler
  }

  /** The server has answered both the CANCEL and this request. */
  cancelled(cancel: SipMessage): void {
    if (this.#res === undefined) return
    this.#end()
    this.#onCancel?.(cancel)
  }

  #end(): void {
    this.#res = undefined
    this.#onOver()
  }
}

/** What `res.send` does after it has looked into its table. */
function sendUnlisted(
  res: SrfResponse,
  status: number,
  reason: string,
  options: { headers: Record<string, string>; body?: string },
  callback: SrfSendCallback | undefined,
): void {
  res.msg.status = res.status = status
  res.msg.reason = reason
  res.agent.sendResponse(res, options, callback)
  res.finished = true
}

function hostPort(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(':')
  return { address: withoutBrackets(text.slice(0, colon)), port: Number(text.slice(colon + 1)) }
}

function withoutBrackets(address: string): string {
  return address.startsWith('[') ? address.slice(1, -1) : address
}

const transports = new Map(Transport.options.map((transport) => [transport.toLowerCase(), transport]))

/** drachtio-server says tcp, or nothing, of WebSocket. */
function transportOf(protocol: string): Transport {
  return transports.get(protocol.toLowerCase()) ?? 'TCP'
}
