import type { LookupFunction } from 'node:net'
import { WebSocket } from 'ws'
import { ToReplica, wireSchema } from '#api/wire.ts'

/**
 * Simulated replicas of one fleet, in a process of their own: they connect, take every delta at once, and say when. Started
 * with a channel; the parent sends a `Crowd` once.
 */
export interface Crowd {
  readonly url: string
  readonly ca: string
  readonly fleet: string
  readonly replicas: readonly { readonly name: string; readonly token: string }[]
}

/** A delta was taken, at this time in milliseconds since 1970. */
export interface Taken {
  readonly replica: string
  readonly revision: string
  readonly at: number
  /** Resources that came with it. */
  readonly upserts: number
}

/** The name that the certificate is for, where the operator is. */
const loopback: LookupFunction = (_host, { all }, done) =>
  all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)

class Replica {
  readonly #crowd: Crowd
  readonly #name: string
  readonly #token: string
  readonly #known: Record<string, string> = {}
  #revision: string | null = null
  #epoch = 0

  constructor(crowd: Crowd, { name, token }: Crowd['replicas'][number]) {
    this.#crowd = crowd
    this.#name = name
    this.#token = token
  }

  connect(): void {
    const { url, ca } = this.#crowd
    const headers = { authorization: `Bearer ${this.#token}` }
    const socket = new WebSocket(url, { ca, headers, lookup: loopback, perMessageDeflate: false })
    socket.on('open', () => this.#greet(socket))
    socket.on('message', (data) => this.#take(socket, ToReplica.parse(JSON.parse((data as Buffer).toString()))))
    socket.on('error', () => undefined)
    // Full jitter up to a second: the bench is about the operator, not about patience.
    socket.on('close', () => setTimeout(() => this.connect(), Math.random() * 1000))
  }

  #greet(socket: WebSocket): void {
    const { fleet } = this.#crowd
    const hello = {
      type: 'hello',
      schema: wireSchema,
      fleet,
      replica: this.#name,
      instance: 'bench',
      epoch: this.#epoch,
    }
    socket.send(JSON.stringify({ ...hello, revision: this.#revision, known: this.#known }))
  }

  #take(socket: WebSocket, message: ToReplica): void {
    if (message.type !== 'delta') return
    this.#epoch = message.epoch
    this.#revision = message.revision
    for (const key of message.removes) delete this.#known[key]
    for (const resource of message.upserts as { key: string; version: string }[])
      this.#known[resource.key] = resource.version
    socket.send(JSON.stringify({ type: 'ack', nonce: message.nonce, revision: message.revision, errors: [] }))
    const taken: Taken = {
      replica: this.#name,
      revision: message.revision,
      at: Date.now(),
      upserts: message.upserts.length,
    }
    process.send?.(taken)
  }
}

process.once('message', (crowd: Crowd) => {
  for (const replica of crowd.replicas) new Replica(crowd, replica).connect()
})
process.on('disconnect', () => process.exit(0))
