import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { ApiError } from './kube/api-error.ts'
import type { KubeClient } from './kube/client.ts'
import type { KubeMetrics } from './kube/metrics.ts'
import { Reflector, type Sink } from './kube/reflector.ts'
import type { KubeObject } from './kube/resource.ts'
import type { Watch } from './watch.ts'

export interface InformersOptions {
  readonly api: Pick<KubeClient, 'list' | 'watch'>
  readonly watches: readonly Watch[]
  /** Empty: all. */
  readonly namespaces: readonly string[]
  readonly clock: Clock
  readonly log: Log
  readonly metrics: KubeMetrics
  /** Everything of a namespace, or of all, was listed for the first time. */
  readonly onListed: () => void
}

/** One namespace, or all of them. */
interface Part {
  readonly namespace: string | undefined
  /** Kinds that were not listed yet. */
  readonly unlisted: Set<string>
  /** The last list was refused. */
  isRefused: boolean
  /** Resolves when everything was listed, or when it is known that this cannot be for now. */
  readonly settled: PromiseWithResolvers<void>
  readonly listed: PromiseWithResolvers<void>
}

/**
 * Keeps the stores of all watches up to date, in all namespaces or in some. A namespace that is gone, or that we have no
 * rights in, does not hold back the others; it is asked for again until it answers.
 */
export class Informers {
  readonly #options: InformersOptions
  readonly #parts: readonly Part[]
  readonly #reflectors: readonly Reflector<KubeObject>[]

  constructor(options: InformersOptions) {
    const { watches, namespaces } = options
    this.#options = options
    this.#parts = (namespaces.length === 0 ? [undefined] : namespaces).map((namespace) => ({
      namespace,
      unlisted: new Set(watches.map(({ resource }) => resource.plural)),
      isRefused: false,
      settled: Promise.withResolvers(),
      listed: Promise.withResolvers(),
    }))
    this.#reflectors = this.#parts.flatMap((part) => watches.map((watch) => this.#reflector(watch, part)))
  }

  #reflector({ resource, store, labelSelector, fieldSelector }: Watch, part: Part): Reflector<KubeObject> {
    const { api, clock, log, metrics } = this.#options
    const { namespace } = part
    const sink = namespace === undefined ? store : new PartSink(store, namespace)
    return new Reflector({
      client: {
        list: async (...request) => {
          try {
            return await api.list(...request)
          } catch (error) {
            this.#failed(part, error)
            throw error
          }
        },
        watch: (...request) => api.watch(...request),
      },
      resource,
      selection: { namespace, labelSelector, fieldSelector },
      sink: announcing(sink, () => this.#listed(part, resource.plural)),
      clock,
      log,
      metrics,
    })
  }

  /** Who asks for all namespaces has rights in all of them or none, and waits. */
  #failed(part: Part, error: unknown): void {
    const { namespace } = part
    if (namespace === undefined || part.isRefused || !isRefusal(error)) return
    part.isRefused = true
    part.settled.resolve()
    this.#options.log.error(
      { namespace, reason: error.message },
      `namespace ${namespace} is gone or not allowed: its fleets stay as they are; the others go on, and it is tried again`,
    )
  }

  #listed(part: Part, plural: string): void {
    const isFirst = part.unlisted.delete(plural)
    if (part.unlisted.size > 0) return
    if (part.isRefused) this.#options.log.info({ namespace: part.namespace }, `namespace ${part.namespace} is there`)
    part.isRefused = false
    part.settled.resolve()
    part.listed.resolve()
    if (isFirst) this.#options.onListed()
  }

  /** Whether everything of a namespace was listed once. Before, nothing can be concluded from what is missing. */
  isListed(namespace: string): boolean {
    return this.#parts.some(
      (part) => part.unlisted.size === 0 && (part.namespace === undefined || part.namespace === namespace),
    )
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start()
  }

  /** Resolves when everything was listed once; of several namespaces, all that can be, which must be one at least. */
  async synced(): Promise<void> {
    await Promise.all(this.#parts.map(({ settled }) => settled.promise))
    await Promise.race(this.#parts.map(({ listed }) => listed.promise))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()))
  }
}

/** What several lists are put into, one for each namespace. */
interface Listed extends Sink<KubeObject> {
  list(): KubeObject[]
}

/** One namespace of a store: a list of it says nothing of the others. */
class PartSink implements Sink<KubeObject> {
  readonly #store: Listed
  readonly #namespace: string

  constructor(store: Listed, namespace: string) {
    this.#store = store
    this.#namespace = namespace
  }

  replace(objects: readonly KubeObject[]): void {
    const others = this.#store.list().filter(({ metadata }) => metadata.namespace !== this.#namespace)
    this.#store.replace([...others, ...objects])
  }

  upsert(object: KubeObject): void {
    this.#store.upsert(object)
  }

  remove(object: KubeObject): void {
    this.#store.remove(object)
  }
}

/** There are no rights, or there is no such place. */
function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && (error.code === 403 || error.code === 404)
}

function announcing(sink: Sink<KubeObject>, listed: () => void): Sink<KubeObject> {
  return {
    replace: (objects) => {
      sink.replace(objects)
      listed()
    },
    upsert: (object) => sink.upsert(object),
    remove: (object) => sink.remove(object),
  }
}
