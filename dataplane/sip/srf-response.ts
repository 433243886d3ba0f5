import type { SrfResponse, SrfResponseMessage, SrfSendCallback } from './srf.types.ts'

/** A response as text, its status and the Call-ID of its request. */
export interface Written {
  readonly status: number
  readonly text: string
  readonly callId: string
}

/**
 * Sends a response as it is written. `res.send` would refuse status codes that its table lacks, join header fields of one
 * name, and write every response twice as an object and twice as text, since it formats what it would log.
 */
export function sendWritten(res: SrfResponse, written: Written, callback: SrfSendCallback | undefined): void {
  res.msg = new WrittenMessage(written)
  res.agent.sendResponse(res, {}, callback)
  res.finished = written.status >= 200
}

/** What drachtio-srf asks of a message that it sends. */
class WrittenMessage implements SrfResponseMessage {
  readonly status: number
  readonly #text: string
  readonly #callId: string

  constructor({ status, text, callId }: Written) {
    this.status = status
    this.#text = text
    this.#callId = callId
  }

  get(name: string): string | undefined {
    return name.toLowerCase() === 'call-id' ? this.#callId : undefined
  }

  toString(): string {
    return this.#text
  }
}
