import type { StreamFramer, WholeMessages } from '../message/frame.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from '../transaction/timer-wheel.ts'
import type { Channel, ChannelUser } from './channel.ts'
import type { Connection, Flow, Receiver, SendCallback } from './transport.ts'

/** How long the peer may take to accept a connection, handshakes included, in milliseconds. Shorter than a caller's patience. */
const CONNECT_TIMEOUT = 4000
/** How long a connection may say nothing before its first whole message, in milliseconds. */
const FIRST_MESSAGE_TIMEOUT = 30_000
/** How long a connection may be idle, in milliseconds; RFC 3261 §18 wants at least as long as a transaction lasts. */
const IDLE_TIMEOUT = 600_000
/** Bytes that wait for a peer that does not read, after which the connection is given up. */
const MAX_UNSENT = 4 * 1024 * 1024
/** Messages that wait while a connection is being opened; more are refused at once. */
const MAX_WAITING = 1000
/** RFC 5626 §4.4.1: "a random number between 95 and 120 seconds" between keepalives where the peer asks for none. */
const PING_INTERVAL = { shortest: 95_000, spread: 25_000 } as const
/** RFC 5626 §4.4.1: "If a pong is not received within 10 seconds after sending a ping …, then the client MUST treat the flow as failed." */
const PONG_TIMEOUT = 10_000

const PING = '\r\n\r\n'
const PONG = '\r\n'

export interface ConnectionParts {
  readonly channel: Channel
  readonly framer: StreamFramer | WholeMessages
  readonly receiver: Receiver
  readonly wheel: TimerWheel
  /** From 0 up to 1. */
  readonly random: () => number
  /** The peer has opened it, and not we. */
  readonly accepted: boolean
  /** Names in the peer's certificate, if that was verified. */
  readonly names: readonly string[]
}

/** One connection to a peer: frames what comes in, sends what goes out, closes itself when it is idle. */
export class StreamConnection implements Connection, ChannelUser, TimerTarget {
  readonly names: readonly string[]
  readonly #parts: ConnectionParts
  readonly #flow: Flow
  readonly #closeListeners: (() => void)[] = []
  /** What was sent while it is being opened. */
  #waiting: { text: string; sent: SendCallback }[] | undefined
  #timer: WheelTimer | undefined
  #pingTimer: WheelTimer | undefined
  #active = false
  /** Something was sent to the peer. */
  #addressed = false
  #proven: boolean
  /** The peer has answered a ping, or has to, so that silence means something. */
  #answersPings = false
  #closed = false
  #failure: string | undefined

  constructor(peer: Omit<Flow, 'connection'>, parts: ConnectionParts) {
    const { accepted, wheel, channel, names } = parts
    this.names = names
    this.#parts = parts
    this.#flow = { ...peer, connection: this }
    this.#proven = !accepted
    this.#waiting = accepted ? undefined : []
    this.#timer = accepted
      ? wheel.start(FIRST_MESSAGE_TIMEOUT, this, 'idle')
      : wheel.start(CONNECT_TIMEOUT, this, 'connect')
    this.#answersPings = channel.ping !== undefined
    // RFC 7118 §6: nobody can connect to a browser again, so that its connection has to last as long as its calls.
    if (accepted && channel.ping !== undefined) this.#startPing()
    channel.attach(this)
  }

  get port(): number {
    return this.#flow.port
  }

  /** Whether the peer is no stranger, or has at least got something sent. */
  get known(): boolean {
    return this.#addressed || this.#parts.receiver.welcomes(this.#flow, this.names)
  }

  get open(): boolean {
    return !this.#closed && this.#parts.channel.writable
  }

  send(text: string, sent: SendCallback): void {
    this.#active = true
    this.#addressed = true
    if (!this.open) sent(this.#error())
    else if (this.#waiting !== undefined) {
      if (this.#waiting.length < MAX_WAITING) this.#waiting.push({ text, sent })
      else sent(new Error('too much waits for the connection'))
    } else if (this.#parts.channel.unsent > MAX_UNSENT) {
      sent(new Error('the peer does not read'))
      this.#parts.channel.destroy()
    } else this.#parts.channel.write(text, sent)
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener)
  }

  close(): void {
    this.#parts.channel.destroy()
    this.closed()
  }

  opened(): void {
    const { wheel, channel } = this.#parts
    wheel.cancel(this.#timer)
    if (this.#closed) return
    this.#timer = wheel.start(IDLE_TIMEOUT, this, 'idle')
    this.#startPing()
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const { text, sent } of waiting) channel.write(text, sent)
  }

  received(bytes: Buffer): void {
    const { framer, receiver } = this.#parts
    const read = framer.push(bytes)
    if (read.pings > 0) this.#pong(read.pings)
    if (read.pings > 0 && this.#proven) this.#active = true
    if (read.pongs > 0) this.ponged()
    for (const message of read.messages) {
      this.#active = true
      this.#proven = true
      receiver.receive(message.toString('latin1'), this.#flow)
    }
    if (read.error !== undefined) {
      receiver.outOfStep(this.#flow, read.error)
      this.close()
    }
  }

  /**
   * RFC 5626 §4.4.1: "the server … responds with a single CRLF" to the double CRLF. A stranger, to whom nothing else was
   * said either, learns nothing by it.
   */
  #pong(pings: number): void {
    if (!this.known || !this.open) return
    if (this.#parts.channel.unsent > MAX_UNSENT) this.#giveUp('the peer does not read')
    else this.#parts.channel.write(PONG.repeat(pings))
  }

  ponged(): void {
    this.#parts.framer.pongDue = false
    this.#answersPings = true
    if (this.#proven) this.#active = true
  }

  failed(reason: string): void {
    this.#failure = reason
    if (this.#waiting !== undefined) this.#parts.receiver.notConnected(this.#flow, reason)
  }

  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#parts.wheel.cancel(this.#timer)
    this.#parts.wheel.cancel(this.#pingTimer)
    const wasOpened = this.#waiting === undefined
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const listener of this.#closeListeners) listener()
    for (const { sent } of waiting) sent(this.#error())
    // A peer that closes it in order has read what there was, and may answer over another (RFC 3261 §18.2.2).
    if (wasOpened && this.#addressed && this.#failure !== undefined) {
      this.#parts.receiver.brokenOff(this, this.#failure)
    }
  }

  onTimer(event: string): void {
    const { wheel, framer, channel } = this.#parts
    if (event === 'ping') {
      framer.pinged()
      if (channel.ping === undefined) channel.write(PING)
      else channel.ping()
      this.#pingTimer = wheel.start(PONG_TIMEOUT, this, 'pong')
    } else if (event === 'pong') {
      // A peer that has never answered a ping may not know them.
      if (framer.pongDue && this.#answersPings) this.#giveUp('the peer answers no keepalive')
      else this.#startPing()
    } else if (event === 'idle' && this.#active && this.known) {
      this.#active = false
      this.#timer = wheel.start(IDLE_TIMEOUT, this, 'idle')
    } else this.#giveUp(event === 'idle' ? 'the connection was idle' : 'the peer does not take the connection')
  }

  #startPing(): void {
    const { wheel, random } = this.#parts
    this.#pingTimer = wheel.start(PING_INTERVAL.shortest + random() * PING_INTERVAL.spread, this, 'ping')
  }

  #giveUp(reason: string): void {
    this.failed(reason)
    this.close()
  }

  #error(): Error {
    return new Error(this.#failure ?? 'the connection is closed')
  }
}
