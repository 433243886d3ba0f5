import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { FrameDecoder } from '../../dataplane/engine/wire/frame-decoder.ts'
import { readMessage } from '../../dataplane/engine/message/parse.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { secret } from './served.ts'

/** A frame taken apart. */
export interface Frame {
  readonly tokens: readonly string[]
  readonly text: string
}

/** A SIP message from the engine, by the places of its leader. */
export interface Delivered {
  readonly message: SipMessage
  readonly origin: string
  readonly transactionId: string
  readonly dialogId: string
  readonly tokens: readonly string[]
}

/** An application that speaks the drachtio protocol and does nothing by itself. */
export class ApplicationProbe {
  readonly #socket: Socket
  readonly #decoder = new FrameDecoder()
  readonly #frames: Frame[] = []
  #waiting: (() => void)[] = []
  #serial = 0
  readonly closed: Promise<unknown>

  private constructor(socket: Socket) {
    this.#socket = socket
    this.closed = once(socket, 'close')
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      for (const text of this.#decoder.push(bytes).frames) {
        const end = text.indexOf('\r\n')
        const leader = end < 0 ? text : text.slice(0, end)
        this.#frames.push({ tokens: leader.split('|'), text: end < 0 ? '' : text.slice(end + 2) })
      }
      const waiting = this.#waiting
      this.#waiting = []
      for (const resolve of waiting) resolve()
    })
  }

  static async connect(port: number): Promise<ApplicationProbe> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    await once(socket, 'connect')
    return new ApplicationProbe(socket)
  }

  /** Connects, says the secret, and takes the methods. */
  static async serving(port: number, methods: readonly string[]): Promise<ApplicationProbe> {
    const probe = await ApplicationProbe.connect(port)
    await probe.command(`authenticate|${secret}|`)
    for (const method of methods) await probe.command(`route|${method}`)
    return probe
  }

  /** Sends bytes as they are. */
  write(bytes: Buffer | string): void {
    this.#socket.write(bytes)
  }

  /** Sends a frame and gives the tokens of its reply after the message id. */
  async command(command: string, message = ''): Promise<Frame> {
    const id = `message-${++this.#serial}`
    const text = message === '' ? `${id}|${command}` : `${id}|${command}\r\n${message}`
    this.write(Buffer.from(`${Buffer.byteLength(text, 'latin1')}#${text}`, 'latin1'))
    const reply = await this.take((frame) => frame.tokens[1] === 'response' && frame.tokens[2] === id)
    return { tokens: reply.tokens.slice(3), text: reply.text }
  }

  /** Answers a request. */
  respond(transactionId: string, text: string): Promise<Frame> {
    return this.command(`sip|${transactionId}|`, text)
  }

  /** The first frame that is wanted, of those that came and those that will; it is taken out. */
  async take(wanted: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const at = this.#frames.findIndex(wanted)
      const [found] = at < 0 ? [] : this.#frames.splice(at, 1)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** The next SIP message that is wanted. */
  async sip(wanted: (message: SipMessage) => boolean): Promise<Delivered> {
    const { tokens, text } = await this.take((frame) => frame.tokens[1] === 'sip' && wanted(read(frame.text)))
    const [, , origin = '', , , , , , transactionId = '', dialogId = ''] = tokens
    return { message: read(text), origin, transactionId, dialogId, tokens }
  }

  request(method: string): Promise<Delivered> {
    return this.sip((message) => message.kind === 'request' && message.method === method)
  }

  response(status: number): Promise<Delivered> {
    return this.sip((message) => message.status === status)
  }

  /** SIP messages that have come and were not taken; what the engine sent before this call is among them. */
  async untaken(): Promise<readonly SipMessage[]> {
    await this.command('ping')
    return this.#frames.filter((frame) => frame.tokens[1] === 'sip').map((frame) => read(frame.text))
  }

  /** Reads nothing until `resume`. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#socket.destroy()
  }
}

function read(text: string): SipMessage {
  const parsed = readMessage(text)
  if (!parsed.ok) throw new Error(`${parsed.reason}: ${text}`)
  return parsed.message
}
