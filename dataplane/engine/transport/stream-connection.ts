import { connect, type Socket } from 'node:net'
import { StreamFramer } from '../message/frame.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from '../transaction/timer-wheel.ts'
import type { Connection, Flow, Listener, Receiver, SendCallback } from './transport.ts'

/** How long the peer may take to accept a connection, in milliseconds. Shorter than a caller's patience. */
const CONNECT_TIMEOUT = 4000
/** How long a connection may say nothing before its first whole message, in milliseconds. */
const FIRST_MESSAGE_TIMEOUT = 30_000
/** How long a connection may be idle, in milliseconds; RFC 3261 §18 wants at least as long as a transaction lasts. */
const IDLE_TIMEOUT = 600_000
/** Bytes that wait for a peer that does not read, after which the connection is given up. */
const MAX_UNSENT = 4 * 1024 * 1024

const DOUBLE_CRLF_ANSWER = Buffer.from('\r\n')

interface Peer {
  readonly address: string
  readonly port: number
}

/** One connection of a stream transport: frames what comes in, sends what goes out, closes itself when it is idle. */
export class StreamConnection implements Connection, TimerTarget {
  readonly #socket: Socket
  readonly #flow: Flow
  readonly #receiver: Receiver
  readonly #wheel: TimerWheel
  readonly #framer = new StreamFramer()
  readonly #closeListeners: (() => void)[] = []
  #timer: WheelTimer | undefined
  #active = false
  #proven: boolean
  #closed = false

  constructor(
    listener: Listener,
    socket: Socket,
    peer: Peer & { readonly opened: boolean },
    receiver: Receiver,
    wheel: TimerWheel,
  ) {
    this.#socket = socket
    this.#flow = { listener, address: peer.address, port: peer.port, connection: this }
    this.#receiver = receiver
    this.#wheel = wheel
    this.#proven = !peer.opened
    this.#timer = peer.opened
      ? wheel.start(FIRST_MESSAGE_TIMEOUT, this, 'idle')
      : wheel.start(CONNECT_TIMEOUT, this, 'connect')
    socket.on('data', (bytes) => this.#receive(bytes))
    socket.on('error', () => {})
    socket.on('close', () => this.#closedNow())
    // A peer that closes its half gets no more requests; what is on its way to it is still sent.
    socket.on('end', () => socket.end())
  }

  /** Opens a connection from the listener's address; messages sent meanwhile wait for it. */
  static connect(listener: Listener, peer: Peer, receiver: Receiver, wheel: TimerWheel): StreamConnection {
    const socket = connect({
      host: peer.address,
      port: peer.port,
      localAddress: listener.address,
      noDelay: true,
      keepAlive: true,
    })
    const connection = new StreamConnection(listener, socket, { ...peer, opened: false }, receiver, wheel)
    socket.on('connect', () => connection.#connected())
    return connection
  }

  get open(): boolean {
    return !this.#closed && this.#socket.writable
  }

  send(text: string, sent: SendCallback): void {
    this.#active = true
    if (!this.open) sent(new Error('the connection is closed'))
    else if (this.#socket.writableLength > MAX_UNSENT) {
      sent(new Error('the peer does not read'))
      this.#socket.destroy()
    } else this.#socket.write(text, 'latin1', sent)
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener)
  }

  close(): void {
    this.#socket.destroy()
    this.#closedNow()
  }

  onTimer(event: string): void {
    if (event === 'idle' && this.#active) {
      this.#active = false
      this.#timer = this.#wheel.start(IDLE_TIMEOUT, this, 'idle')
    } else this.close()
  }

  #connected(): void {
    this.#wheel.cancel(this.#timer)
    this.#timer = this.#wheel.start(IDLE_TIMEOUT, this, 'idle')
  }

  #receive(bytes: Buffer): void {
    const read = this.#framer.push(bytes)
    for (let pings = read.pings; pings > 0 && this.open; pings--) {
      // RFC 5626 §4.4.1: "the server … responds with a single CRLF" to the double CRLF.
      this.#socket.write(DOUBLE_CRLF_ANSWER)
    }
    if (read.pings > 0 && this.#proven) this.#active = true
    for (const message of read.messages) {
      this.#active = true
      this.#proven = true
      this.#receiver.receive(message.toString('latin1'), this.#flow)
    }
    if (read.error !== undefined) {
      this.#receiver.outOfStep(this.#flow, read.error)
      this.close()
    }
  }

  #closedNow(): void {
    if (this.#closed) return
    this.#closed = true
    this.#wheel.cancel(this.#timer)
    for (const listener of this.#closeListeners) listener()
  }
}
