import type { WebSocket } from 'ws'

/**
 * Largest write, in bytes, the header of a WebSocket frame included. From 16 KiB on Node encrypts a write into a buffer of its
 * size, and keeps two of the largest for as long as the connection lasts (`set_allocate_tls_hint`): a thousand replicas that
 * were sent 100 KB once would cost 200 MB for ever.
 */
const largestWrite = 16 * 1024 - 1
const frameHeader = 4
const partBytes = largestWrite - frameHeader

interface Waiting {
  readonly message: Buffer
  readonly sent: () => void
  /** So much of it is sent. */
  from: number
}

/** Text messages on their way to one peer, in order; large ones in parts (RFC 6455 §5.4), each when the one before has left. */
export class Outbox {
  readonly #socket: WebSocket
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  /** Bytes that were given and have not left. */
  get bytes(): number {
    return this.#waitingBytes + this.#socket.bufferedAmount
  }

  /** `sent` is called when the message is with the kernel, or will never be. */
  send(message: Buffer, sent: () => void): void {
    if (this.#waiting.length === 0 && message.length <= partBytes) {
      this.#socket.send(message, { binary: false }, sent)
      return
    }
    this.#waiting.push({ message, sent, from: 0 })
    this.#waitingBytes += message.length
    if (this.#waiting.length === 1) this.#sendPart()
  }

  #sendPart(): void {
    const [first] = this.#waiting
    if (first === undefined) return
    const part = first.message.subarray(first.from, first.from + partBytes)
    first.from += part.length
    this.#waitingBytes -= part.length
    const isLast = first.from === first.message.length
    this.#socket.send(part, { binary: false, fin: isLast }, (error) => {
      if (error) return this.#giveUp()
      if (isLast) this.#waiting.shift()
      this.#sendPart()
      if (isLast) first.sent()
    })
  }

  /** The connection is gone. */
  #giveUp(): void {
    this.#waitingBytes = 0
    for (const { sent } of this.#waiting.splice(0)) sent()
  }
}
