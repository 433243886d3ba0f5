import { request as httpRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent, type RequestOptions } from 'node:https'
import type { Clock } from '#lib/clock.ts'
import { ConnectionError } from './api-error.ts'
import { Credentials, type TlsIdentity } from './credentials.ts'
import type { KubeConfig } from './kubeconfig.ts'
import type { KubeMetrics } from './metrics.ts'

/** One request to the API server. */
export interface Exchange {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** JSON text. */
  readonly body?: string
  readonly contentType?: string
  readonly signal?: AbortSignal | undefined
  /** Longest time until the whole answer is there, in milliseconds; 30 s unless told. */
  readonly timeout?: number
}

export interface Answer {
  readonly code: number
  readonly retryAfterSeconds: number | undefined
  readonly body: string
}

const answerTimeout = 30_000
const keepAliveDelay = 30_000

/**
 * HTTP to the API server, with the certificates, tokens and proxies of a kubeconfig; tokens are refreshed as they
 * expire. Every failure below HTTP is a `ConnectionError`.
 */
export class Transport {
  readonly #config: KubeConfig
  readonly #server: URL
  readonly #clock: Clock
  readonly #metrics: KubeMetrics['rest']
  readonly #userAgent: string
  readonly #credentials: Credentials
  /** Connections made with one identity. */
  #pool: { readonly tls: TlsIdentity; readonly agent: HttpAgent } | undefined

  constructor(options: { config: KubeConfig; clock: Clock; metrics: KubeMetrics; userAgent?: string }) {
    this.#config = options.config
    this.#server = options.config.server
    this.#clock = options.clock
    this.#metrics = options.metrics.rest
    this.#userAgent = options.userAgent ?? 'sbcfleet'
    this.#credentials = new Credentials(options.config, options.clock)
  }

  /** Namespace of the kubeconfig's context, or of the pod. */
  get namespace(): string {
    return this.#config.namespace
  }

  /** Sends a request and reads the whole answer. */
  async exchange(exchange: Exchange): Promise<Answer> {
    const deadline = new Deadline(this.#clock, exchange.timeout ?? answerTimeout, exchange.signal)
    try {
      return await readAnswer(await this.#begin(exchange, deadline))
    } catch (error) {
      throw this.#failed(exchange, deadline.reason ?? error)
    } finally {
      deadline.end()
    }
  }

  /** Sends a request and returns the answer as it begins. Whoever asks reads it to its end, or destroys it. */
  async open(exchange: Exchange): Promise<IncomingMessage> {
    const deadline = new Deadline(this.#clock, exchange.timeout ?? answerTimeout, exchange.signal)
    try {
      const response = await this.#begin(exchange, deadline)
      deadline.stopTimer()
      return response.once('close', () => deadline.end())
    } catch (error) {
      deadline.end()
      throw this.#failed(exchange, deadline.reason ?? error)
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#pool?.agent.destroy()
  }

  async #begin(exchange: Exchange, { signal }: Deadline): Promise<IncomingMessage> {
    const began = this.#clock.now()
    const options = { ...(await this.#options(exchange)), signal }
    let response: IncomingMessage
    try {
      response = await send(this.#url(exchange), options, exchange.body)
    } catch (error) {
      if (!canSendAgain(exchange, error)) throw error
      this.#metrics.retries.add({ method: exchange.method })
      response = await send(this.#url(exchange), options, exchange.body)
    }
    if (response.statusCode === 401) this.#credentials.refused()
    const host = this.#server.host
    this.#metrics.requests.add({ code: String(response.statusCode), host, method: exchange.method })
    this.#metrics.seconds.observe({ host, verb: exchange.method }, (this.#clock.now() - began) / 1000)
    return response
  }

  #failed(exchange: Exchange, error: unknown): ConnectionError {
    this.#metrics.requests.add({ code: '<error>', host: this.#server.host, method: exchange.method })
    const request = `${exchange.method} ${exchange.path}`
    return new ConnectionError(request, error instanceof Error ? error : new Error(String(error)))
  }

  #url({ path, query = {} }: Exchange): URL {
    const url = new URL(this.#server)
    url.pathname = `${this.#server.pathname.replace(/\/$/, '')}${path}`
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    return url
  }

  async #options({ method, body, contentType }: Exchange): Promise<RequestOptions> {
    const { headers, tls } = await this.#credentials.show()
    return {
      method,
      agent: this.#agentFor(tls),
      headers: {
        ...headers,
        accept: 'application/json',
        'user-agent': this.#userAgent,
        ...(body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
        // Node does not frame the body of a DELETE by itself.
        ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
      },
    }
  }

  /** What is in use on the connections of the identity before goes on; they are closed when they are idle. */
  #agentFor(tls: TlsIdentity): HttpAgent {
    if (this.#pool?.tls === tls) return this.#pool.agent
    const { insecure, serverName, proxy } = this.#config
    const options = {
      ...keptAlive,
      ...tls,
      rejectUnauthorized: !insecure,
      ...(serverName !== undefined && { servername: serverName }),
      ...(proxy !== undefined && { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
    }
    const agent = this.#server.protocol === 'http:' ? new HttpAgent(options) : new HttpsAgent(options)
    this.#pool = { tls, agent }
    return agent
  }
}

/** Idle connections are closed before the API server does it, which is after 90 s. */
const keptAlive = { keepAlive: true, maxFreeSockets: 16, timeout: 60_000 }

/** Aborts when time is up or when the caller does; `reason` says which it was, if any. */
class Deadline {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #timer
  readonly #abort = () => this.#controller.abort(this.#caller?.reason)

  constructor(clock: Clock, milliseconds: number, caller: AbortSignal | undefined) {
    this.#caller = caller
    this.#timer = clock.after(milliseconds, () =>
      this.#controller.abort(new Error(`no answer within ${milliseconds / 1000} s`)),
    )
    if (caller?.aborted === true) this.#abort()
    else caller?.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get reason(): unknown {
    return this.signal.aborted ? this.signal.reason : undefined
  }

  /** From here on only the caller aborts. */
  stopTimer(): void {
    this.#timer.cancel()
  }

  end(): void {
    this.#timer.cancel()
    this.#caller?.removeEventListener('abort', this.#abort)
  }
}

function send(url: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'http:' ? httpRequest(url, options) : httpsRequest(url, options)
    request.on('response', resolve)
    request.on('error', (error) => reject(Object.assign(error, { reused: request.reusedSocket })))
    // The kernel finds a peer that is gone within a minute, also on a watch on which nothing is ever sent.
    request.on('socket', (socket) => socket.setKeepAlive(true, keepAliveDelay))
    request.end(body)
  })
}

/** A kept connection that the server closed just when we used it again: nobody has seen the request. */
function canSendAgain({ method }: Exchange, error: unknown): boolean {
  if (method === 'POST' || !(error instanceof Error)) return false
  return 'reused' in error && error.reused === true && 'code' in error && error.code === 'ECONNRESET'
}

/** Reads an answer to its end. */
export async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString('utf8')
  return { code: response.statusCode ?? 0, retryAfterSeconds: retryAfter(response), body }
}

function retryAfter({ headers }: IncomingMessage): number | undefined {
  const seconds = Number(headers['retry-after'])
  return headers['retry-after'] !== undefined && Number.isFinite(seconds) ? seconds : undefined
}
