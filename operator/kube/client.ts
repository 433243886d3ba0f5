import type { IncomingMessage } from 'node:http'
import type { Clock } from '#lib/clock.ts'
import { ApiError, ConnectionError, type Status } from './api-error.ts'
import type { KubeConfig } from './kubeconfig.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import { pause } from './pause.ts'
import { apiVersionOf, pathOf, type KubeObject, type ObjectName, type Resource } from './resource.ts'
import { readAnswer, Transport, type Answer, type Exchange } from './transport.ts'

export interface ClientOptions {
  readonly config: KubeConfig
  readonly clock: Clock
  readonly metrics?: KubeMetrics
  readonly userAgent?: string
}

/** Which objects of a resource. */
export interface Selection {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface ListOptions extends Selection {
  /** Objects a page; all in one when absent. */
  readonly limit?: number
  readonly continue?: string | undefined
  readonly signal?: AbortSignal
  /** In milliseconds. */
  readonly timeout?: number
}

export interface Page<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly T[]
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string
  /** When the server ends the watch by itself. */
  readonly timeoutSeconds: number
  readonly signal?: AbortSignal
}

export interface CreateOptions {
  /** Checks everything and keeps nothing. */
  readonly dryRun?: boolean
  /** An unknown field is an error, as with kubectl, and not only dropped. */
  readonly strict?: boolean
  readonly signal?: AbortSignal | undefined
}

export interface ApplyOptions {
  readonly fieldManager: string
  /** Takes fields over from other managers; without it, a field that another one owns is a conflict. */
  readonly force?: boolean
  readonly subresource?: 'status' | 'scale'
  readonly signal?: AbortSignal | undefined
}

/** How many times a request is sent again when the server says when. */
const mostRetries = 10

/**
 * The verbs of the Kubernetes API, as JSON. Objects go out and come in as they are: no field is dropped. Methods reject
 * with `ApiError` or `ConnectionError`. Where the server asks to come back later (429, or 503 with Retry-After), they do.
 */
export class KubeClient {
  readonly #transport: Transport
  readonly #clock: Clock

  constructor({ metrics = kubeMetrics(), ...options }: ClientOptions) {
    this.#transport = new Transport({ ...options, metrics })
    this.#clock = options.clock
  }

  /** Namespace of the kubeconfig's context, or of the pod. */
  get namespace(): string {
    return this.#transport.namespace
  }

  get<T extends KubeObject>(resource: Resource<T>, { namespace, name }: ObjectName, signal?: AbortSignal): Promise<T> {
    return this.#ask({ method: 'GET', path: pathOf(resource, { namespace, name }), signal })
  }

  list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<Page<T>> {
    const { namespace, signal, timeout, ...query } = options
    return this.#ask({
      method: 'GET',
      path: pathOf(resource, { namespace }),
      query,
      signal,
      ...(timeout === undefined ? {} : { timeout }),
    })
  }

  /** The stream of changes after a resource version: one JSON object a line, with bookmarks. */
  async watch(resource: Resource, { namespace, signal, ...query }: WatchOptions): Promise<IncomingMessage> {
    const exchange: Exchange = {
      method: 'GET',
      path: pathOf(resource, { namespace }),
      query: { ...query, watch: true, allowWatchBookmarks: true },
      signal,
    }
    const response = await this.#transport.open(exchange)
    if (response.statusCode === 200) return response
    throw errorOf(exchange, await readAnswer(response))
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T, options: CreateOptions = {}): Promise<T> {
    const { dryRun, strict, signal } = options
    return this.#ask({
      method: 'POST',
      path: pathOf(resource, { namespace: object.metadata.namespace }),
      query: { dryRun: dryRun === true ? 'All' : undefined, fieldValidation: strict === true ? 'Strict' : undefined },
      body: this.#text(resource, object),
      signal,
    })
  }

  /** Replaces an object; with a `resourceVersion` in it, only if it is still that one. */
  replace<T extends KubeObject>(resource: Resource<T>, object: T, signal?: AbortSignal): Promise<T> {
    const { namespace, name } = object.metadata
    const path = pathOf(resource, { namespace, name })
    return this.#ask({ method: 'PUT', path, body: this.#text(resource, object), signal })
  }

  /** Server-side apply: the object holds the fields that we own, and nothing else. */
  apply<T extends KubeObject>(resource: Resource<T>, object: KubeObject, options: ApplyOptions): Promise<T> {
    const { namespace, name } = object.metadata
    const { subresource, fieldManager, force, signal } = options
    return this.#ask({
      method: 'PATCH',
      path: pathOf(resource, { namespace, name, ...(subresource === undefined ? {} : { subresource }) }),
      query: { fieldManager, force },
      // JSON is YAML.
      contentType: 'application/apply-patch+yaml',
      body: this.#text(resource, object),
      signal,
    })
  }

  /** JSON merge patch (RFC 7386) of an object or a subresource. */
  patch<T extends KubeObject>(
    resource: Resource<T>,
    { namespace, name }: ObjectName,
    patch: object,
    options: { subresource?: 'status' | 'scale'; signal?: AbortSignal } = {},
  ): Promise<T> {
    const { subresource, signal } = options
    return this.#ask({
      method: 'PATCH',
      path: pathOf(resource, { namespace, name, ...(subresource === undefined ? {} : { subresource }) }),
      contentType: 'application/merge-patch+json',
      body: JSON.stringify(patch),
      signal,
    })
  }

  /** Deletes an object; with a `uid`, only that very one. What it owns is collected in the background. */
  async delete(resource: Resource, { namespace, name }: ObjectName, uid?: string): Promise<void> {
    const body = JSON.stringify({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      propagationPolicy: 'Background',
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    })
    await this.#ask({ method: 'DELETE', path: pathOf(resource, { namespace, name }), body })
  }

  /** Any other path of the API, as `/version`. */
  read<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#ask({ method: 'GET', path, signal })
  }

  /** Closes idle connections. */
  close(): void {
    this.#transport.close()
  }

  async #ask<T>(exchange: Exchange): Promise<T> {
    for (let retries = 0; ; retries++) {
      const answer = await this.#transport.exchange(exchange)
      if (answer.code >= 200 && answer.code < 300) return parse(exchange, answer.body) as T
      const error = errorOf(exchange, answer)
      if (!mayAskAgain(answer) || retries === mostRetries) throw error
      await pause(this.#clock, error.retryAfter ?? 1000, exchange.signal)
      if (exchange.signal?.aborted === true) throw error
    }
  }

  #text(resource: Resource, object: KubeObject): string {
    return JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...object })
  }
}

/** In both cases the server has not done what was asked, so asking again is safe whatever the method. */
function mayAskAgain({ code, retryAfterSeconds }: Answer): boolean {
  return code === 429 || (code === 503 && retryAfterSeconds !== undefined)
}

function errorOf({ method, path }: Exchange, { code, body, retryAfterSeconds }: Answer): ApiError {
  let status: Status
  try {
    status = JSON.parse(body) as Status
  } catch {
    // A proxy or a server that is starting answers in prose.
    status = { message: body.slice(0, 200) }
  }
  return new ApiError(`${method} ${path}`, code, status, retryAfterSeconds)
}

function parse({ method, path }: Exchange, body: string): unknown {
  try {
    return JSON.parse(body)
  } catch (error) {
    throw new ConnectionError(`${method} ${path}`, error as SyntaxError)
  }
}
