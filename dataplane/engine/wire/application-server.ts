import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import type { Application, Applications, Outcome, RequestOrder, ResponseOrder } from '../dialog/application.ts'
import type { HandOver } from '../message/hand-over.ts'
import type { ProxyOrder, ProxyProgress } from '../proxy/proxy-order.ts'
import type { TimerTarget, TimerWheel } from '../transaction/timer-wheel.ts'
import { ApplicationConnection } from './application-connection.ts'

/** How long a connection may take to say the secret, in milliseconds. */
const AUTHENTICATE_WITHIN = 10_000
/** Connections that have not said it yet; more are closed at once. */
const MAX_STRANGERS = 32

/** The version of the protocol: what drachtio-srf needs to know to send pings. */
const VERSION = 'v1.0.0'

/** Does what applications order, and hears of their leaving. */
export interface ApplicationUser {
  request(application: Application, order: RequestOrder, done: (outcome: Outcome) => void): void
  /** `done` is told when it goes out, which may be later, or cannot any more. */
  respond(application: Application, order: ResponseOrder, done: (outcome: Outcome) => void): void
  proxy(application: Application, order: ProxyOrder, progress: ProxyProgress): void
  applicationGone(application: Application): void
  /** Addresses that are bound, as `udp/192.0.2.1:5060`. */
  addresses(): readonly string[]
}

/** The connected applications, on a loopback port. Requests go round among those that take the method. */
export class ApplicationServer implements Applications {
  readonly #secretHash: Buffer
  readonly #clock: Clock
  readonly #wheel: TimerWheel
  readonly #user: ApplicationUser
  readonly #connections = new Set<ApplicationConnection>()
  readonly #turns = new Map<string, number>()
  #server: Server | undefined

  constructor(options: { secret: string; clock: Clock; wheel: TimerWheel; user: ApplicationUser }) {
    this.#secretHash = hash(options.secret)
    this.#clock = options.clock
    this.#wheel = options.wheel
    this.#user = options.user
  }

  get count(): number {
    return this.#authenticated().length
  }

  /** Listens on a free port of 127.0.0.1. */
  async listen(): Promise<{ port: number }> {
    const server = createServer({ noDelay: true }, (socket) => this.accept(socket))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: '127.0.0.1', port: 0 }, () => {
        server.removeListener('error', reject)
        server.on('error', () => {})
        resolve()
      })
    })
    const address = server.address()
    return { port: address !== null && typeof address === 'object' ? address.port : 0 }
  }

  next(method: string): Application | undefined {
    const willing: ApplicationConnection[] = []
    for (const connection of this.#connections) {
      if (connection.authenticated && connection.methods.has(method) && !connection.behind) willing.push(connection)
    }
    if (willing.length < 2) return willing[0]
    const turn = (this.#turns.get(method) ?? 0) % willing.length
    this.#turns.set(method, turn + 1)
    return willing[turn]
  }

  takes(method: string): boolean {
    return this.#authenticated().some((connection) => connection.methods.has(method))
  }

  /** What applications route, with what goes with an INVITE in any case. */
  methods(): readonly string[] {
    const methods = new Set<string>()
    for (const connection of this.#authenticated()) {
      for (const method of connection.methods) if (!method.includes(':')) methods.add(method)
    }
    if (methods.has('INVITE')) for (const method of ['ACK', 'CANCEL', 'BYE']) methods.add(method)
    return [...methods]
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const connection of this.#connections) connection.close()
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  /** Serves an application at the other end of a connection; with a hand-over, one of this process. */
  accept(socket: Socket, handOver?: HandOver): void {
    if (this.#connections.size - this.count >= MAX_STRANGERS) {
      socket.destroy()
      return
    }
    const connection = new ApplicationConnection(
      socket,
      {
        authenticate: (secret) => timingSafeEqual(hash(secret), this.#secretHash),
        greeting: () => {
          const addresses = this.#user.addresses().join(',')
          return `${addresses}|${VERSION}|${addresses}`
        },
        request: (from, order, done) => this.#user.request(from, order, done),
        respond: (from, order, done) => this.#user.respond(from, order, done),
        proxy: (from, order, progress) => this.#user.proxy(from, order, progress),
        closed: (left) => {
          this.#connections.delete(left)
          this.#user.applicationGone(left)
        },
      },
      this.#clock,
      handOver,
    )
    this.#connections.add(connection)
    const deadline: TimerTarget = {
      onTimer: () => {
        if (!connection.authenticated) connection.close()
      },
    }
    this.#wheel.start(AUTHENTICATE_WITHIN, deadline, 'authenticate')
  }

  #authenticated(): ApplicationConnection[] {
    return [...this.#connections].filter((connection) => connection.authenticated)
  }
}

/** Two texts of any length are compared in constant time by their hashes. The bytes are the UTF-8 that was sent. */
function hash(secret: string): Buffer {
  return createHash('sha256').update(secret, 'latin1').digest()
}
