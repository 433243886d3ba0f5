import { once } from 'node:events'
import { WebSocket } from 'ws'
import { type Ack, type Delta, type FromReplica, type Hello, ToReplica, wireSchema } from '#api/wire.ts'

/** The bare end of a replica's connection: says what the test says, and keeps what comes until it is asked for. */
export class ReplicaSocket {
  readonly socket: WebSocket
  /** Resolves with the close code. */
  readonly closed: Promise<number>
  /** Every text that came, in order. */
  readonly frames: string[] = []
  readonly #waiting: ToReplica[] = []
  #wake: (() => void) | undefined

  constructor(url: string, token: string) {
    this.socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } })
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code) => {
        this.#wake?.()
        resolve(code)
      })
    })
    this.socket.on('error', () => undefined)
    this.socket.on('message', (data: Buffer) => {
      this.frames.push(data.toString())
      this.#waiting.push(ToReplica.parse(JSON.parse(data.toString())))
      this.#wake?.()
    })
  }

  static async connect(url: string, token: string): Promise<ReplicaSocket> {
    const replica = new ReplicaSocket(url, token)
    await once(replica.socket, 'open')
    return replica
  }

  send(message: FromReplica): void {
    this.socket.send(JSON.stringify(message))
  }

  hello(hello: Partial<Hello> = {}): void {
    this.send({
      type: 'hello',
      schema: wireSchema,
      fleet: 'voice/edge',
      replica: 'edge-0',
      instance: 'first',
      epoch: 0,
      revision: null,
      known: {},
      ...hello,
    })
  }

  ack(delta: Delta, ack: Partial<Ack> = {}): void {
    this.send({ type: 'ack', nonce: delta.nonce, revision: delta.revision, errors: [], ...ack })
  }

  /** The next message of that type; others that come before it are dropped. Rejects when the connection closes. */
  async next<T extends ToReplica['type']>(type: T): Promise<Extract<ToReplica, { type: T }>> {
    for (;;) {
      const message = this.#waiting.shift()
      if (message !== undefined) {
        if (message.type === type) return message as Extract<ToReplica, { type: T }>
        continue
      }
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error(`closed before a ${type} came`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Resolves when everything sent so far was read at the other end, and what it answered has come. */
  async roundTrip(): Promise<void> {
    this.socket.ping()
    await once(this.socket, 'pong')
  }
}
