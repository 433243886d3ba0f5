import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import type { Application, Outcome, RequestOrder, ResponseOrder } from '../dialog/application.ts'
import type { ApplicationList } from '../dialog/application-list.ts'
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

/** The drachtio protocol on a loopback port, for applications of other processes. */
export class ApplicationServer {
  readonly #clock: Clock
  readonly #wheel: TimerWheel
  readonly #list: ApplicationList
  readonly #user: ApplicationUser
  readonly #connections = new Set<ApplicationConnection>()
  #server: Server | undefined

  constructor(options: { clock: Clock; wheel: TimerWheel; list: ApplicationList; user: ApplicationUser }) {
    this.#clock = options.clock
    this.#wheel = options.wheel
    this.#list = options.list
    this.#user = options.user
  }

  /** Listens on a free port of 127.0.0.1, for those who say the secret. */
  async listen(secret: string): Promise<{ port: number }> {
    const secretHash = hash(secret)
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket, secretHash))
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

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const connection of this.#connections) connection.close()
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  #accept(socket: Socket, secretHash: Buffer): void {
    let strangers = 0
    for (const connection of this.#connections) if (!connection.authenticated) strangers++
    if (strangers >= MAX_STRANGERS) {
      socket.destroy()
      return
    }
    const connection: ApplicationConnection = new ApplicationConnection(
      socket,
      {
        authenticate: (secret) => timingSafeEqual(hash(secret), secretHash),
        joined: () => this.#list.add(connection),
        greeting: () => {
          const addresses = this.#user.addresses().join(',')
          return `${addresses}|${VERSION}|${addresses}`
        },
        request: (from, order, done) => this.#user.request(from, order, done),
        respond: (from, order, done) => this.#user.respond(from, order, done),
        proxy: (from, order, progress) => this.#user.proxy(from, order, progress),
        closed: (left) => {
          this.#connections.delete(left)
          this.#list.remove(left)
          this.#user.applicationGone(left)
        },
      },
      this.#clock,
    )
    this.#connections.add(connection)
    const deadline: TimerTarget = {
      onTimer: () => {
        if (!connection.authenticated) connection.close()
      },
    }
    this.#wheel.start(AUTHENTICATE_WITHIN, deadline, 'authenticate')
  }
}

/** Two texts of any length are compared in constant time by their hashes. The bytes are the UTF-8 that was sent. */
function hash(secret: string): Buffer {
  return createHash('sha256').update(secret, 'latin1').digest()
}
