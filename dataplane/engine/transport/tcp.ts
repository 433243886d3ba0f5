import { createServer, type Server, type Socket } from 'node:net'
import type { ListenerAddress } from '../engine.types.ts'
import type { TimerWheel } from '../transaction/timer-wheel.ts'
import { formatHostPort, ipFamily, unmapped } from './address.ts'
import { StreamConnection } from './stream-connection.ts'
import type { Flow, Listener, Receiver, SendCallback } from './transport.ts'

/** Open connections of one listener, and of one address on it. What comes after is closed at once. */
const MAX_CONNECTIONS = 2000
const MAX_CONNECTIONS_PER_ADDRESS = 200

/** Opens a TCP listener. Rejects with the system error of bind. */
export async function openTcp(wanted: ListenerAddress, receiver: Receiver, wheel: TimerWheel): Promise<Listener> {
  const server = createServer({ noDelay: true, keepAlive: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: wanted.address, port: wanted.port, ipv6Only: true, exclusive: true }, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
  return new TcpListener(wanted, server, receiver, wheel)
}

class TcpListener implements Listener {
  readonly name: string
  readonly transport = 'TCP'
  readonly reliable = true
  readonly family: 4 | 6
  readonly address: string
  readonly port: number
  readonly hostPort: string
  readonly #server: Server
  readonly #receiver: Receiver
  readonly #wheel: TimerWheel
  /** By address and port of the peer, so that requests find the connection that is open to it. */
  readonly #connections = new Map<string, StreamConnection>()
  readonly #perAddress = new Map<string, number>()
  #closed = false

  constructor(wanted: ListenerAddress, server: Server, receiver: Receiver, wheel: TimerWheel) {
    const bound = server.address()
    this.name = wanted.name
    this.family = ipFamily(wanted.address) === 6 ? 6 : 4
    this.address = wanted.address
    this.port = bound !== null && typeof bound === 'object' ? bound.port : wanted.port
    this.hostPort = formatHostPort(this.address, this.port)
    this.#server = server
    this.#receiver = receiver
    this.#wheel = wheel
    // `accept` failed, as when there is no file descriptor left: the next one may succeed.
    server.on('error', () => {})
    server.on('connection', (socket) => this.#accept(socket))
  }

  get connections(): number {
    return this.#connections.size
  }

  send(text: string, flow: Flow, sent: SendCallback): void {
    // RFC 3261 §18.2.2: "the response MUST be sent using the existing connection to the source of the original request
    // that created the transaction, if that connection is still open. … If that connection is no longer open, the
    // server SHOULD open a connection".
    if (flow.connection?.open === true) flow.connection.send(text, sent)
    else if (this.#closed) sent(new Error(`listener ${this.name} is closed`))
    else this.#connectionTo(flow.address, flow.port).send(text, sent)
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    for (const connection of this.#connections.values()) connection.close()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #accept(socket: Socket): void {
    const address = unmapped(socket.remoteAddress ?? '')
    const port = socket.remotePort ?? 0
    if (this.#closed || address === '' || this.#isFull(address)) {
      socket.destroy()
      return
    }
    const connection = new StreamConnection(this, socket, { address, port, opened: true }, this.#receiver, this.#wheel)
    this.#keep(connection, address, port)
  }

  /** RFC 3261 §18: a connection that is open to the address and port is used again. */
  #connectionTo(address: string, port: number): StreamConnection {
    const existing = this.#connections.get(`${address} ${port}`)
    if (existing !== undefined) return existing
    const connection = StreamConnection.connect(this, { address, port }, this.#receiver, this.#wheel)
    this.#keep(connection, address, port)
    return connection
  }

  #keep(connection: StreamConnection, address: string, port: number): void {
    const key = `${address} ${port}`
    this.#connections.set(key, connection)
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
    connection.onClose(() => {
      if (this.#connections.get(key) === connection) this.#connections.delete(key)
      const left = (this.#perAddress.get(address) ?? 1) - 1
      if (left > 0) this.#perAddress.set(address, left)
      else this.#perAddress.delete(address)
    })
  }

  #isFull(address: string): boolean {
    return (
      this.#connections.size >= MAX_CONNECTIONS || (this.#perAddress.get(address) ?? 0) >= MAX_CONNECTIONS_PER_ADDRESS
    )
  }
}
