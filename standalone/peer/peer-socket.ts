import { createSocket, type Socket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Clock, Timer } from '#lib/clock.ts'
import { contentHash } from '#lib/hash.ts'
import { parseMessage } from '../../dataplane/engine/message/parse.ts'
import { serialise } from '../../dataplane/engine/message/serialise.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { formatHostPort } from '../../dataplane/engine/message/uri.ts'
import type { TraceEntry } from './trace.ts'

export interface Endpoint {
  /** IP address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

export type Headers = readonly (readonly [name: string, value: string])[]

export interface PeerSocketOptions {
  /** What the peer is called in the trace. */
  readonly name: string
  readonly endpoint: Endpoint
  readonly clock: Clock
  readonly onTrace: (entry: TraceEntry) => void
  readonly onRequest: (request: SipMessage, respond: Respond) => void
}

export type Respond = (status: number, reason: string, headers?: Headers, body?: string) => void

export interface OutgoingRequest {
  readonly method: string
  readonly uri: string
  readonly destination: Endpoint
  /** Everything but Via, Max-Forwards, Content-Type and Content-Length. */
  readonly headers: Headers
  /** A session description. */
  readonly body?: string | undefined
}

/** RFC 3261 section 17.1.1.1: the round trip time estimate, and the longest interval between two sendings. */
const t1 = 500
const t2 = 4_000
/** Timers B, F and H of RFC 3261: 64 times T1. */
const giveUpMilliseconds = 64 * t1

interface Pending {
  readonly request: OutgoingRequest
  readonly branch: string
  readonly resolve: (response: SipMessage) => void
  readonly reject: (error: Error) => void
  resend: Timer | undefined
  readonly giveUp: Timer
}

/**
 * A UDP socket with just enough of RFC 3261 section 17 to speak for a peer on one machine: requests and final answers to
 * INVITE are sent again until they are answered, and a request that comes twice gets the same answer again. It lives for
 * one self-test, so what it remembers is never forgotten.
 */
export class PeerSocket {
  readonly #options: PeerSocketOptions
  readonly #socket: Socket
  readonly #pending = new Map<string, Pending>()
  /** Last answer by transaction, and last ACK by the INVITE it acknowledges. */
  readonly #answers = new Map<string, Buffer>()
  readonly #acknowledgements = new Map<string, { bytes: Buffer; to: Endpoint }>()
  /** Final answers to INVITE that wait for their ACK. */
  readonly #unacknowledged = new Map<string, Timer>()
  #closed = false

  constructor(options: PeerSocketOptions) {
    this.#options = options
    this.#socket = createSocket(isIPv6(options.endpoint.host) ? 'udp6' : 'udp4')
    this.#socket.on('message', (bytes, from) => this.#receive(bytes, { host: from.address, port: from.port }))
    // A datagram to nobody comes back as an error; whoever waits for its answer gives up by time.
    this.#socket.on('error', () => {})
  }

  /** Rejects with the system error when the endpoint cannot be bound. */
  async bind(): Promise<void> {
    const { host, port } = this.#options.endpoint
    await new Promise<void>((resolve, reject) => {
      this.#socket.once('error', reject)
      this.#socket.bind({ address: host, port, exclusive: true }, resolve)
    })
  }

  get endpoint(): Endpoint {
    const { address, port } = this.#socket.address()
    return { host: address, port }
  }

  get hostPort(): string {
    return formatHostPort(this.endpoint.host, this.endpoint.port)
  }

  /** Sends a request and resolves with its final answer; a refused INVITE is acknowledged. Rejects when none comes. */
  request(request: OutgoingRequest): Promise<SipMessage> {
    const branch = `z9hG4bK${randomBytes(9).toString('hex')}`
    const bytes = this.#serialise(request, branch)
    return new Promise((resolve, reject) => {
      const giveUp = this.#options.clock.after(giveUpMilliseconds, () => {
        this.#settle(branch)?.reject(
          new Error(`${this.#options.name} got no answer to ${request.method} within ${giveUpMilliseconds / 1000} s`),
        )
      })
      this.#pending.set(branch, { request, branch, resolve, reject, resend: undefined, giveUp })
      this.#sendRepeatedly(branch, bytes, t1)
    })
  }

  /** Sends the ACK of a 2xx answer, and again whenever that answer comes again (RFC 3261 section 13.2.2.4). */
  acknowledge(response: SipMessage, request: OutgoingRequest): void {
    const bytes = this.#serialise(request, `z9hG4bK${randomBytes(9).toString('hex')}`)
    this.#acknowledgements.set(inviteKey(response), { bytes, to: request.destination })
    this.#send(bytes, request.destination)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const branch of this.#pending.keys()) {
      this.#settle(branch)?.reject(new Error(`${this.#options.name} was closed`))
    }
    for (const timer of this.#unacknowledged.values()) timer.cancel()
    this.#socket.close()
  }

  #serialise({ method, uri, headers, body }: OutgoingRequest, branch: string): Buffer {
    return serialise({
      startLine: `${method} ${uri} SIP/2.0`,
      headers: [
        ['Via', `SIP/2.0/UDP ${this.hostPort};rport;branch=${branch}`],
        ['Max-Forwards', '70'],
        ...headers,
        ...(body === undefined ? [] : [['Content-Type', 'application/sdp'] as const]),
      ],
      body: body ?? '',
    })
  }

  #sendRepeatedly(branch: string, bytes: Buffer, interval: number): void {
    const pending = this.#pending.get(branch)
    if (pending === undefined) return
    this.#send(bytes, pending.request.destination)
    pending.resend = this.#options.clock.after(interval, () => {
      const next = pending.request.method === 'INVITE' ? interval * 2 : Math.min(interval * 2, t2)
      this.#sendRepeatedly(branch, bytes, next)
    })
  }

  #send(bytes: Buffer, to: Endpoint): void {
    if (this.#closed) return
    const { message } = readMessage(bytes)
    if (message !== undefined) this.#trace('sent', message)
    this.#socket.send(bytes, to.port, to.host)
  }

  #receive(bytes: Buffer, from: Endpoint): void {
    const { message } = readMessage(bytes)
    if (message === undefined) return
    this.#trace('received', message)
    if (message.kind === 'response') this.#receiveResponse(message)
    else this.#receiveRequest(message, from)
  }

  #receiveResponse(response: SipMessage): void {
    const pending = this.#pending.get(response.branch)
    if (pending === undefined) {
      const again = response.method === 'INVITE' ? this.#acknowledgements.get(inviteKey(response)) : undefined
      if (again !== undefined) this.#send(again.bytes, again.to)
      return
    }
    if (response.status < 200) {
      if (pending.request.method === 'INVITE') pending.resend?.cancel()
      return
    }
    this.#settle(response.branch)
    if (pending.request.method === 'INVITE' && response.status >= 300) this.#acknowledgeFailure(pending, response)
    pending.resolve(response)
  }

  /**
   * RFC 3261 section 17.1.1.3: the ACK of a refusal has the Via of the INVITE, its Request-URI, Call-ID, From and CSeq
   * number, and the To of the answer.
   */
  #acknowledgeFailure({ request, branch }: Pending, response: SipMessage): void {
    const headers: Headers = [
      ...request.headers.filter(([name]) => name === 'From' || name === 'Call-ID'),
      ['To', response.get('To') ?? ''],
      ['CSeq', `${response.cseq} ACK`],
    ]
    const { uri, destination } = request
    const bytes = this.#serialise({ method: 'ACK', uri, destination, headers }, branch)
    this.#acknowledgements.set(inviteKey(response), { bytes, to: destination })
    this.#send(bytes, destination)
  }

  #receiveRequest(request: SipMessage, from: Endpoint): void {
    if (request.method === 'ACK') {
      this.#unacknowledged.get(inviteKey(request))?.cancel()
      this.#unacknowledged.delete(inviteKey(request))
      this.#options.onRequest(request, () => {})
      return
    }
    const key = `${request.branch} ${request.method}`
    const answered = this.#answers.get(key)
    if (answered !== undefined) return this.#send(answered, from)
    this.#options.onRequest(request, (status, reason, headers = [], body) => {
      const bytes = serialiseAnswer(request, from, { status, reason, headers, body })
      this.#answers.set(key, bytes)
      if (request.method === 'INVITE' && status >= 200) this.#sendUntilAcknowledged(request, bytes, from, t1)
      else this.#send(bytes, from)
    })
  }

  /** RFC 3261 section 13.3.1.4: a 2xx is sent again, after T1 and then ever later up to T2, until the ACK comes. */
  #sendUntilAcknowledged(request: SipMessage, bytes: Buffer, to: Endpoint, interval: number): void {
    this.#send(bytes, to)
    const again = () => this.#sendUntilAcknowledged(request, bytes, to, Math.min(interval * 2, t2))
    if (!this.#closed) this.#unacknowledged.set(inviteKey(request), this.#options.clock.after(interval, again))
  }

  #settle(branch: string): Pending | undefined {
    const pending = this.#pending.get(branch)
    pending?.resend?.cancel()
    pending?.giveUp.cancel()
    this.#pending.delete(branch)
    return pending
  }

  #trace(direction: TraceEntry['direction'], message: SipMessage): void {
    this.#options.onTrace({ at: this.#options.clock.now(), peer: this.#options.name, direction, message })
  }
}

function inviteKey(message: SipMessage): string {
  return `${message.callId} ${message.fromTag} ${message.cseq}`
}

function readMessage(bytes: Buffer): { message: SipMessage | undefined } {
  const result = parseMessage(bytes.toString('latin1'))
  return { message: result.ok ? result.message : undefined }
}

/** RFC 3261 section 8.2.6: Via, From, To, Call-ID and CSeq of the request; RFC 3581 section 4 for `received` and `rport`. */
function serialiseAnswer(
  request: SipMessage,
  from: Endpoint,
  answer: { status: number; reason: string; headers: Headers; body: string | undefined },
): Buffer {
  const [top = '', ...vias] = request.values('Via')
  const completed = `${top.replace(/;rport(?=;|$)/i, `;rport=${from.port}`)};received=${from.host}`
  const copied = ['From', 'Call-ID', 'CSeq'].map((name) => [name, request.get(name) ?? ''] as const)
  const to = request.get('To') ?? ''
  return serialise({
    startLine: `SIP/2.0 ${answer.status} ${answer.reason}`,
    headers: [
      ...[completed, ...vias].map((via) => ['Via', via] as const),
      ...copied,
      ['To', request.toTag === '' ? `${to};tag=${tagFor(request)}` : to],
      ...answer.headers,
      ...(answer.body === undefined ? [] : [['Content-Type', 'application/sdp'] as const]),
    ],
    body: answer.body ?? '',
  })
}

/** One tag for all answers of one call. */
function tagFor(request: SipMessage): string {
  return contentHash(`${request.callId} ${request.fromTag}`)
}
