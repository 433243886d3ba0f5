import { isUtf8 } from 'node:buffer'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { SendCallback } from './transport.ts'

/** What is told of a channel. After `closed` nothing more comes. */
export interface ChannelUser {
  /** It is open, and the peer is who it has to be. Not told of a channel that is open from the start. */
  opened(): void
  received(bytes: Buffer): void
  /** The peer has answered a `ping`. */
  ponged(): void
  closed(): void
  /** Why it is about to close. */
  failed(reason: string): void
}

/** What carries bytes to one peer and back: a TCP or TLS socket, or a WebSocket. */
export interface Channel {
  readonly writable: boolean
  /** Bytes that wait for the peer. */
  readonly unsent: number
  /** One character per byte. */
  write(text: string, sent?: SendCallback): void
  /** Asks the peer for a sign of life, where that is a matter of the channel and not of SIP. */
  ping?(): void
  destroy(): void
  attach(user: ChannelUser): void
}

/** A TCP or TLS socket; `openEvent` says when it may be written to, `connect` or `secureConnect`. */
export class SocketChannel implements Channel {
  readonly #socket: Socket
  readonly #openEvent: string | undefined

  constructor(socket: Socket, openEvent?: 'connect' | 'secureConnect') {
    this.#socket = socket
    this.#openEvent = openEvent
  }

  get writable(): boolean {
    return this.#socket.writable
  }

  get unsent(): number {
    return this.#socket.writableLength
  }

  write(text: string, sent?: SendCallback): void {
    this.#socket.write(text, 'latin1', sent)
  }

  destroy(): void {
    this.#socket.destroy()
  }

  attach(user: ChannelUser): void {
    const socket = this.#socket
    if (this.#openEvent !== undefined) socket.once(this.#openEvent, () => user.opened())
    socket.on('data', (bytes) => user.received(bytes))
    socket.on('error', (error) => user.failed(error.message))
    socket.on('close', () => user.closed())
    // A peer that closes its half gets no more requests; what is on its way to it is still sent.
    socket.on('end', () => socket.end())
  }
}

/** RFC 7118 §4.2: one SIP message in each WebSocket message, of text or of bytes. */
export class WebSocketChannel implements Channel {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  get writable(): boolean {
    return this.#socket.readyState <= this.#socket.OPEN
  }

  get unsent(): number {
    return this.#socket.bufferedAmount
  }

  write(text: string, sent?: SendCallback): void {
    const bytes = Buffer.from(text, 'latin1')
    // RFC 6455 §5.6: text has to be UTF-8, which a SIP message may not be.
    this.#socket.send(bytes, { binary: !isUtf8(bytes) }, sent)
  }

  /** RFC 6455 §5.5.3: whoever gets a Ping "MUST send a Pong frame in response", so that every browser does. */
  ping(): void {
    this.#socket.ping()
  }

  destroy(): void {
    this.#socket.terminate()
  }

  attach(user: ChannelUser): void {
    const socket = this.#socket
    socket.on('open', () => user.opened())
    socket.on('message', (data) => {
      if (Buffer.isBuffer(data)) user.received(data)
    })
    socket.on('pong', () => user.ponged())
    socket.on('error', (error) => user.failed(error.message))
    socket.on('close', () => user.closed())
  }
}
