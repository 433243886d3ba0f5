import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { ApiError, isExpired, isNotFound } from './api-error.ts'
import { Backoff } from './backoff.ts'
import type { KubeClient, Selection } from './client.ts'
import type { KubeMetrics } from './metrics.ts'
import { pause } from './pause.ts'
import { apiVersionOf, compareVersions, type KubeObject, type Resource } from './resource.ts'
import { readEvents } from './watch-event.ts'

/** Where a reflector puts what it hears; a `Store` is one. */
export interface Sink<T> {
  replace(objects: readonly T[]): void
  upsert(object: T): void
  remove(object: T): void
}

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: Pick<KubeClient, 'list' | 'watch'>
  readonly resource: Resource<T>
  readonly selection?: Selection
  readonly sink: Sink<T>
  readonly clock: Clock
  readonly log: Log
  readonly metrics: KubeMetrics
  /** 0 to 1. */
  readonly random?: () => number
  /** Objects a page of the list. */
  readonly pageSize?: number
  /** Shortest and longest time after which the server is asked to end a watch, in seconds. */
  readonly watchSeconds?: readonly [number, number]
  /** Longest silence on a watch of a server that sends bookmarks, in milliseconds. */
  readonly longestSilence?: number
  /** How much longer than asked for a server may take to end a watch, in milliseconds. */
  readonly grace?: number
}

const defaults: Pick<
  Required<ReflectorOptions<KubeObject>>,
  'selection' | 'random' | 'pageSize' | 'watchSeconds' | 'longestSilence' | 'grace'
> = {
  selection: {},
  random: Math.random,
  pageSize: 500,
  watchSeconds: [290, 590],
  // kube-apiserver sends a bookmark a minute on a watch on which nothing happens.
  longestSilence: 150_000,
  grace: 15_000,
}

/** A watch that ends sooner, in milliseconds, and brought nothing, is a failure. */
const shortestWatch = 1_000
/** After so many refusals in a row the list is fetched anew, in case it is our resource version that offends. */
const mostRefusals = 3
const listTimeout = 60_000

/**
 * Keeps a sink equal to what the API server has: a list in pages, then watches that each go on where the last one
 * ended, for as long as it runs. It never gives up, and waits only after failures. Nothing that the server sends and
 * nothing that the sink throws ends it.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: Required<ReflectorOptions<T>>
  readonly #backoff: Backoff
  readonly #stop = new AbortController()
  readonly #log: Log
  readonly #labels: { readonly resource: string }
  #running: Promise<void> | undefined
  /** Everything up to this resource version is in the sink; undefined when a list is due. */
  #position: string | undefined
  /** Nothing was heard since the list. */
  #isFresh = true
  #sendsBookmarks = false
  #refusals = 0

  constructor(options: ReflectorOptions<T>) {
    this.#options = { ...defaults, ...options }
    this.#backoff = new Backoff({ shortest: 800, longest: 30_000, random: this.#options.random })
    const { resource } = options
    this.#labels = { resource: resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}` }
    this.#log = options.log.child(this.#labels)
  }

  /** Runs until `stop`. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped'))
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        if (this.#position === undefined) this.#position = await this.#list()
        await this.#watch(this.#position)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        await this.#waitAfter(error)
      }
    }
  }

  /** Fetches the list, and returns its resource version. */
  async #list(): Promise<string> {
    const { client, resource, selection, pageSize, sink, metrics } = this.#options
    metrics.reflector.lists.add(this.#labels)
    const common = { ...selection, signal: this.#stop.signal, timeout: listTimeout }
    const objects: T[] = []
    let page = await client.list(resource, { ...common, limit: pageSize })
    objects.push(...page.items)
    while (page.metadata.continue !== undefined && page.metadata.continue !== '') {
      try {
        page = await client.list(resource, { ...common, limit: pageSize, continue: page.metadata.continue })
      } catch (error) {
        if (!isExpired(error)) throw error
        // History was compacted between two pages: all at once has no such trouble.
        page = await client.list(resource, common)
        objects.length = 0
      }
      objects.push(...page.items)
    }
    const complete = objects.map((object) => this.#complete(object))
    this.#guarded(() => sink.replace(complete))
    this.#isFresh = true
    this.#log.debug({ objects: objects.length, resourceVersion: page.metadata.resourceVersion }, 'listed')
    return page.metadata.resourceVersion
  }

  /** Watches until the server ends it, which is as it should be. Throws when anything else happens. */
  async #watch(from: string): Promise<void> {
    const { client, resource, selection, clock, metrics, random } = this.#options
    const { watchSeconds, longestSilence, grace } = this.#options
    metrics.reflector.watches.add(this.#labels)
    const [shortest, longest] = watchSeconds
    const timeoutSeconds = Math.round(shortest + random() * (longest - shortest))
    const abort = new AbortController()
    const stop = () => abort.abort(this.#stop.signal.reason)
    if (this.#stop.signal.aborted) return
    this.#stop.signal.addEventListener('abort', stop, { once: true })
    const silence = new SilenceGuard(clock, (after) =>
      abort.abort(new Error(`nothing was heard for ${after / 1000} s; the connection seems dead`)),
    )
    const began = clock.now()
    let events = 0
    try {
      const options = { ...selection, resourceVersion: from, timeoutSeconds, signal: abort.signal }
      const stream = await client.watch(resource, options)
      silence.wait(this.#sendsBookmarks ? longestSilence : timeoutSeconds * 1000 + grace)
      for await (const event of readEvents<T>(stream)) {
        events++
        if (event.type === 'BOOKMARK') {
          this.#sendsBookmarks = true
          silence.longest = longestSilence
        }
        silence.heard()
        this.#take(event)
      }
    } catch (error) {
      throw abort.signal.aborted ? abort.signal.reason : error
    } finally {
      silence.end()
      this.#stop.signal.removeEventListener('abort', stop)
    }
    if (events === 0 && clock.now() - began < shortestWatch) throw new Error('the watch ended at once')
    this.#wentWell()
  }

  #wentWell(): void {
    this.#isFresh = false
    this.#refusals = 0
    this.#backoff.reset()
  }

  #take(event: { type: string; object: KubeObject }): void {
    const { sink } = this.#options
    const position = event.object.metadata.resourceVersion
    if ((compareVersions(position, this.#position) ?? 1) > 0) this.#position = position
    this.#wentWell()
    if (event.type === 'BOOKMARK') return
    const object = this.#complete(event.object as T)
    this.#guarded(() => (event.type === 'DELETED' ? sink.remove(object) : sink.upsert(object)))
  }

  /** Adds what lists leave out, and drops what nobody reads and is often half of an object. */
  #complete(object: T): T {
    const { managedFields: _, ...metadata } = object.metadata
    const { resource } = this.#options
    return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata }
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#options.metrics.reflector.handlerErrors.add(this.#labels)
      this.#log.error({ err: error }, 'a change could not be handled')
    }
  }

  async #waitAfter(error: unknown): Promise<void> {
    const { clock, metrics, resource } = this.#options
    metrics.reflector.failures.add(this.#labels)
    const message = error instanceof Error ? error.message : String(error)
    const isMissing = isNotFound(error) && resource.group.includes('.')
    const hint = ` (is the CRD ${this.#labels.resource} installed, and does it have ${resource.version}?)`
    const reason = isMissing ? `${message}${hint}` : message
    if (isExpired(error)) {
      this.#position = undefined
      // That history is gone is no sign of trouble, unless it is gone right after a list.
      if (!this.#isFresh) return this.#log.info({ reason }, 'history is gone; listing anew')
    }
    if (error instanceof ApiError && ++this.#refusals >= mostRefusals) this.#position = undefined
    const asked = error instanceof ApiError ? (error.retryAfter ?? 0) : 0
    const delay = Math.round(Math.max(this.#backoff.next(), asked))
    this.#log.warn({ reason, delay }, 'list or watch failed; waiting before the next try')
    await pause(clock, delay, this.#stop.signal)
  }
}

/** Raises an alarm when nothing was heard for too long. */
class SilenceGuard {
  readonly #clock: Clock
  readonly #alarm: (after: number) => void
  #timer: Timer | undefined
  /** In milliseconds. */
  longest = 0

  constructor(clock: Clock, alarm: (after: number) => void) {
    this.#clock = clock
    this.#alarm = alarm
  }

  wait(longest: number): void {
    this.longest = longest
    this.heard()
  }

  heard(): void {
    const { longest } = this
    this.#timer?.cancel()
    this.#timer = this.#clock.after(longest, () => this.#alarm(longest))
  }

  end(): void {
    this.#timer?.cancel()
  }
}
