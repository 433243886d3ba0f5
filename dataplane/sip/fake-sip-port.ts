import { readMessage } from '../engine/message/parse.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type {
  Body,
  ClientTransaction,
  HeaderList,
  IncomingRequest,
  IncomingResponse,
  OutgoingRequest,
  ResponseOptions,
  SipPort,
  SipPortError,
  TransactionEvents,
} from './port.ts'

/** A request as a test writes it; what it leaves out is made up. */
export interface FakeRequestOptions {
  readonly method: string
  readonly uri?: string
  readonly headers?: HeaderList
  readonly body?: Body
  readonly source?: IncomingRequest['source']
  readonly receivedOn?: IncomingRequest['receivedOn']
  readonly dialogId?: string
  /** Of an ACK: that of the INVITE. */
  readonly transactionId?: string
}

/** An answer as a test writes it. */
export interface FakeAnswer {
  readonly headers?: HeaderList
  readonly body?: Body
  readonly local?: boolean
  readonly toTag?: string
}

/**
 * `SipPort` in memory, for tests: nothing happens but what the test says. Like the server, it lets no answer through
 * after a final one or a CANCEL, holds a CANCEL until a provisional answer, and gives every INVITE a dialog id.
 */
export class FakeSipPort implements SipPort {
  /** Everything that was sent, oldest first; the ACK of a 2xx is with its INVITE. */
  readonly sent: FakeOutgoing[] = []
  /** Everything that came, oldest first, with its answers. */
  readonly received: FakeIncoming[] = []
  #onRequest: (request: IncomingRequest) => void = () => {}
  #onDialogLost: (dialogId: string, reason: string) => void = () => {}
  #onDisconnect: () => void = () => {}
  #count = 0

  onRequest(handler: (request: IncomingRequest) => void): void {
    this.#onRequest = handler
  }

  onDialogLost(handler: (dialogId: string, reason: string) => void): void {
    this.#onDialogLost = handler
  }

  onDisconnect(handler: () => void): void {
    this.#onDisconnect = handler
  }

  send(request: OutgoingRequest, events: TransactionEvents): ClientTransaction {
    const outgoing = new FakeOutgoing(request, events, ++this.#count)
    this.sent.push(outgoing)
    return outgoing
  }

  /** A request comes from the network. */
  receive(options: FakeRequestOptions): FakeIncoming {
    const request = new FakeIncoming(options, ++this.#count)
    this.received.push(request)
    this.#onRequest(request)
    return request
  }

  loseDialog(dialogId: string, reason = 'SIP;cause=200;text="ACK timeout"'): void {
    this.#onDialogLost(dialogId, reason)
  }

  disconnect(): void {
    this.#onDisconnect()
  }

  /** The one request of that method that was sent last. Throws when there is none. */
  last(method: string): FakeOutgoing {
    const found = this.sent.findLast(({ request }) => request.method === method)
    if (found === undefined) throw new Error(`no ${method} was sent`)
    return found
  }

  all(method: string): FakeOutgoing[] {
    return this.sent.filter(({ request }) => request.method === method)
  }
}

/** A request from the network, with the answers it got. */
export class FakeIncoming implements IncomingRequest {
  readonly method: string
  readonly message: SipMessage
  readonly source: IncomingRequest['source']
  readonly receivedOn: IncomingRequest['receivedOn']
  readonly transactionId: string
  readonly dialogId: string | undefined
  readonly answers: (ResponseOptions & { readonly status: number })[] = []
  /** The server answers 487 a moment before the application sends its final answer. */
  refusesFinal = false
  /** Too many reliable answers wait for a PRACK: the server takes no more. */
  refusesReliable = false
  readonly #dialogOfInvite: string
  #over = false
  #onCancel: ((cancel: SipMessage) => void) | undefined

  constructor(options: FakeRequestOptions, count: number) {
    const { method, uri = 'sip:placeholder', headers = [], body } = options
    this.method = method
    this.message = compose(`${method} ${uri} SIP/2.0`, headers, body)
    this.source = options.source ?? { address: '192.0.2.1', port: 5060, transport: 'UDP' }
    this.receivedOn = options.receivedOn
    this.transactionId = options.transactionId ?? `transaction-${count}`
    this.dialogId = options.dialogId
    this.#dialogOfInvite = options.dialogId ?? `dialog-in-${count}`
  }

  /** Dialog that an INVITE opens, for later requests in it. */
  get openedDialog(): string {
    return this.#dialogOfInvite
  }

  get statuses(): number[] {
    return this.answers.map(({ status }) => status)
  }

  get lastAnswer(): ResponseOptions & { readonly status: number } {
    const answer = this.answers.at(-1)
    if (answer === undefined) throw new Error(`the ${this.method} has no answer`)
    return answer
  }

  respond(status: number, options: ResponseOptions = {}): void {
    if (this.#over) return
    if (status >= 200) {
      this.#over = true
      if (this.refusesFinal) return options.onRefused?.('Response not sent due to unknown transaction')
    }
    const reliable = status < 200 && options.headers?.some(([name, value]) => name === 'Require' && value === '100rel')
    if (this.refusesReliable && reliable === true) return options.onRefused?.('Response not sent')
    this.answers.push({ ...options, status })
    if (this.method === 'INVITE' && status < 300) options.onDialog?.(this.#dialogOfInvite)
  }

  onCancel(handler: (cancel: SipMessage) => void): void {
    this.#onCancel = handler
  }

  /** The caller sends CANCEL; the server answers it, and this request with 487. */
  cancel(headers: HeaderList = []): void {
    if (this.#over) return
    this.#over = true
    this.answers.push({ status: 487 })
    this.#onCancel?.(compose('CANCEL sip:placeholder SIP/2.0', headers, undefined))
  }
}

/** A request that was sent, to be answered by the test. */
export class FakeOutgoing implements ClientTransaction {
  readonly request: OutgoingRequest
  readonly acks: { readonly headers?: HeaderList; readonly body: Body | undefined }[] = []
  readonly dialogId: string
  readonly #events: TransactionEvents
  #cancelHeaders: HeaderList | undefined
  #heard = false

  constructor(request: OutgoingRequest, events: TransactionEvents, count: number) {
    this.request = request
    this.#events = events
    this.dialogId = request.dialogId ?? `dialog-out-${count}`
  }

  cancel(headers: HeaderList = []): void {
    this.#cancelHeaders ??= headers
  }

  abandon(): void {}

  /** The Reason and other headers of the CANCEL, once it may leave (RFC 3261 section 9.1); undefined without one. */
  get cancelled(): HeaderList | undefined {
    return this.#heard ? this.#cancelHeaders : undefined
  }

  get cancelWanted(): boolean {
    return this.#cancelHeaders !== undefined
  }

  header(name: string): string | undefined {
    return this.request.headers.find(([key]) => key === name)?.[1]
  }

  trying(): void {
    if (!this.#heard) this.#tellSent()
    this.#heard = true
    this.#events.onTrying?.()
  }

  respond(status: number, answer: FakeAnswer = {}): void {
    const { headers = [], body, local = false, toTag = 'remote' } = answer
    if (!this.#heard) this.#tellSent()
    this.#heard = true
    const { acks, dialogId } = this
    const message = compose(
      `SIP/2.0 ${status} Reason`,
      [['To', `<sip:b@far>;tag=${toTag}`], ...headers],
      body,
      this.request,
    )
    const response: IncomingResponse = {
      status,
      reason: 'Reason',
      message,
      local,
      dialogId: status < 300 ? dialogId : undefined,
      ack: ({ headers, body: answered } = {}) => void acks.push({ ...(headers && { headers }), body: answered }),
    }
    this.#events.onResponse(response)
  }

  fail(error: SipPortError): void {
    this.#events.onFailure(error)
  }

  #tellSent(): void {
    const { method, uri = 'sip:remote-target@far', headers, body } = this.request
    const own = headers.filter(([name]) => name !== 'CSeq' && name !== 'Content-Type')
    this.#events.onSent?.(compose(`${method} ${uri} SIP/2.0`, own, body))
  }
}

function compose(
  startLine: string,
  headers: HeaderList,
  body: Body | undefined,
  request?: OutgoingRequest,
): SipMessage {
  const method = request?.method ?? startLine.slice(0, startLine.indexOf(' '))
  const fields: HeaderList = [
    ...defaults.filter(([name]) => !headers.some(([given]) => given === name)),
    ['CSeq', `1 ${method}`],
    ...headers,
    ...(body === undefined ? [] : [['Content-Type', body.type] as const]),
  ]
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const result = readMessage(`${startLine}\r\n${lines}\r\n${body?.content ?? ''}`)
  if (!result.ok) throw new Error(`the test's message is malformed: ${result.reason}`)
  return result.message
}

const defaults: HeaderList = [
  ['Via', 'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKfake'],
  ['From', '<sip:1000@192.0.2.1>;tag=local'],
  ['To', '<sip:2000@192.0.2.2>'],
  ['Call-ID', 'fake-call-id'],
]
