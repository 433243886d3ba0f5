import { canonicalJson, contentHash } from '#lib/hash.ts'
import { isNotFound } from './api-error.ts'
import type { KubeClient } from './client.ts'
import { compareVersions, keyOf, type KubeObject, type Resource } from './resource.ts'

/** The one name under which this program owns fields. */
export const fieldManager = 'sbcfleet'

interface Applied {
  readonly wanted: string
  readonly became: string
  readonly resourceVersion: string | undefined
  readonly object: KubeObject
}

/**
 * Brings objects to the fields that we want by server-side apply, and leaves out the request when neither the wish nor
 * the object has changed since the last time. Fields that we leave out belong to others, and are left alone.
 */
export class Applier {
  readonly #api: Pick<KubeClient, 'apply' | 'get'>
  readonly #applied = new Map<string, Applied>()

  constructor(api: Pick<KubeClient, 'apply' | 'get'>) {
    this.#api = api
  }

  /** The object that has this name, whosever it is; undefined when there is none. */
  async find<T extends KubeObject>(
    resource: Resource<T>,
    { metadata }: KubeObject,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    try {
      return await this.#api.get(resource, metadata, signal)
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  /**
   * `live` is the object as last seen, if it was; the result is as it is now. Where that object is gone (409) or another
   * one has come in its place (422), nothing is made or changed.
   */
  async apply<T extends KubeObject>(
    resource: Resource<T>,
    wanted: KubeObject,
    live: T | undefined,
    signal?: AbortSignal,
  ): Promise<T> {
    const key = `${resource.plural}.${resource.group}/${keyOf(wanted)}`
    const hash = contentHash(canonicalJson(wanted))
    const before = this.#applied.get(key)
    if (live !== undefined && before?.wanted === hash && isAsApplied(live, before)) {
      return isOlder(live, before) ? (before.object as T) : live
    }
    const uid = live?.metadata.uid
    const sent = uid === undefined ? wanted : { ...wanted, metadata: { ...wanted.metadata, uid } }
    const now = await this.#api.apply(resource, sent, { fieldManager, force: true, signal })
    const { resourceVersion } = now.metadata
    this.#applied.set(key, { wanted: hash, became: fingerprint(now), resourceVersion, object: now })
    return now
  }

  /** To be called when an object is gone. */
  forget(resource: Resource, key: string): void {
    this.#applied.delete(`${resource.plural}.${resource.group}/${key}`)
  }
}

function isAsApplied(live: KubeObject, applied: Applied): boolean {
  const order = compareVersions(live.metadata.resourceVersion, applied.resourceVersion)
  return order === 0 || isOlder(live, applied) || fingerprint(live) === applied.became
}

/** What was seen may be older than what we did. */
function isOlder(live: KubeObject, applied: Applied): boolean {
  const order = compareVersions(live.metadata.resourceVersion, applied.resourceVersion)
  return order !== undefined && order < 0
}

/** Everything of an object but what changes by itself. */
function fingerprint(object: KubeObject): string {
  const { metadata, ...rest } = object
  const { resourceVersion: _, generation: __, managedFields: ___, ...lasting } = metadata
  return contentHash(
    canonicalJson({ ...rest, metadata: lasting, status: undefined, apiVersion: undefined, kind: undefined }),
  )
}
