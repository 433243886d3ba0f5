import { randomUUID } from 'node:crypto'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { isNotFound } from './api-error.ts'
import type { KubeClient } from './client.ts'
import { microTime } from './micro-time.ts'
import type { KubeObject, Resource } from './resource.ts'
import { Bucket } from './retry-rate.ts'

/** Something that users should see under the object in `kubectl describe`. */
export interface Occurrence {
  /** The object it is about, with `apiVersion` and `kind`. */
  readonly regarding: KubeObject
  readonly type: 'Normal' | 'Warning'
  /** Why, as one word in CamelCase to select on, as `TrunkUnreachable`. */
  readonly reason: string
  /** What was done or tried, as one word, as `Probe`. */
  readonly action: string
  /** For people; at most 1,024 bytes are kept. */
  readonly note: string
}

export interface Event extends KubeObject {
  /** Absent on events of the older API. */
  readonly eventTime?: string | null
  readonly deprecatedLastTimestamp?: string | null
  readonly type: string
  readonly reason: string
  readonly action: string
  readonly note: string
  readonly regarding: {
    readonly apiVersion?: string
    readonly kind?: string
    readonly namespace?: string
    readonly name: string
    readonly uid?: string
  }
  readonly reportingController: string
  readonly reportingInstance: string
  readonly series?: { readonly count: number; readonly lastObservedTime: string }
}

export const events: Resource<Event> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
}

export interface EventRecorderOptions {
  readonly api: Pick<KubeClient, 'create' | 'patch'>
  /** Who reports, as `sbcfleet.dev/operator`. */
  readonly controller: string
  /** Which process of it, as the pod's name. */
  readonly instance: string
  readonly clock: Clock
  readonly log: Log
}

/** After so long without a repetition the next one is a new event. */
const seriesEnd = 6 * 60_000
/** A series that goes on is written so often. */
const seriesInterval = 30_000
/** Writes for long and at once: with the statuses that change by themselves no more than 20 in any second. */
const pace = { perSecond: 4, burst: 2 }
/** What would have to wait longer for its turn, in milliseconds, is not reported. */
const longestWait = 25_000
const mostSeries = 1000
const longestNote = 1024

interface Series {
  readonly event: Event
  count: number
  lastObservedTime: string
  /** Ends the series, or writes its count. */
  timer: Timer
  isDue: boolean
}

/**
 * Reports events (`events.k8s.io/v1`). Repetitions, which differ in nothing but the note, become one event with a
 * count. Reporting never waits, never throws, and is bounded in rate: whoever reports too much loses events, not the program.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #series = new Map<string, Series>()
  readonly #bucket: Bucket
  /** Writes that wait for their turn. */
  readonly #waiting = new Map<Timer, () => void>()
  readonly #sending = new Set<Promise<void>>()

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#bucket = new Bucket(options.clock, pace)
  }

  record(occurrence: Occurrence): void {
    const { clock } = this.#options
    const { regarding, type, reason, action } = occurrence
    const { kind, metadata } = regarding
    const key = [kind, metadata.namespace, metadata.name, metadata.uid, type, reason, action].join('\0')
    const now = microTime(clock.wallTime())
    const known = this.#series.get(key)
    if (known !== undefined) return this.#repeat(key, known, now)
    if (this.#series.size >= mostSeries) return
    const event = this.#eventOf(occurrence, now)
    const isTaken = this.#inTurn(() =>
      this.#send(async () => {
        await this.#options.api.create(events, event)
      }),
    )
    if (!isTaken) return
    const timer = clock.after(seriesEnd, () => this.#series.delete(key))
    this.#series.set(key, { event, count: 1, lastObservedTime: now, timer, isDue: false })
  }

  /** Writes the counts that are not yet written, and resolves when all is sent. */
  async stop(): Promise<void> {
    for (const [timer, write] of this.#waiting) {
      timer.cancel()
      write()
    }
    this.#waiting.clear()
    for (const series of this.#series.values()) {
      series.timer.cancel()
      if (series.isDue) this.#write(series)
    }
    this.#series.clear()
    await Promise.all(this.#sending)
  }

  #repeat(key: string, series: Series, now: string): void {
    const { clock } = this.#options
    series.count++
    series.lastObservedTime = now
    if (series.isDue) return
    series.isDue = true
    series.timer.cancel()
    const write = () => {
      // When it is nobody's turn the count goes with the next one.
      if (!this.#inTurn(() => this.#write(series))) series.timer = clock.after(seriesInterval, write)
      else {
        series.isDue = false
        series.timer = clock.after(seriesEnd, () => this.#series.delete(key))
      }
    }
    series.timer = clock.after(seriesInterval, write)
  }

  /** Runs the write when it is its turn, now if possible; false when that is too far away. */
  #inTurn(write: () => void): boolean {
    const delay = this.#bucket.reserveWithin(longestWait)
    if (delay === undefined) return false
    if (delay === 0) write()
    else {
      const timer = this.#options.clock.after(delay, () => {
        this.#waiting.delete(timer)
        write()
      })
      this.#waiting.set(timer, write)
    }
    return true
  }

  #write({ event, count, lastObservedTime }: Series): void {
    const { api } = this.#options
    const series = { count, lastObservedTime }
    this.#send(async () => {
      try {
        await api.patch(events, event.metadata, { series })
      } catch (error) {
        // The API server forgets events after an hour.
        if (!isNotFound(error)) throw error
        await api.create(events, { ...event, series })
      }
    })
  }

  #send(request: () => Promise<void>): void {
    const sending = request()
      .catch((error: unknown) => this.#options.log.warn({ err: error }, 'an event could not be reported'))
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  #eventOf({ regarding, type, reason, action, note }: Occurrence, eventTime: string): Event {
    const { apiVersion = '', kind = '', metadata } = regarding
    const { namespace, name, uid } = metadata
    return {
      metadata: { name: `${name.slice(0, 200)}.${randomUUID().slice(0, 13)}`, namespace: namespace ?? 'default' },
      eventTime,
      type,
      reason,
      action,
      note: shorten(note),
      regarding: {
        apiVersion,
        kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
      },
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance,
    }
  }
}

function shorten(note: string): string {
  const bytes = Buffer.from(note)
  if (bytes.length <= longestNote) return note
  // What is cut within a character decodes to a replacement character of up to three bytes.
  return `${bytes
    .subarray(0, longestNote - 6)
    .toString('utf8')
    .replace(/\uFFFD$/, '')}…`
}
