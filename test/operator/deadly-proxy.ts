import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ControlPlane } from '../kube/control-plane.ts'

/** Whether the write that kills is done before that or not. Either way nobody hears of it. */
export type Moment = 'before' | 'after'

/** A way to the API server that calls `kill` at a chosen write. Leases do not count. */
export class DeadlyProxy {
  readonly #plane: ControlPlane
  readonly #server: Server
  #left = Number.POSITIVE_INFINITY
  #moment: Moment = 'before'
  #kill: () => void = () => undefined

  private constructor(plane: ControlPlane, server: Server) {
    this.#plane = plane
    this.#server = server
    server.on('request', (incoming, response) => void this.#pass(incoming, response))
  }

  static async start(plane: ControlPlane): Promise<DeadlyProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new DeadlyProxy(plane, server)
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** From now on the n-th write kills; resolves when it has. */
  killAt(write: number, moment: Moment, kill: () => Promise<void>): Promise<void> {
    this.#left = write
    this.#moment = moment
    return new Promise((resolve, reject) => (this.#kill = () => void kill().then(resolve, reject)))
  }

  spare(): void {
    this.#left = Number.POSITIVE_INFINITY
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const { method = 'GET', url = '/', headers } = incoming
    const isWrite = method !== 'GET' && !url.includes('/leases')
    const isLast = isWrite && --this.#left === 0
    if (isLast && this.#moment === 'before') return this.#kill()
    const forwarded = request(
      `${this.#plane.server}${url}`,
      {
        method,
        headers: { ...headers, authorization: `Bearer ${this.#plane.token}` },
        ca: this.#plane.ca,
        agent: false,
      },
      (answer) => {
        if (isLast) {
          answer.resume()
          return this.#kill()
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    forwarded.on('error', () => response.destroy())
    response.on('close', () => forwarded.destroy())
    forwarded.end(Buffer.concat(chunks))
  }
}
