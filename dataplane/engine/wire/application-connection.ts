import type { Socket } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import type { Delivery, Outcome, RequestOrder, ResponseOrder, ServedApplication } from '../dialog/application.ts'
import { readMessage } from '../message/parse.ts'
import { FrameDecoder } from './frame-decoder.ts'
import { type ProxyOrder, type ProxyProgress, readProxyOrder } from '../proxy/proxy-order.ts'
import {
  formatTime,
  noticeFrame,
  outcomeFrame,
  proxiedFrame,
  replyFrame,
  requestFrame,
  responseFrame,
} from './leader.ts'

/** Bytes the application has not read yet, above which it gets no new calls. */
const BEHIND = 1024 * 1024
/** Bytes the application has not read yet, above which it is taken for dead. */
const LOST = 64 * 1024 * 1024
/** Frames taken per turn, so that a burst of orders leaves room for the network. */
const FRAMES_PER_TURN = 64

/** What a connection wants done. */
export interface ConnectionUser {
  /** The secret is right, compared in constant time. */
  authenticate(secret: string): boolean
  /** It has said the secret. */
  joined(): void
  /** After `OK`: addresses by which peers reach us, the server's version, and the addresses that are bound. */
  greeting(): string
  request(connection: ApplicationConnection, order: RequestOrder, done: (outcome: Outcome) => void): void
  respond(connection: ApplicationConnection, order: ResponseOrder, done: (outcome: Outcome) => void): void
  proxy(connection: ApplicationConnection, order: ProxyOrder, progress: ProxyProgress): void
  closed(connection: ApplicationConnection): void
}

/**
 * One application on the drachtio protocol. It is served only after it has said the secret. Methods it routes are a set:
 * saying one twice changes nothing, and removing one leaves the others.
 */
export class ApplicationConnection implements ServedApplication {
  readonly methods = new Set<string>()
  wantsTrying = false
  readonly #socket: Socket
  readonly #user: ConnectionUser
  readonly #clock: Clock
  readonly #decoder = new FrameDecoder()
  #waiting: string[] = []
  #next = 0
  #authenticated = false
  #gone = false
  #outgoing = ''
  #flushing = false

  constructor(socket: Socket, user: ConnectionUser, clock: Clock) {
    this.#socket = socket
    this.#user = user
    this.#clock = clock
    socket.on('data', (bytes) => this.#receive(bytes))
    socket.on('error', () => {})
    socket.on('close', () => this.#closed())
  }

  get authenticated(): boolean {
    return this.#authenticated
  }

  get gone(): boolean {
    return this.#gone
  }

  /** It does not keep up with what it is sent. */
  get behind(): boolean {
    return this.#socket.writableLength + this.#outgoing.length > BEHIND
  }

  deliverRequest(delivery: Delivery): void {
    this.#send(requestFrame(delivery, this.#time()))
  }

  deliverResponse(delivery: Delivery): void {
    this.#send(responseFrame(delivery, this.#time()))
  }

  deliverNotice(delivery: Delivery): void {
    this.#send(noticeFrame(delivery, this.#time()))
  }

  close(): void {
    this.#socket.destroy()
    this.#closed()
  }

  #closed(): void {
    if (this.#gone) return
    this.#gone = true
    this.#user.closed(this)
  }

  #time(): string {
    return formatTime(this.#clock.wallTime())
  }

  /** Frames of one turn of the event loop leave in one write. */
  #send(frame: string): void {
    if (this.#gone) return
    this.#outgoing += frame
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#flushing = false
    const text = this.#outgoing
    this.#outgoing = ''
    if (this.#gone || text === '') return
    this.#socket.write(text, 'latin1')
    if (this.#socket.writableLength > LOST) this.close()
  }

  #receive(bytes: Buffer): void {
    const { frames, error } = this.#decoder.push(bytes)
    this.#waiting = this.#waiting.length === 0 ? frames : this.#waiting.concat(frames)
    this.#work()
    if (error !== undefined) this.#end()
  }

  readonly #work = (): void => {
    const end = Math.min(this.#next + FRAMES_PER_TURN, this.#waiting.length)
    while (this.#next < end && !this.#gone) this.#obey(this.#waiting[this.#next++] ?? '')
    if (this.#gone || this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
      this.#socket.resume()
    } else {
      this.#socket.pause()
      setImmediate(this.#work)
    }
  }

  #obey(text: string): void {
    const end = text.indexOf('\r\n')
    const tokens = (end < 0 ? text : text.slice(0, end)).split('|')
    const [id = '', type = ''] = tokens
    if (type === 'authenticate') return this.#authenticate(id, tokens[2] ?? '')
    // Nothing is obeyed before the secret was said.
    if (!this.#authenticated) return this.#dismiss(id, 'not authenticated')
    switch (type) {
      case 'sip':
        return this.#try(id, () => this.#order(id, tokens, end < 0 ? '' : text.slice(end + 2)))
      case 'route':
        this.#route((tokens[2] ?? '').toUpperCase())
        return this.#reply(id, 'OK')
      case 'remove_route':
        this.methods.delete((tokens[2] ?? '').toUpperCase())
        return this.#reply(id, 'OK')
      case 'ping':
        return this.#reply(id, 'OK|pong')
      case 'proxy':
        return this.#try(id, () => this.#proxy(id, tokens, end < 0 ? '' : text.slice(end + 2)))
      default:
        return this.#dismiss(id, tokens.length < 2 ? 'Invalid message format' : 'Unknown message type')
    }
  }

  /** `trying` is no method: it asks for the 100 Trying of the application's INVITEs. Other servers take it for one. */
  #route(method: string): void {
    if (method === 'TRYING') this.wantsTrying = true
    else this.methods.add(method)
  }

  #authenticate(id: string, secret: string): void {
    if (!this.#user.authenticate(secret)) return this.#dismiss(id, 'incorrect secret')
    this.#authenticated = true
    this.#user.joined()
    this.#reply(id, `OK|${this.#user.greeting()}`)
  }

  /** An order that cannot be written as a message is refused; it must not end the engine. */
  #try(id: string, obey: () => void): void {
    try {
      obey()
    } catch (error) {
      this.#reply(id, `NOK|${error instanceof Error ? error.message : String(error)}`)
    }
  }

  #proxy(id: string, tokens: readonly string[], text: string): void {
    const parsed = readMessage(text)
    const order = parsed.ok ? readProxyOrder(tokens, parsed.message) : parsed.reason
    if (typeof order === 'string') return this.#reply(id, `NOK|${order}`)
    this.#user.proxy(this, order, {
      response: (response, from) => this.#send(proxiedFrame(id, response, from, this.#time())),
      done: () => this.#reply(id, 'OK|done'),
      refused: (reason) => this.#reply(id, `NOK|${reason}`),
    })
  }

  #order(id: string, tokens: readonly string[], text: string): void {
    const parsed = readMessage(text)
    if (!parsed.ok) return this.#reply(id, `NOK|${parsed.reason}`)
    const { message } = parsed
    const [, , transactionId = '', dialogId = '', nextHop = ''] = tokens
    if (message.kind === 'response') {
      this.#user.respond(this, { transactionId, response: message }, (outcome) => {
        this.#send(outcomeFrame(id, outcome, this.#time(), true))
      })
    } else {
      this.#user.request(this, { transactionId, dialogId, nextHop, request: message }, (outcome) => {
        this.#send(outcomeFrame(id, outcome, this.#time(), false))
      })
    }
  }

  #reply(id: string, result: string): void {
    this.#send(replyFrame(id, result))
  }

  #dismiss(id: string, reason: string): void {
    this.#reply(id, `NO|${reason}`)
    this.#end()
  }

  /** Says what is still to be said, and closes. */
  #end(): void {
    this.#flush()
    this.#socket.destroySoon()
    this.#closed()
  }
}
