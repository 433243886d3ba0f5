import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { KubeClient, Selection } from './kube/client.ts'
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
}

/** Keeps the stores of all watches up to date, in all namespaces or in some. */
export class Informers {
  readonly #reflectors: readonly Reflector<KubeObject>[]
  readonly #listed: Promise<unknown>

  constructor({ api, watches, namespaces, clock, log, metrics }: InformersOptions) {
    const listed: Promise<void>[] = []
    const selections: readonly Selection[] =
      namespaces.length === 0 ? [{}] : namespaces.map((namespace) => ({ namespace }))
    this.#reflectors = watches.flatMap(({ resource, store, labelSelector, fieldSelector }) =>
      selections.map(({ namespace }) => {
        const first = Promise.withResolvers<void>()
        listed.push(first.promise)
        const sink = namespace === undefined ? store : new PartSink(store, namespace)
        const selection = { namespace, labelSelector, fieldSelector }
        return new Reflector({
          client: api,
          resource,
          selection,
          sink: announcing(sink, first.resolve),
          clock,
          log,
          metrics,
        })
      }),
    )
    this.#listed = Promise.all(listed)
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start()
  }

  /** Resolves when everything was listed once. */
  async synced(): Promise<void> {
    await this.#listed
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
