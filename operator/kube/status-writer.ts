import type { Clock } from '#lib/clock.ts'
import { canonicalJson } from '#lib/hash.ts'
import type { Log } from '#lib/log.ts'
import { ApiError, isConflict, isNotFound, isUnknownField } from './api-error.ts'
import { fieldManager } from './apply.ts'
import type { KubeClient } from './client.ts'
import { Controller, TerminalError, type Outcome } from './controller.ts'
import type { KubeMetrics } from './metrics.ts'
import { compareVersions, keyOf, type KubeObject, type Resource } from './resource.ts'
import { Bucket } from './retry-rate.ts'
import { Background } from './background.ts'

/** An object that has a status. */
export interface WithStatus extends KubeObject {
  readonly status?: unknown
}

/**
 * How soon a status is to be written. `Now`: the user did something and waits for it. `Soon`: the same, but the next
 * status may be there in a moment and then does for both. `Turn`: something has turned by itself, as a peer that went
 * down. `Detail`: a count or a message. The last two share a rate that no number of objects can exceed.
 */
export type Urgency = 'Now' | 'Soon' | 'Turn' | 'Detail'

export interface Rates {
  /** For what users do: writes a second that may go on for ever, and at once after a quiet time. */
  readonly perSecond: number
  readonly burst: number
  /** For what changes by itself. */
  readonly background: { readonly perSecond: number; readonly burst: number }
  /** Shortest time between two writes of one status, in milliseconds. */
  readonly interval: number
  /** How long `Soon` waits for something better, in milliseconds. */
  readonly patience: number
  /** Shortest time between two writes of one status for what changes by itself, in milliseconds. */
  readonly turnInterval: number
  readonly detailInterval: number
}

/**
 * What users do is one status for every object that they wrote themselves, so it is bounded by them; 3,000 at once is what
 * a fleet with thousands of trunks needs when it is created. What changes by itself has no such bound: 1,000 trunks that
 * flap cost 12 writes a second, which with the events about them is less than the 20 a second that clusters are made for.
 */
const usualRates: Rates = {
  perSecond: 100,
  burst: 3_000,
  background: { perSecond: 12, burst: 2 },
  interval: 500,
  patience: 1_000,
  turnInterval: 1_000,
  detailInterval: 5_000,
}

/** How long a status waits for a definition that has its fields, in milliseconds. */
const oldDefinitionMilliseconds = 10_000

export interface StatusWriterOptions {
  readonly api: Pick<KubeClient, 'apply' | 'get'>
  readonly clock: Clock
  readonly log: Log
  readonly metrics: KubeMetrics
  readonly rates?: Partial<Rates>
}

interface Entry {
  readonly key: string
  readonly resource: Resource
  object: WithStatus
  wanted: object
  urgency: Urgency
  /** When it will be written, once that is settled. */
  due: number | undefined
  /** When it was last written. */
  at: number
  /** What was last written, what it became, and in which version of the object. */
  written?: { readonly wanted: string; readonly became: string; readonly resourceVersion: string | undefined }
}

/**
 * Writes the status of objects by server-side apply: only when it differs from what is there, only the newest wish, and
 * no more often than is good for the API server. Writes that fail are tried again. To be stopped when another process
 * becomes the leader.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions
  readonly #rates: Rates
  readonly #entries = new Map<string, Entry>()
  /** Kinds whose definition lacks a field, as was said. */
  readonly #old = new Set<string>()
  readonly #bucket: Bucket
  readonly #controller: Controller
  /** What changed by itself, and from when on it may be written. */
  readonly #background: Background<Entry>

  constructor(options: StatusWriterOptions) {
    const { clock } = options
    this.#options = options
    this.#rates = { ...usualRates, ...options.rates }
    this.#bucket = new Bucket(clock, this.#rates)
    this.#background = new Background(clock, this.#rates.background, (entry) => this.#queue(entry, 0))
    this.#controller = new Controller({
      ...options,
      name: 'status',
      workers: 8,
      reconcile: (key, signal) => this.#send(key, signal),
    })
    this.#controller.start()
  }

  /** Wants this status for this object, which is given as it was last seen. Returns at once. */
  write<T extends WithStatus>(resource: Resource<T>, object: T, status: object, urgency: Urgency = 'Now'): void {
    const key = entryKey(resource, keyOf(object))
    let entry = this.#entries.get(key)
    if (entry === undefined || entry.object.metadata.uid !== object.metadata.uid) {
      if (entry !== undefined) this.#background.remove(entry)
      entry = { key, resource, object, wanted: status, urgency, due: undefined, at: -Infinity }
      this.#entries.set(key, entry)
    }
    entry.object = object
    entry.wanted = status
    if (entry.due === undefined && isThere(entry)) this.#background.remove(entry)
    else this.#schedule(entry, urgency)
  }

  #schedule(entry: Entry, urgency: Urgency): void {
    const { clock } = this.#options
    const { interval, patience, turnInterval, detailInterval } = this.#rates
    if (urgency === 'Turn' || urgency === 'Detail') {
      // Whoever waits for a turn of its own gets the newest with it.
      if (entry.due !== undefined) return
      if (!this.#background.has(entry) || urgency === 'Turn') entry.urgency = urgency
      return this.#background.add(entry, entry.at + (urgency === 'Turn' ? turnInterval : detailInterval))
    }
    const delay = Math.max(entry.at + interval - clock.now(), urgency === 'Soon' ? patience : 0)
    if (entry.due !== undefined && entry.due <= clock.now() + delay) return
    entry.urgency = urgency
    this.#background.remove(entry)
    this.#queue(entry, entry.due === undefined ? Math.max(delay, this.#bucket.reserve()) : delay)
  }

  #queue(entry: Entry, delay: number): void {
    entry.due = this.#options.clock.now() + Math.max(0, delay)
    this.#controller.queue.addAfter(entry.key, delay)
  }

  /** To be called when an object is gone. */
  forget(resource: Resource, key: string): void {
    const entry = this.#entries.get(entryKey(resource, key))
    if (entry === undefined) return
    this.#background.remove(entry)
    this.#entries.delete(entry.key)
  }

  /** Writes nothing more, and resolves when that is so. */
  async stop(): Promise<void> {
    this.#background.stop()
    await this.#controller.stop()
  }

  async #send(key: string, signal: AbortSignal): Promise<Outcome> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return {}
    const { resource, wanted } = entry
    if (isThere(entry)) {
      entry.due = undefined
      return {}
    }
    const { namespace, name } = entry.object.metadata
    const resourceVersion = newestVersion(entry)
    const object = {
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        // So that the status of a deleted object is not written to another one of its name. A uid would not do: the API
        // server passes over it in the status of a custom resource.
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      status: wanted,
    }
    let now: WithStatus
    try {
      now = await this.#options.api.apply(resource, object, {
        fieldManager,
        force: true,
        subresource: 'status',
        signal,
      })
    } catch (error) {
      return this.#refused(key, entry, error, signal)
    }
    entry.at = this.#options.clock.now()
    this.#old.delete(resource.kind)
    entry.due = undefined
    entry.written = {
      wanted: canonicalJson(wanted),
      became: canonicalJson(now.status ?? {}),
      resourceVersion: now.metadata.resourceVersion,
    }
    // Something newer was wanted meanwhile.
    if (entry.wanted !== wanted) this.write(resource, entry.object, entry.wanted, entry.urgency)
    return {}
  }

  async #refused(key: string, entry: Entry, error: unknown, signal: AbortSignal): Promise<Outcome> {
    if (isConflict(error)) {
      const { resource, object } = entry
      const now = await this.#options.api.get<WithStatus>(resource, object.metadata, signal).catch(absent)
      if (now?.metadata.uid === object.metadata.uid) {
        entry.object = now ?? object
        return { after: 5 }
      }
    }
    if (isConflict(error) || isNotFound(error)) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key)
      return {}
    }
    if (isUnknownField(error)) {
      const { kind } = entry.resource
      const reason = error.status.message
      const message = `the CustomResourceDefinition of ${kind} is older than this program; apply crds/ of this release`
      if (!this.#old.has(kind)) this.#options.log.error({ reason }, message)
      this.#old.add(kind)
      return { after: oldDefinitionMilliseconds }
    }
    if (error instanceof ApiError && error.code === 422) {
      entry.due = undefined
      throw new TerminalError('the API server finds the status invalid', { cause: error })
    }
    throw error
  }
}

/** Whether the object has the wanted status already, as far as we know. */
function isThere({ object, wanted, written }: Entry): boolean {
  const text = canonicalJson(wanted)
  if (written === undefined) return text === canonicalJson(object.status ?? {})
  if (text !== written.wanted) return false
  const order = compareVersions(object.metadata.resourceVersion, written.resourceVersion)
  // What was seen may be older than what we wrote.
  if (order !== undefined && order <= 0) return true
  return canonicalJson(object.status ?? {}) === written.became
}

/** Of the version that was seen and the one that we wrote. */
function newestVersion({ object, written }: Entry): string | undefined {
  const seen = object.metadata.resourceVersion
  return (compareVersions(written?.resourceVersion, seen) ?? 0) > 0 ? written?.resourceVersion : seen
}

function absent(error: unknown): undefined {
  if (!isNotFound(error)) throw error
}

function entryKey({ plural, group }: Resource, key: string): string {
  return `${plural}.${group}/${key}`
}
