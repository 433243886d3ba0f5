import { parseMessage } from '../engine/message/parse.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import {
  type ClientTransaction,
  type HeaderList,
  type OutgoingRequest,
  type SipPort,
  SipPortError,
  type TransactionEvents,
} from '../sip/port.ts'

/** For tests: a SipPort that keeps what is sent, for the test to answer when it likes. */
export class ScriptedPort implements SipPort {
  readonly sent: SentRequest[] = []
  /** Set, and every request is answered at once. */
  script: ((request: SentRequest) => void) | undefined

  onRequest(): void {}

  onDialogLost(): void {}

  send(request: OutgoingRequest, events: TransactionEvents): ClientTransaction {
    const sent = new SentRequest(request, events)
    this.sent.push(sent)
    this.script?.(sent)
    return {
      cancel() {},
      abandon: () => {
        sent.abandoned = true
      },
    }
  }

  /** The last request sent. */
  get last(): SentRequest {
    const last = this.sent.at(-1)
    if (last === undefined) throw new Error('nothing was sent')
    return last
  }
}

export class SentRequest {
  readonly method: string
  readonly uri: string | undefined
  readonly nextHop: string | undefined
  readonly headers: HeaderList
  /** Whoever sent it does not wait for its answer. */
  abandoned = false
  readonly #events: TransactionEvents

  constructor(request: OutgoingRequest, events: TransactionEvents) {
    this.method = request.method
    this.uri = request.uri
    this.nextHop = request.nextHop
    this.headers = request.headers
    this.#events = events
  }

  get(name: string): string | undefined {
    return this.headers.find(([header]) => header === name)?.[1]
  }

  answer(status: number, headers: HeaderList = [], reason = 'Reason'): void {
    this.#respond(status, reason, headers, false)
  }

  /** What the engine makes up: 408 when nobody answers, 503 when the peer cannot be reached. */
  answerLocally(status: 408 | 503, localReason?: string): void {
    this.#respond(status, 'Made Up', [], true, localReason)
  }

  fail(code: SipPortError['code']): void {
    this.#events.onFailure(new SipPortError(code, `${code} for a test`))
  }

  #respond(status: number, reason: string, headers: HeaderList, local: boolean, localReason?: string): void {
    const message = responseMessage(status, reason, this.method, headers)
    this.#events.onResponse({ status, reason, message, local, localReason, dialogId: undefined, ack() {} })
  }
}

/** A response as it would come from the network. */
export function responseMessage(status: number, reason: string, method: string, headers: HeaderList): SipMessage {
  const lines = [
    `SIP/2.0 ${status} ${reason}`,
    'Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKtest',
    'From: <sip:a@192.0.2.9>;tag=a',
    'To: <sip:b@192.0.2.1>;tag=b',
    'Call-ID: test',
    `CSeq: 1 ${method}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    'Content-Length: 0',
  ]
  const parsed = parseMessage(`${lines.join('\r\n')}\r\n\r\n`)
  if (!parsed.ok) throw new Error(`the test made a malformed response: ${parsed.reason}`)
  return parsed.message
}
