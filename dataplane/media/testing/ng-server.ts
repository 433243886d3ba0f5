import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { bdecode, bencode } from '../bencode.ts'
import type { NgFields } from '../ng-client.ts'

export interface NgRequest {
  readonly cookie: string
  readonly fields: NgFields
  /** Sends that answer, or exactly those bytes. */
  answer(fields: NgFields | Buffer): void
}

/** A media engine as a script: a bare socket that shows each request, and answers what it is told. */
export class NgServer {
  readonly port: number
  readonly requests: NgRequest[] = []
  readonly #socket: Socket
  #read = 0
  #waiting: (() => void)[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    this.port = socket.address().port
    socket.on('message', (packet, from) => this.#take(packet, from))
  }

  static async start(port = 0): Promise<NgServer> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve))
    return new NgServer(socket)
  }

  /** The next request of that command; others are passed over. */
  async next(command: string): Promise<NgRequest> {
    for (;;) {
      while (this.#read < this.requests.length) {
        const request = this.requests[this.#read++]
        if (request?.fields['command'] === command) return request
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }

  #take(packet: Buffer, from: RemoteInfo): void {
    const space = packet.indexOf(0x20)
    const cookie = packet.toString('latin1', 0, space)
    const fields = bdecode(packet.subarray(space + 1)) as NgFields
    const send = (bytes: Buffer) =>
      this.#socket.send(Buffer.concat([Buffer.from(`${cookie} `), bytes]), from.port, from.address)
    this.requests.push({
      cookie,
      fields,
      answer: (given) => send(Buffer.isBuffer(given) ? given : bencode(given)),
    })
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
