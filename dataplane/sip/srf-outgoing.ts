import type { SipMessage } from '../engine/message/sip-message.ts'
import { type Body, type ClientTransaction, type HeaderList, SipPortError, type TransactionEvents } from './port.ts'
import { ReceivedResponse } from './received-response.ts'
import { srfHeaders } from './srf-headers.ts'
import type { SrfAck, SrfRequest, SrfResponse } from './srf.types.ts'

/** A request of ours, from `send` to its final answer. */
export class SrfTransaction implements ClientTransaction {
  readonly #events: TransactionEvents
  readonly #largestFrame: number
  readonly #onOver: (transaction: SrfTransaction) => void
  #req: SrfRequest | undefined
  #cancel: { headers: HeaderList } | undefined
  #over = false
  #abandoned = false

  /** `onOver` runs once, at the final answer or the failure. */
  constructor(events: TransactionEvents, largestFrame: number, onOver: (transaction: SrfTransaction) => void) {
    this.#events = events
    this.#largestFrame = largestFrame
    this.#onOver = onOver
  }

  sent(req: SrfRequest, message: SipMessage | undefined): void {
    if (this.#abandoned) return this.#withdraw(req)
    if (this.#over) return
    this.#req = req
    if (message !== undefined) this.#events.onSent?.(message)
    if (this.#cancel !== undefined) this.#sendCancel(this.#cancel.headers)
  }

  response(res: SrfResponse, message: SipMessage, ack: SrfAck): void {
    if (this.#over) return
    if (message.status <= 100) return this.#events.onTrying?.()
    if (message.status >= 200) this.#end()
    this.#events.onResponse(
      new ReceivedResponse(message, res.stackDialogId, (headers, body) => this.#acknowledge(ack, headers, body)),
    )
  }

  failed(error: SipPortError): void {
    if (this.#over) return
    this.#end()
    this.#events.onFailure(error)
  }

  cancel(headers: HeaderList = []): void {
    if (this.#over || this.#cancel !== undefined) return
    this.#cancel = { headers }
    if (this.#req !== undefined) this.#sendCancel(headers)
  }

  /** Our engine takes a CANCEL of any request as the end of its transaction; other servers refuse it. */
  abandon(): void {
    if (this.#over) return
    this.#abandoned = true
    const req = this.#req
    this.#end()
    if (req !== undefined) this.#withdraw(req)
  }

  #acknowledge(ack: SrfAck, headers: HeaderList, body: Body | undefined): void {
    try {
      ack({
        headers: srfHeaders(headers, body, this.#largestFrame),
        ...(body !== undefined && { body: body.content }),
      })
    } catch (error) {
      // drachtio-srf asserts that it is connected. Without a connection the dialog is gone, and its end is told.
      if (error instanceof SipPortError) throw error
    }
  }

  get wantsSent(): boolean {
    return this.#events.onSent !== undefined
  }

  #end(): void {
    this.#over = true
    this.#req = undefined
    this.#onOver(this)
  }

  #withdraw(req: SrfRequest): void {
    try {
      req.cancel({}, () => {})
    } catch {
      // It asserts that there is a connection; without one there is nothing to end.
    }
  }

  #sendCancel(headers: HeaderList): void {
    try {
      // What became of the CANCEL shows in the answer to the INVITE.
      this.#req?.cancel({ headers: srfHeaders(headers, undefined) }, () => {})
    } catch (error) {
      this.failed(asPortError(error))
    }
  }
}

/** drachtio-srf's errors: those of the server carry a code, a missing connection is a failed assertion. */
export function asPortError(error: unknown): SipPortError {
  if (error instanceof SipPortError) return error
  const { code, message } = error as { code?: string; message?: string }
  if (code === 'ENODIALOG') return new SipPortError('DialogGone', message ?? code)
  const rejected = code === 'EDRACHTIO'
  if (rejected && message?.includes('INVITE is in progress')) return new SipPortError('InviteInProgress', message)
  return new SipPortError(rejected ? 'Rejected' : 'Disconnected', message ?? String(error))
}
