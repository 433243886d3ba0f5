import type { Server as HttpServer } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Server as TlsServer, TLSSocket } from 'node:tls'
import { detached } from '#lib/detached.ts'
import type { ClientTls, ListenerAddress, TlsTarget } from '../engine.types.ts'
import { comparableName, holdsName } from '../message/domain-name.ts'
import { StreamFramer, WholeMessages } from '../message/frame.ts'
import type { TimerTarget, TimerWheel } from '../transaction/timer-wheel.ts'
import { formatHostPort, ipFamily, unmapped } from './address.ts'
import { type Channel, SocketChannel, WebSocketChannel } from './channel.ts'
import { StreamConnection } from './stream-connection.ts'
import { connectTls, createTlsServer, verifiedDomains } from './tls.ts'
import type { Connection, Flow, Listener, Receiver, SendCallback } from './transport.ts'
import { connectWebSocket, createWebSocketServer } from './websocket.ts'

/** Open connections of one listener, and of one address on it. What comes after is closed at once. */
const MAX_CONNECTIONS = 2000
const MAX_CONNECTIONS_PER_ADDRESS = 200
/** Of those of one listener, how many may be of strangers. For the next of them, the oldest has to go. */
const MAX_STRANGERS = 500
/** How long a peer may take from connecting to speaking SIP where handshakes come first, in milliseconds. */
const HANDSHAKES_TIMEOUT = 10_000

export interface StreamParts {
  readonly receiver: Receiver
  readonly wheel: TimerWheel
  /** From 0 up to 1. */
  readonly random: () => number
  /** What is asked of a peer that is connected to over TLS. */
  readonly tlsTo: (target: TlsTarget) => ClientTls
}

type StreamTransport = Exclude<ListenerAddress['transport'], 'UDP'>

/**
 * Opens a TCP, TLS, WS or WSS listener. Rejects with the system error of bind, or when a certificate or key cannot be
 * used.
 */
export async function openStream(wanted: ListenerAddress, parts: StreamParts): Promise<Listener> {
  const { transport } = wanted
  if (transport === 'UDP') throw new Error('UDP is no stream')
  const tls = tlsServerOf(wanted)
  const server = createServer({ noDelay: true, keepAlive: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: wanted.address, port: wanted.port, ipv6Only: true, exclusive: true }, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
  return new StreamListener(wanted, transport, server, tls, parts)
}

function tlsServerOf({ transport, tls, name }: ListenerAddress): TlsServer | undefined {
  if (transport !== 'TLS' && transport !== 'WSS') return undefined
  if (tls === undefined) throw new Error(`listener ${name} has no certificate`)
  return createTlsServer(tls)
}

class StreamListener implements Listener {
  readonly name: string
  readonly transport: StreamTransport
  readonly reliable = true
  readonly family: 4 | 6
  readonly address: string
  readonly port: number
  advertised: ListenerAddress['advertised']
  hostPort: string
  readonly #server: Server
  #tls: TlsServer | undefined
  /** Clients have to show certificates, and are known by those. */
  #wantsCertificates = false
  readonly #http: HttpServer | undefined
  readonly #parts: StreamParts
  /** By address and port of the peer, so that requests find the connection that is open to it. */
  readonly #connections = new Map<string, StreamConnection>()
  /** Connections that peers have said to use for what is sent to an address and port of theirs. */
  readonly #aliases = new Map<string, StreamConnection>()
  /** The key in `#aliases` that a connection was named under last: it has one, however many a peer thinks of. */
  readonly #offered = new Map<StreamConnection, string>()
  /** Sockets that were accepted, by address, whether or not they speak SIP yet. */
  readonly #perAddress = new Map<string, number>()
  readonly #accepted = new Set<Socket>()
  /** Those of them that nobody knew when they came, the oldest first. */
  readonly #strangers = new Set<Socket>()
  #closed = false

  constructor(
    wanted: ListenerAddress,
    transport: StreamTransport,
    server: Server,
    tls: TlsServer | undefined,
    parts: StreamParts,
  ) {
    const bound = server.address()
    this.name = wanted.name
    this.transport = transport
    this.family = ipFamily(wanted.address) === 6 ? 6 : 4
    this.address = wanted.address
    this.port = bound !== null && typeof bound === 'object' ? bound.port : wanted.port
    this.advertised = wanted.advertised
    this.hostPort = this.#hostPort()
    this.#server = server
    this.#parts = parts
    this.#http = this.#isWebSocket ? createWebSocketServer((...args) => this.#acceptWebSocket(...args)) : undefined
    if (tls !== undefined) this.#useTls(tls, wanted)
    // `accept` failed, as when there is no file descriptor left: the next one may succeed.
    server.on('error', () => {})
    server.on('connection', (socket) => this.#accept(socket))
  }

  get connections(): number {
    return this.#connections.size
  }

  get #isWebSocket(): boolean {
    return this.transport === 'WS' || this.transport === 'WSS'
  }

  get #isSecure(): boolean {
    return this.transport === 'TLS' || this.transport === 'WSS'
  }

  send(text: string, flow: Flow, sent: SendCallback): Connection | undefined {
    const { connection } = flow
    // RFC 3261 §18.2.2: "the response MUST be sent using the existing connection to the source of the original request
    // that created the transaction, if that connection is still open. … If that connection is no longer open, the
    // server SHOULD open a connection".
    const taken = connection?.open === true ? connection : this.#another(flow, sent)
    taken?.send(text, sent)
    return taken
  }

  reload(wanted: ListenerAddress): void {
    const tls = tlsServerOf(wanted)
    this.advertised = wanted.advertised
    this.hostPort = this.#hostPort()
    if (tls !== undefined) this.#useTls(tls, wanted)
  }

  /**
   * RFC 5923 §5: a request with `alias` in its Via says that requests to that port may come over the connection it came
   * over. "reuse is predicated upon both the communicating endpoints authenticating themselves", so TLS it is, with a
   * certificate of the client.
   */
  alias(source: Flow, port: number): void {
    const { connection, address } = source
    if (!(connection instanceof StreamConnection) || connection.names.length === 0) return
    const key = `${address} ${port}`
    if (this.#aliases.get(key) === connection) return
    this.#withdraw(connection)
    this.#aliases.set(detached(key), connection)
    this.#offered.set(connection, detached(key))
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    for (const connection of this.#connections.values()) connection.close()
    for (const socket of this.#accepted) socket.destroy()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #hostPort(): string {
    const { host, port } = this.advertised ?? { host: this.address, port: this.port }
    return formatHostPort(host, port)
  }

  #useTls(tls: TlsServer, wanted: ListenerAddress): void {
    this.#tls = tls
    this.#wantsCertificates = wanted.tls?.clientAuthorities !== undefined
    tls.on('secureConnection', (socket) => {
      const names = verifiedDomains(socket)
      if (this.#http === undefined) this.#adopt(socket, new SocketChannel(socket), names)
      else if (this.#welcomes(socket, names)) this.#http.emit('connection', socket)
      else this.#turnAway(socket)
    })
    tls.on('tlsClientError', (error, socket) => {
      this.#parts.receiver.outOfStep(this.#flowFrom(socket), error.message)
      socket.destroy()
    })
  }

  #accept(socket: Socket): void {
    const { address } = peerOf(socket)
    if (this.#closed || address === '') {
      socket.destroy()
      return
    }
    const known = !this.#wantsCertificates && this.#welcomes(socket, [])
    if (!known && this.#isWebSocket && !this.#wantsCertificates) return this.#turnAway(socket)
    if (!this.#hasRoom(address, known)) {
      socket.destroy()
      return
    }
    this.#count(socket, address, known)
    const inner = this.#tls ?? this.#http
    if (inner === undefined) {
      this.#adopt(socket, new SocketChannel(socket), [])
      return
    }
    const { wheel } = this.#parts
    const deadline = wheel.start(HANDSHAKES_TIMEOUT, new Deadline(socket, this), 'handshakes')
    socket.on('close', () => wheel.cancel(deadline))
    inner.emit('connection', socket)
  }

  #welcomes(socket: Socket, names: readonly string[]): boolean {
    return this.#parts.receiver.welcomes(this.#flowFrom(socket), names)
  }

  /** A WebSocket begins with an answer of ours, whatever may come over it, and strangers get none. */
  #turnAway(socket: Socket): void {
    this.#parts.receiver.turnedAway(this.#flowFrom(socket))
    socket.destroy()
  }

  #flowFrom(socket: Socket): Flow {
    return { listener: this, ...peerOf(socket), connection: undefined }
  }

  /** Whether a socket of ours speaks SIP by now. */
  isAdopted(socket: Socket): boolean {
    const { address, port } = peerOf(socket)
    return this.#connections.has(`${address} ${port}`)
  }

  #acceptWebSocket(socket: ConstructorParameters<typeof WebSocketChannel>[0], carrier: Socket): void {
    const names = 'authorized' in carrier ? verifiedDomains(carrier as TLSSocket) : []
    this.#adopt(carrier, new WebSocketChannel(socket), names)
  }

  #adopt(socket: Socket, channel: Channel, names: readonly string[]): void {
    const { address, port } = peerOf(socket)
    if (this.#closed || address === '') {
      channel.destroy()
      return
    }
    const peer = { listener: this, address, port }
    this.#keep(new StreamConnection(peer, { ...this.#connectionParts(channel), accepted: true, names }), peer, '')
  }

  #another(flow: Flow, sent: SendCallback): StreamConnection | undefined {
    if (this.#closed) sent(new Error(`listener ${this.name} is closed`))
    // RFC 7118 §5.2: nobody can connect to a WebSocket client.
    else if (flow.connection !== undefined && this.#isWebSocket) sent(new Error('the WebSocket is closed'))
    else {
      try {
        return this.#connectionTo(flow)
      } catch (error) {
        // Node throws for credentials that it cannot read, and for a port out of range.
        sent(error instanceof Error ? error : new Error(String(error)))
      }
    }
    return undefined
  }

  /** RFC 3261 §18: a connection that is open to the address and port is used again. */
  #connectionTo(flow: Flow): StreamConnection {
    const { address, port } = flow
    const peer = { listener: this, address, port }
    if (!this.#isSecure) {
      return this.#openTo(`${address} ${port}`) ?? this.#keep(this.#connect(peer, undefined), peer, '')
    }
    const tls = this.#parts.tlsTo({ listener: this.name, host: flow.host ?? address, address, port })
    const alias = this.#aliases.get(`${address} ${port}`)
    if (alias?.open === true && holdsName(alias.names, tls.names)) return alias
    const suffix = ` ${tls.identity}`
    return this.#openTo(`${address} ${port}${suffix}`) ?? this.#keep(this.#connect(peer, tls), peer, suffix)
  }

  #openTo(key: string): StreamConnection | undefined {
    const connection = this.#connections.get(key)
    return connection?.open === true ? connection : undefined
  }

  #connect(peer: Omit<Flow, 'connection'>, tls: ClientTls | undefined): StreamConnection {
    const { address: host, port } = peer
    const to = { host, port, localAddress: this.address }
    const socket = tls === undefined ? connect({ ...to, noDelay: true, keepAlive: true }) : connectTls(to, tls)
    socket.setNoDelay(true)
    const channel = this.#isWebSocket
      ? new WebSocketChannel(connectWebSocket({ host: tls?.serverName ?? host, port }, socket))
      : new SocketChannel(socket, tls === undefined ? 'connect' : 'secureConnect')
    // Whoever is connected to and verified may send requests over it as well (RFC 5923 §5).
    const names = tls?.verify === true ? tls.names.map(comparableName) : []
    return new StreamConnection(peer, { ...this.#connectionParts(channel), accepted: false, names })
  }

  #connectionParts(channel: Channel) {
    const { receiver, wheel, random } = this.#parts
    return { channel, receiver, wheel, random, framer: this.#isWebSocket ? new WholeMessages() : new StreamFramer() }
  }

  #keep(connection: StreamConnection, { address, port }: Omit<Flow, 'connection'>, suffix: string): StreamConnection {
    const key = `${address} ${port}${suffix}`
    this.#connections.set(key, connection)
    connection.onClose(() => {
      if (this.#connections.get(key) === connection) this.#connections.delete(key)
      this.#withdraw(connection)
    })
    return connection
  }

  #withdraw(connection: StreamConnection): void {
    const key = this.#offered.get(connection)
    this.#offered.delete(connection)
    if (key !== undefined && this.#aliases.get(key) === connection) this.#aliases.delete(key)
  }

  #count(socket: Socket, address: string, known: boolean): void {
    this.#accepted.add(socket)
    if (!known) this.#strangers.add(socket)
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
    socket.once('close', () => this.#discount(socket, address))
  }

  #discount(socket: Socket, address: string): void {
    this.#strangers.delete(socket)
    if (!this.#accepted.delete(socket)) return
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left > 0) this.#perAddress.set(address, left)
    else this.#perAddress.delete(address)
  }

  /** Whether one more may come from there. Strangers cannot keep others out, however many they are and however long they wait. */
  #hasRoom(address: string, known: boolean): boolean {
    if ((this.#perAddress.get(address) ?? 0) >= MAX_CONNECTIONS_PER_ADDRESS) return false
    const full = this.#accepted.size >= MAX_CONNECTIONS
    if (full || (!known && this.#strangers.size >= MAX_STRANGERS)) this.#dropStranger()
    return this.#accepted.size < MAX_CONNECTIONS
  }

  #dropStranger(): void {
    for (const socket of this.#strangers) {
      this.#strangers.delete(socket)
      const { address, port } = peerOf(socket)
      // It has shown a certificate since, or is in a call.
      if (this.#connections.get(`${address} ${port}`)?.known === true) continue
      this.#discount(socket, address)
      socket.destroy()
      return
    }
  }
}

/** Ends a socket that does not come to speak SIP. */
class Deadline implements TimerTarget {
  readonly #socket: Socket
  readonly #listener: StreamListener

  constructor(socket: Socket, listener: StreamListener) {
    this.#socket = socket
    this.#listener = listener
  }

  onTimer(): void {
    if (!this.#listener.isAdopted(this.#socket)) this.#socket.destroy()
  }
}

function peerOf({ remoteAddress = '', remotePort = 0 }: Socket): { address: string; port: number } {
  return { address: unmapped(remoteAddress), port: remotePort }
}
