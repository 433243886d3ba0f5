import type { SipMessage } from '../engine/message/sip-message.ts'
import {
  type ClientTransaction,
  type IncomingRequest,
  type OutgoingRequest,
  type ResponseOptions,
  type SipPort,
  SipPortError,
  type TransactionEvents,
} from './port.ts'

/**
 * A port to a server that lets through what RFC 3261 has it refuse, as drachtio-server does: INVITEs that cross in a
 * dialog. It refuses them in the server's place. And it finds the INVITE that an ACK is for, since drachtio-server gives
 * the ACK of a re-INVITE a transaction of its own. Requests of dialogs that nobody knows are let in: how they are refused
 * depends on who sends them.
 */
export class StrictPort<P extends SipPort> implements SipPort {
  readonly #port: P
  /** Dialogs in which an INVITE of ours, or one of the peer's, has no final answer yet. */
  readonly #inviting = new Set<string>()
  readonly #invited = new Set<string>()
  /** By dialog, the INVITE inside it that got a 2xx and no ACK yet. */
  readonly #unacknowledged = new Map<string, { readonly cseq: number; readonly transactionId: string }>()

  constructor(port: P) {
    this.#port = port
  }

  onRequest(handler: (request: IncomingRequest) => void): void {
    this.#port.onRequest((request) => {
      const screened = this.#screen(request)
      if (screened !== undefined) handler(screened)
    })
  }

  onDialogLost(handler: (dialogId: string, reason: string) => void): void {
    this.#port.onDialogLost((dialogId, reason) => {
      this.#forget(dialogId)
      handler(dialogId, reason)
    })
  }

  onDisconnect(handler: () => void): void {
    this.#port.onDisconnect?.(() => {
      this.#inviting.clear()
      this.#invited.clear()
      this.#unacknowledged.clear()
      handler()
    })
  }

  send(request: OutgoingRequest, events: TransactionEvents): ClientTransaction {
    const { method, dialogId } = request
    if (method === 'BYE' && dialogId !== undefined) this.#forget(dialogId)
    if (method !== 'INVITE' || dialogId === undefined) return this.#port.send(request, events)
    if (this.#invited.has(dialogId)) {
      const crossed = new SipPortError('InviteInProgress', 'an INVITE of the peer is in progress')
      queueMicrotask(() => events.onFailure(crossed))
      return { cancel: () => {}, abandon: () => {} }
    }
    this.#inviting.add(dialogId)
    return this.#port.send(request, {
      ...events,
      onResponse: (response) => {
        if (response.status >= 200) this.#inviting.delete(dialogId)
        events.onResponse(response)
      },
      onFailure: (error) => {
        this.#inviting.delete(dialogId)
        events.onFailure(error)
      },
    })
  }

  #screen(request: IncomingRequest): IncomingRequest | undefined {
    const { method, message, dialogId } = request
    if (dialogId === undefined) return request
    if (method === 'ACK') return this.#identified(request, dialogId)
    if (method === 'BYE') this.#forget(dialogId)
    if (method !== 'INVITE') return request
    // RFC 3261 section 14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in
    // progress MUST return a 491 (Request Pending) response to the received INVITE."
    if (this.#inviting.has(dialogId)) {
      request.respond(491)
      return undefined
    }
    this.#invited.add(dialogId)
    const { transactionId } = request
    return new Delegate(request, transactionId, (status) => {
      this.#invited.delete(dialogId)
      if (status < 300) this.#unacknowledged.set(dialogId, { cseq: message.cseq, transactionId })
    })
  }

  /** RFC 3261 section 13.2.2.4: the ACK of a 2xx has the CSeq number of its INVITE. */
  #identified(ack: IncomingRequest, dialogId: string): IncomingRequest {
    const invite = this.#unacknowledged.get(dialogId)
    if (invite === undefined || invite.cseq !== ack.message.cseq) return ack
    this.#unacknowledged.delete(dialogId)
    return new Delegate(ack, invite.transactionId, () => {})
  }

  #forget(dialogId: string): void {
    this.#inviting.delete(dialogId)
    this.#invited.delete(dialogId)
    this.#unacknowledged.delete(dialogId)
  }
}

/** A request that may have another transaction, and tells its final status. */
class Delegate implements IncomingRequest {
  readonly method: string
  readonly message: SipMessage
  readonly source: IncomingRequest['source']
  readonly receivedOn: IncomingRequest['receivedOn']
  readonly transactionId: string
  readonly dialogId: string | undefined
  readonly #request: IncomingRequest
  readonly #onFinal: (status: number) => void

  constructor(request: IncomingRequest, transactionId: string, onFinal: (status: number) => void) {
    this.method = request.method
    this.message = request.message
    this.source = request.source
    this.receivedOn = request.receivedOn
    this.transactionId = transactionId
    this.dialogId = request.dialogId
    this.#request = request
    this.#onFinal = onFinal
  }

  respond(status: number, options?: ResponseOptions): void {
    if (status >= 200) this.#onFinal(status)
    this.#request.respond(status, options)
  }

  onCancel(handler: (cancel: SipMessage) => void): void {
    this.#request.onCancel((cancel) => {
      // The server has answered with 487 (RFC 3261 section 9.2).
      this.#onFinal(487)
      handler(cancel)
    })
  }
}
