import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import { KubeClient } from '../client.ts'
import type { KubeMetrics } from '../metrics.ts'
import type { KubeObject } from '../resource.ts'
import { configFromText } from '../kubeconfig.ts'
import { Arrivals } from './arrivals.ts'

/** A request, and the ways to answer it, right or wrong. */
export class Request {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly #response: ServerResponse
  /** Resolves when the connection of the request is gone. */
  readonly closed: Promise<unknown>

  constructor(request: IncomingMessage, response: ServerResponse, body: string) {
    const url = new URL(request.url ?? '/', 'http://api')
    this.method = request.method ?? ''
    this.path = url.pathname
    this.query = Object.fromEntries(url.searchParams)
    this.headers = request.headers
    this.body = body
    this.#response = response
    this.closed = once(response, 'close')
  }

  /** Answers with JSON. */
  answer(code: number, body: unknown, headers: Record<string, string> = {}): void {
    this.#response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }

  /** Answers with a page of a list. */
  list(resourceVersion: string, items: readonly KubeObject[], next?: string): void {
    this.answer(200, { metadata: { resourceVersion, ...(next === undefined ? {} : { continue: next }) }, items })
  }

  /** Refuses as the API server does. */
  refuse(code: number, reason: string, headers: Record<string, string> = {}): void {
    this.answer(code, { kind: 'Status', code, reason, message: `it is ${reason}` }, headers)
  }

  /** Begins to answer a watch. */
  open(): this {
    this.#response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    return this
  }

  /** Sends events of a watch, each on its line. */
  send(...events: { type: string; object: object }[]): this {
    return this.sendText(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  }

  sendText(text: string): this {
    this.#response.write(text)
    return this
  }

  /** Ends the answer as it should end. */
  end(): void {
    this.#response.end()
  }

  /** Cuts the connection. */
  cut(): void {
    this.#response.destroy()
  }
}

/** An API server whose every answer is given by the test. */
export class ScriptedApi {
  readonly #server: Server
  readonly #requests = new Arrivals<Request>()

  constructor(server: Server) {
    this.#server = server
    server.on('request', (request, response) => void this.#take(request, response))
  }

  static async start(): Promise<ScriptedApi> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new ScriptedApi(server)
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** A client of it; `user` and `cluster` as in a kubeconfig. */
  client(
    clock: Clock,
    metrics: KubeMetrics,
    user: object = { token: 'secret-token' },
    cluster: object = { server: this.address, 'insecure-skip-tls-verify': true },
  ): KubeClient {
    const config = configFromText(
      JSON.stringify({
        clusters: [{ name: 'c', cluster }],
        users: [{ name: 'u', user }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'voice' } }],
        'current-context': 'x',
      }),
    )
    return new KubeClient({ config, clock, metrics })
  }

  /** The next request that nobody has looked at yet. */
  next(): Promise<Request> {
    return this.#requests.next()
  }

  /** How many requests nobody has looked at. */
  get waiting(): number {
    return this.#requests.count
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    this.#requests.add(new Request(request, response, body))
  }
}
