import type { Clock } from '#lib/clock.ts'
import { canonicalJson } from '#lib/hash.ts'
import type { Log } from '#lib/log.ts'
import { ApiError, isConflict, isNotFound } from './api-error.ts'
import { fieldManager } from './apply.ts'
import type { KubeClient } from './client.ts'
import { Controller, TerminalError, type Outcome } from './controller.ts'
import type { KubeMetrics } from './metrics.ts'
import { compareVersions, keyOf, type KubeObject, type Resource } from './resource.ts'
import { Bucket } from './retry-rate.ts'

/** An object that has a status. */
export interface WithStatus extends KubeObject {
  readonly status?: unknown
}

export interface StatusWriterOptions {
  readonly api: Pick<KubeClient, 'apply' | 'get'>
  readonly clock: Clock
  readonly log: Log
  readonly metrics: KubeMetrics
  /** Writes a second that may go on for ever; 20 unless told. */
  readonly perSecond?: number
  /** Writes at once after a quiet time, as when a thousand trunks were created; 1,000 unless told. */
  readonly burst?: number
  /** Shortest time between two writes of one status, in milliseconds; 500 unless told. */
  readonly interval?: number
}

interface Entry {
  readonly resource: Resource
  object: WithStatus
  wanted: object
  isScheduled: boolean
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
  readonly #options: Required<StatusWriterOptions>
  readonly #entries = new Map<string, Entry>()
  readonly #bucket: Bucket
  readonly #controller: Controller

  constructor(options: StatusWriterOptions) {
    this.#options = { perSecond: 20, burst: 1000, interval: 500, ...options }
    this.#bucket = new Bucket(options.clock, this.#options)
    this.#controller = new Controller({
      ...options,
      name: 'status',
      workers: 8,
      reconcile: (key, signal) => this.#send(key, signal),
    })
    this.#controller.start()
  }

  /** Wants this status for this object, which is given as it was last seen. Returns at once. */
  write<T extends WithStatus>(resource: Resource<T>, object: T, status: object): void {
    const key = entryKey(resource, keyOf(object))
    const { clock, interval } = this.#options
    let entry = this.#entries.get(key)
    if (entry === undefined || entry.object.metadata.uid !== object.metadata.uid) {
      entry = { resource, object, wanted: status, isScheduled: false, at: -Infinity }
      this.#entries.set(key, entry)
    }
    entry.object = object
    entry.wanted = status
    if (entry.isScheduled || isThere(entry)) return
    entry.isScheduled = true
    this.#controller.queue.addAfter(key, Math.max(entry.at + interval - clock.now(), this.#bucket.reserve()))
  }

  /** To be called when an object is gone. */
  forget(resource: Resource, key: string): void {
    this.#entries.delete(entryKey(resource, key))
  }

  /** Writes nothing more, and resolves when that is so. */
  async stop(): Promise<void> {
    await this.#controller.stop()
  }

  async #send(key: string, signal: AbortSignal): Promise<Outcome> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return {}
    const { resource, wanted } = entry
    if (isThere(entry)) {
      entry.isScheduled = false
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
    entry.isScheduled = false
    entry.written = {
      wanted: canonicalJson(wanted),
      became: canonicalJson(now.status ?? {}),
      resourceVersion: now.metadata.resourceVersion,
    }
    // Something newer was wanted meanwhile.
    if (entry.wanted !== wanted) this.write(resource, entry.object, entry.wanted)
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
    if (error instanceof ApiError && error.code === 422) {
      entry.isScheduled = false
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
