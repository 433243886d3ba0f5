import type { SipMessage } from '../engine/message/sip-message.ts'
import type { Body, HeaderList, IncomingResponse } from './port.ts'

/** In an answer that the engine made up, since nothing came from the network. */
const localMark = 'X-Engine-Local'

/** Sends an ACK in the dialog of a response. */
export type Acknowledge = (headers: HeaderList, body: Body | undefined) => void

/** An answer to a request of ours. */
export class ReceivedResponse implements IncomingResponse {
  readonly message: SipMessage
  readonly dialogId: string | undefined
  readonly #acknowledge: Acknowledge

  /** `dialogId` may be empty, where there is no dialog. `acknowledge` is called for a 2xx to INVITE alone. */
  constructor(message: SipMessage, dialogId: string | undefined, acknowledge: Acknowledge) {
    this.message = message
    this.dialogId = dialogId === '' ? undefined : dialogId
    this.#acknowledge = acknowledge
  }

  get status(): number {
    return this.message.status
  }

  get reason(): string {
    return this.message.reason
  }

  get local(): boolean {
    return this.message.has(localMark)
  }

  get localReason(): string | undefined {
    return this.local ? this.message.get('X-Engine-Reason') : undefined
  }

  ack({ headers = [], body }: { headers?: HeaderList; body?: Body | undefined } = {}): void {
    if (this.message.method !== 'INVITE' || this.status < 200 || this.status > 299) return
    this.#acknowledge(headers, body)
  }
}
