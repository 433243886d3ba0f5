import { Transport } from '#api/fields.ts'
import { buildResponse } from '../engine/message/response.ts'
import { serialiseText, UnsafeHeaderError } from '../engine/message/serialise.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { type IncomingRequest, type ResponseOptions, SipPortError } from './port.ts'
import { checkSize } from './srf-headers.ts'
import { sendWritten } from './srf-response.ts'
import type { SrfRequest, SrfResponse, SrfSendError } from './srf.types.ts'

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
  readonly #largestFrame: number
  readonly #onOver: () => void
  /** Undefined once it is over. */
  #res: SrfResponse | undefined
  #onCancel: ((cancel: SipMessage) => void) | undefined

  /** `onOver` runs once, when the request has got its final answer or was cancelled. */
  constructor(req: SrfRequest, res: SrfResponse, message: SipMessage, largestFrame: number, onOver: () => void) {
    const { source_address: address, source_port: port, protocol, receivedOn, stackTxnId, stackDialogId } = req
    this.message = message
    this.source = { address: withoutBrackets(address), port, transport: transportOf(protocol) }
    this.receivedOn = receivedOn === undefined ? undefined : hostPort(receivedOn)
    this.transactionId = stackTxnId
    this.dialogId = stackDialogId === '' ? undefined : stackDialogId
    this.#res = res
    this.#largestFrame = largestFrame
    this.#onOver = onOver
  }

  get method(): string {
    return this.message.method
  }

  respond(status: number, options: ResponseOptions = {}): void {
    const res = this.#res
    if (res === undefined || this.method === 'ACK') return
    const { onDialog, onRefused } = options
    const text = responseText(this.message, status, options)
    if (this.#largestFrame < Infinity) checkSize(Buffer.byteLength(text), this.#largestFrame)
    const callback =
      onDialog === undefined && onRefused === undefined
        ? undefined
        : (error: SrfSendError) => {
            if (error) return onRefused?.(error instanceof Error ? error.message : error)
            if (res.stackDialogId) onDialog?.(res.stackDialogId)
          }
    if (status >= 200) this.#end()
    sendWritten(res, { status, text, callId: this.message.callId }, callback)
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

/** What a server copies from the request by itself. */
const ofServer: ReadonlySet<string> = new Set(['Via', 'Record-Route'])

/** Throws `SipPortError` when a header field could end its line. */
function responseText(request: SipMessage, status: number, options: ResponseOptions): string {
  const { reason, headers = [], body, toTag } = options
  const own = body === undefined ? headers : [...headers, ['Content-Type', body.type] as const]
  try {
    const parts = buildResponse(request, { status, reason, headers: own, body: body?.content, toTag })
    return serialiseText({ ...parts, headers: parts.headers.filter(([name]) => !ofServer.has(name)) }, 'utf8')
  } catch (error) {
    if (error instanceof UnsafeHeaderError) throw new SipPortError('Rejected', error.message)
    throw error
  }
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
