import { isIP, type LookupFunction } from 'node:net'
import { type ClientOptions, type RawData, WebSocket } from 'ws'
import { type Ack, type Drain, type Hello, type Report, ToReplica } from '#api/wire.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'

export interface ControlLinkOptions {
  readonly url: string
  /** Which of the addresses of the URL's host is connected to; absent: whichever the system takes. */
  readonly address?: string | undefined
  /** Read at every attempt, since tokens are renewed. */
  readonly token: () => Promise<string>
  /** Certificate authorities of the control side, PEM, read at every attempt; undefined: those of the system. */
  readonly authorities: () => Promise<string | undefined>
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1), for jitter. */
  readonly random: () => number
  /** The connection is open: time to say hello. */
  readonly onOpen: () => void
  readonly onMessage: (message: Exclude<ToReplica, { type: 'bye' }>) => void
  readonly onClose: () => void
}

/**
 * Upper bounds of the random delay before the n-th attempt in a row, in milliseconds; the last one repeats. The first are
 * short, so that a control side that was only started again is found within a second; the last is long and every delay is
 * anything from zero up to it, so that a thousand replicas do not come at once.
 */
const attemptDelays = [250, 500, 500, 500, 500, 500, 1_000, 2_000, 4_000, 8_000, 15_000]
/** Three of the control side's heartbeats, and a bit, in milliseconds. */
const silenceMilliseconds = 35_000
/** Time for a connection to be made, in milliseconds. */
const handshakeMilliseconds = 5_000
/** Largest message taken, in bytes. */
const messageBytes = 256 * 1024 * 1024

/** The connection to one control side, made again whenever it is lost. */
export class ControlLink {
  readonly #options: ControlLinkOptions
  #socket: WebSocket | undefined
  #attempts = 0
  /** The other side ended the connection for a reason: coming back at once is of no use. */
  #dismissed = false
  #retry: Timer | undefined
  #watchdog: Timer | undefined
  #stopped = false
  #lastTrouble = ''

  constructor(options: ControlLinkOptions) {
    this.#options = options
  }

  start(): void {
    void this.#connect()
  }

  /** Closes the connection and makes no other. */
  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
    this.#watchdog?.cancel()
    const socket = this.#socket
    if (socket === undefined) return
    socket.close(1001)
    // What waits to be sent may go out; a peer that does not answer the close holds up nothing.
    this.#retry = this.#options.clock.after(500, () => socket.terminate())
  }

  /** Lost when there is no connection: whoever connects next says everything anew. */
  send(message: Hello | Ack | Report | Drain): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  /** The control side took us on: the next loss is a new story. */
  settled(): void {
    this.#attempts = 0
    this.#lastTrouble = ''
  }

  async #connect(): Promise<void> {
    let options: ClientOptions
    try {
      options = await this.#clientOptions()
    } catch (error) {
      this.#trouble(`the credentials cannot be read: ${error instanceof Error ? error.message : String(error)}`)
      return this.#later()
    }
    if (this.#stopped) return
    const socket = new WebSocket(this.#options.url, options)
    this.#socket = socket
    socket.on('open', () => {
      this.#options.log.info({ url: this.#options.url }, 'connected to the control side')
      this.#heard()
      this.#options.onOpen()
    })
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    socket.on('ping', () => {
      this.#heard()
      this.settled()
    })
    socket.on('error', (error) => this.#trouble(explain(error)))
    socket.on('close', () => this.#lost())
  }

  async #clientOptions(): Promise<ClientOptions> {
    const { address, token, authorities } = this.#options
    const ca = await authorities()
    return {
      headers: { authorization: `Bearer ${await token()}` },
      handshakeTimeout: handshakeMilliseconds,
      maxPayload: messageBytes,
      perMessageDeflate: false,
      ...(ca !== undefined && { ca }),
      ...(address !== undefined && { lookup: always(address) }),
    }
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#heard()
    const message = isBinary ? undefined : parse(data)
    if (message === undefined) {
      this.#trouble('it sent what is not a message of the protocol; run the same release on both sides')
      this.#dismissed = true
      this.#socket?.close(1002)
    } else if (message.type === 'bye') {
      this.#trouble(message.reason)
      this.#dismissed = true
    } else {
      this.#options.onMessage(message)
    }
  }

  #heard(): void {
    this.#watchdog?.cancel()
    this.#watchdog = this.#options.clock.after(silenceMilliseconds, () => {
      this.#trouble(`nothing was heard for ${silenceMilliseconds / 1000} s`)
      this.#socket?.terminate()
    })
  }

  #lost(): void {
    this.#socket = undefined
    this.#watchdog?.cancel()
    if (this.#stopped) {
      this.#retry?.cancel()
      return
    }
    this.#options.onClose()
    this.#later()
  }

  #later(): void {
    if (this.#stopped) return
    const last = attemptDelays.length - 1
    const most = attemptDelays[this.#dismissed ? last : Math.min(this.#attempts, last)] ?? 0
    this.#attempts++
    this.#dismissed = false
    this.#retry = this.#options.clock.after(this.#options.random() * most, () => void this.#connect())
  }

  /** The same trouble again and again is one line in the log. */
  #trouble(reason: string): void {
    if (this.#stopped || reason === this.#lastTrouble) return
    this.#lastTrouble = reason
    this.#options.log.warn({ url: this.#options.url, reason }, 'no control side; what runs, runs on')
  }
}

function parse(data: RawData): ToReplica | undefined {
  try {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)
    const result = ToReplica.safeParse(JSON.parse(bytes.toString()))
    return result.success ? result.data : undefined
  } catch {
    return undefined
  }
}

/** A look-up that has found the address already; the name stays what the certificate is checked against. */
function always(address: string): LookupFunction {
  const family = isIP(address)
  return (_host, { all }, done) => (all === true ? done(null, [{ address, family }]) : done(null, address, family))
}

function explain(error: Error): string {
  return error.message.includes('401') ? 'it refused the credentials: check the token' : error.message
}
