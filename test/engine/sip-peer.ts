import { createSocket, type Socket } from 'node:dgram'
import { connect, createServer, type Server, type Socket as Stream } from 'node:net'
import {
  connect as connectTls,
  type ConnectionOptions,
  createServer as createTlsServer,
  type TlsOptions,
} from 'node:tls'
import { StreamFramer } from '../../dataplane/engine/message/frame.ts'
import { readMessage } from '../../dataplane/engine/message/parse.ts'
import { buildResponse, type ResponseParts } from '../../dataplane/engine/message/response.ts'
import { serialiseText } from '../../dataplane/engine/message/serialise.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'

/** Sends bytes back the way a message came. */
export type Answer = (text: string) => void

export interface Arrival {
  readonly message: SipMessage
  readonly answer: Answer
}

/** A SIP element in a test: a bare socket that shows what arrives, in order, and sends exactly what it is told. */
export class SipPeer {
  readonly address: string
  readonly port: number
  readonly #close: () => Promise<void>
  readonly #send: (text: string, port: number) => void
  readonly arrived: Arrival[] = []
  #read = 0
  #waiting: (() => void)[] = []

  private constructor(
    bound: { address: string; port: number },
    send: (text: string, port: number) => void,
    close: () => Promise<void>,
  ) {
    this.address = bound.address
    this.port = bound.port
    this.#send = send
    this.#close = close
  }

  /** `engine` is the address it sends to. */
  static async udp(address = '127.0.0.1', engine = address): Promise<SipPeer> {
    const socket: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    await new Promise<void>((resolve) => socket.bind(0, address, resolve))
    const peer = new SipPeer(
      { address, port: socket.address().port },
      (text, port) => socket.send(Buffer.from(text, 'latin1'), port, engine),
      () => new Promise((resolve) => socket.close(() => resolve())),
    )
    socket.on('message', (bytes, from) =>
      peer.#take(bytes.toString('latin1'), (text) => socket.send(Buffer.from(text, 'latin1'), from.port, from.address)),
    )
    return peer
  }

  /** Listens for connections, and opens one to the engine with the first `send`; `engine` is the address of that. */
  static tcp(address = '127.0.0.1', engine = address): Promise<SipPeer> {
    return SipPeer.#overStreams(address, createServer, (port) => connect({ port, host: engine, localAddress: address }))
  }

  /** The same over TLS, with what it shows and asks for on each side; `onBytes` sees what comes over its server. */
  static tls(
    server: TlsOptions,
    client: ConnectionOptions & { readonly localAddress?: string },
    address = '127.0.0.1',
    onBytes: (bytes: Buffer, stream: Stream) => void = () => {},
    port = 0,
  ): Promise<SipPeer> {
    const listen = (follow: (stream: Stream) => void) =>
      createTlsServer(server, (stream) => {
        follow(stream)
        stream.on('data', (bytes: Buffer) => onBytes(bytes, stream))
      })
    return SipPeer.#overStreams(address, listen, (to) => connectTls({ host: address, ...client, port: to }), port)
  }

  static async #overStreams(
    address: string,
    listen: (follow: (stream: Stream) => void) => Server,
    dial: (port: number) => Stream,
    port = 0,
  ): Promise<SipPeer> {
    const streams = new Set<Stream>()
    let out: Stream | undefined
    const follow = (stream: Stream): void => {
      const framer = new StreamFramer()
      streams.add(stream)
      stream.on('error', () => {})
      stream.on('data', (bytes) => {
        for (const message of framer.push(bytes).messages) {
          peer.#take(message.toString('latin1'), (text) => stream.write(text, 'latin1'))
        }
      })
    }
    const server: Server = listen(follow)
    // Those over which no handshake is done yet are among them.
    const accepted = new Set<Stream>()
    server.on('connection', (stream: Stream) => void accepted.add(stream))
    await new Promise<void>((resolve) => server.listen(port, address, resolve))
    const bound = server.address()
    const peer: SipPeer = new SipPeer(
      { address, port: bound !== null && typeof bound === 'object' ? bound.port : 0 },
      (text, to) => {
        if (out === undefined) {
          out = dial(to)
          follow(out)
        }
        out.write(text, 'latin1')
      },
      () => {
        for (const stream of [...streams, ...accepted]) stream.destroy()
        return new Promise((resolve) => server.close(() => resolve()))
      },
    )
    return peer
  }

  /** Address and port as in a URI. */
  get hostPort(): string {
    return this.address.includes(':') ? `[${this.address}]:${this.port}` : `${this.address}:${this.port}`
  }

  send(text: string, port: number): void {
    this.#send(text, port)
  }

  /** The next message that arrives, or has arrived and was not taken yet, and is wanted; others are passed over. */
  async next(wanted: (message: SipMessage) => boolean): Promise<Arrival> {
    for (;;) {
      while (this.#read < this.arrived.length) {
        const arrival = this.arrived[this.#read++]
        if (arrival !== undefined && wanted(arrival.message)) return arrival
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  request(method: string): Promise<Arrival> {
    return this.next((message) => message.kind === 'request' && message.method === method)
  }

  response(status: number, method?: string): Promise<Arrival> {
    return this.next((message) => message.status === status && (method === undefined || message.method === method))
  }

  close(): Promise<void> {
    return this.#close()
  }

  #take(text: string, answer: Answer): void {
    const parsed = readMessage(text)
    if (!parsed.ok) throw new Error(`${parsed.reason}: ${text}`)
    this.arrived.push({ message: parsed.message, answer })
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

/** Answers a request as an element of its own would. */
export function answerWith({ message, answer }: Arrival, parts: ResponseParts): void {
  answer(serialiseText(buildResponse(message, parts)))
}

let serial = 0

/** A request as text, with what a test does not care about filled in. Header lines are put after Contact. */
export function requestText(
  peer: Pick<SipPeer, 'hostPort'>,
  options: {
    method: string
    uri: string
    callId: string
    fromTag?: string
    toTag?: string
    cseq?: number
    branch?: string
    transport?: 'UDP' | 'TCP' | 'TLS' | 'WS' | 'WSS'
    via?: string
    maxForwards?: number
    contact?: string | false
    headers?: readonly string[]
    body?: string
  },
): string {
  const { method, uri, callId, fromTag = 'a-tag', toTag, cseq = 1, transport = 'UDP', body = '' } = options
  const branch = options.branch ?? `z9hG4bK-test-${process.pid}-${serial++}`
  const contact = options.contact ?? `<sip:alice@${peer.hostPort};transport=${transport.toLowerCase()}>`
  const lines = [
    `${method} ${uri} SIP/2.0`,
    `Via: ${options.via ?? `SIP/2.0/${transport} ${peer.hostPort};branch=${branch}`}`,
    `Max-Forwards: ${options.maxForwards ?? 70}`,
    `From: "Alice" <sip:alice@${peer.hostPort}>;tag=${fromTag}`,
    `To: <sip:bob@example.com>${toTag === undefined ? '' : `;tag=${toTag}`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    ...(contact === false ? [] : [`Contact: ${contact}`]),
    ...(options.headers ?? []),
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

export const sdp = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n'
