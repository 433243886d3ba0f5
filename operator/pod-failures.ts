import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { KubeClient } from './kube/client.ts'
import { type Event, events } from './kube/events.ts'
import { isMissingPods, type StatefulSet } from './report/rolled.ts'

export interface PodFailuresOptions {
  readonly api: Pick<KubeClient, 'list'>
  readonly clock: Clock
  readonly log: Log
}

/** Why pods of a fleet cannot be made. */
export interface PodFailure {
  /** The words of the one who tried. */
  readonly words?: string | undefined
  /** After how many milliseconds to look again; absent when no pod is missing. */
  readonly after?: number
}

interface Look {
  readonly uid: string | undefined
  readonly generation: number | undefined
  readonly words: string | undefined
  /** When to look again, and how long that was put off, in milliseconds. */
  readonly due: number
  readonly wait: number
}

/** Pods are made within this time, in milliseconds, when nothing keeps them from it. */
export const firstLook = 2_000
/** The waits after that double up to this one: who makes the pods tries ever more seldom, too. */
export const longestWait = 60_000
/** More events than one StatefulSet has within the hour for which they are kept; the same ones are counted. */
const most = 500

/**
 * Why pods cannot be made, as for a quota, an admission rule or a missing ServiceAccount, stands nowhere in a StatefulSet, only in events
 * about it. Events are not watched, since there are many, and others' for the most part: they are asked for while pods are missing.
 */
export class PodFailures {
  readonly #options: PodFailuresOptions
  readonly #looks = new Map<string, Look>()

  constructor(options: PodFailuresOptions) {
    this.#options = options
  }

  /** What is known of a fleet by its key, from the API server if it is time. Never rejects: without the words everything else goes on. */
  async find(key: string, statefulSet: StatefulSet | undefined, signal: AbortSignal): Promise<PodFailure> {
    const { clock } = this.#options
    if (statefulSet === undefined || !isMissingPods(statefulSet)) {
      this.#looks.delete(key)
      return {}
    }
    const { uid, generation } = statefulSet.metadata
    let look = this.#looks.get(key)
    if (look === undefined || look.uid !== uid || look.generation !== generation) {
      const words = look?.uid === uid ? look?.words : undefined
      look = { uid, generation, words, due: clock.now() + firstLook, wait: firstLook }
    } else if (clock.now() >= look.due) {
      const wait = Math.min(look.wait * 2, longestWait)
      look = { ...look, words: await this.#ask(statefulSet, signal), due: clock.now() + wait, wait }
    }
    this.#looks.set(key, look)
    return { words: look.words, after: Math.max(0, look.due - clock.now()) }
  }

  /** To be called when a fleet is gone. */
  forget(key: string): void {
    this.#looks.delete(key)
  }

  async #ask({ metadata }: StatefulSet, signal: AbortSignal): Promise<string | undefined> {
    const { api, log } = this.#options
    const { namespace, name, uid } = metadata
    try {
      const { items } = await api.list(events, {
        namespace,
        fieldSelector: `regarding.kind=StatefulSet,regarding.uid=${uid}`,
        limit: most,
        signal,
      })
      return failureIn(items)
    } catch (error) {
      log.warn({ err: error, statefulSet: `${namespace}/${name}` }, 'events could not be read')
      return undefined
    }
  }
}

/** What the last attempt failed for. Times are of whole seconds: of one second the failure counts, since pods are missing. */
function failureIn(items: readonly Event[]): string | undefined {
  const last = (reason: string) =>
    items
      .filter((event) => event.reason === reason)
      .map((event) => ({ note: event.note, at: lastSeen(event) }))
      .reduce<{ note: string; at: number } | undefined>((a, b) => (a === undefined || b.at >= a.at ? b : a), undefined)
  const [failed, made] = ['FailedCreate', 'SuccessfulCreate'].map(last)
  return failed === undefined || (made !== undefined && made.at > failed.at) ? undefined : failed.note
}

/** In milliseconds since 1970. Controllers of Kubernetes report by the older API, whose times are those that are deprecated here. */
function lastSeen({ series, deprecatedLastTimestamp, eventTime, metadata }: Event): number {
  const time = series?.lastObservedTime ?? deprecatedLastTimestamp ?? eventTime ?? metadata.creationTimestamp
  return Date.parse(time ?? '') || 0
}
