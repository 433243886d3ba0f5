import { compareVersions, keyOf, type KubeObject } from './resource.ts'

/** What has become of one object. */
export type Change<T> =
  | { readonly type: 'added'; readonly key: string; readonly object: T }
  | { readonly type: 'updated'; readonly key: string; readonly object: T; readonly old: T }
  | { readonly type: 'removed'; readonly key: string; readonly old: T }

/** Under which values an object is found, as the names of the Secrets it refers to. */
export type Indexer<T> = (object: T) => readonly string[]

/** How many removed objects are remembered, so that a late event does not bring one back. */
const mostRemoved = 1000

/**
 * All objects of a resource, as the API server last told, by key and by index. Objects are never changed, only replaced.
 * An event older than what is here is passed over; a full list is always taken as it is.
 */
export class Store<T extends KubeObject, Index extends string = never> {
  readonly #objects = new Map<string, T>()
  readonly #indexers: readonly (readonly [string, Indexer<T>])[]
  readonly #indexes = new Map<string, Map<string, Set<string>>>()
  readonly #removed = new Map<string, string>()
  readonly #listeners = new Set<(change: Change<T>) => void>()
  readonly #onError: (error: unknown, change: Change<T>) => void
  readonly #synced = Promise.withResolvers<void>()
  #isSynced = false

  /** `onError` hears of listeners that throw; the others still get the change. */
  constructor(options: {
    indexers?: Readonly<Record<Index, Indexer<T>>>
    onError: (error: unknown, change: Change<T>) => void
  }) {
    this.#indexers = Object.entries<Indexer<T>>(options.indexers ?? {})
    for (const [name] of this.#indexers) this.#indexes.set(name, new Map())
    this.#onError = options.onError
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  list(): T[] {
    return [...this.#objects.values()]
  }

  /** The objects that an index has under a value. */
  byIndex(index: Index, value: string): T[] {
    const found: T[] = []
    for (const key of this.#indexes.get(index)?.get(value) ?? []) {
      const object = this.#objects.get(key)
      if (object !== undefined) found.push(object)
    }
    return found
  }

  get size(): number {
    return this.#objects.size
  }

  /** Whether a full list has been taken. */
  get isSynced(): boolean {
    return this.#isSynced
  }

  /** Resolves when the first full list has been taken. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  /** Calls the listener after each change. */
  onChange(listener: (change: Change<T>) => void): void {
    this.#listeners.add(listener)
  }

  /** Takes a full list: what is not in it is removed. */
  replace(objects: readonly T[]): void {
    this.#removed.clear()
    const listed = new Set<string>()
    for (const object of objects) {
      listed.add(keyOf(object))
      this.#put(object)
    }
    for (const key of this.#objects.keys()) if (!listed.has(key)) this.#take(key)
    this.#isSynced = true
    this.#synced.resolve()
  }

  /** Takes a new or changed object, unless something newer is known of it. */
  upsert(object: T): void {
    const key = keyOf(object)
    const known = this.#objects.get(key)?.metadata.resourceVersion ?? this.#removed.get(key)
    if (isNotNewer(object, known)) return
    this.#removed.delete(key)
    this.#put(object)
  }

  /** Takes the news that an object is gone, unless something newer is known of it. */
  remove(object: T): void {
    const key = keyOf(object)
    const known = this.#objects.get(key)
    if (known !== undefined && isNotNewer(object, known.metadata.resourceVersion)) return
    this.#remember(key, object.metadata.resourceVersion)
    this.#take(key)
  }

  #put(object: T): void {
    const key = keyOf(object)
    const old = this.#objects.get(key)
    if (old !== undefined && old.metadata.resourceVersion === object.metadata.resourceVersion) return
    if (old !== undefined) this.#unindex(key, old)
    this.#objects.set(key, object)
    for (const [name, indexer] of this.#indexers) {
      const index = this.#indexes.get(name)
      for (const value of indexer(object)) {
        const keys = index?.get(value)
        if (keys === undefined) index?.set(value, new Set([key]))
        else keys.add(key)
      }
    }
    this.#tell(old === undefined ? { type: 'added', key, object } : { type: 'updated', key, object, old })
  }

  #take(key: string): void {
    const old = this.#objects.get(key)
    if (old === undefined) return
    this.#unindex(key, old)
    this.#objects.delete(key)
    this.#tell({ type: 'removed', key, old })
  }

  #unindex(key: string, object: T): void {
    for (const [name, indexer] of this.#indexers) {
      const index = this.#indexes.get(name)
      for (const value of indexer(object)) {
        const keys = index?.get(value)
        keys?.delete(key)
        if (keys?.size === 0) index?.delete(value)
      }
    }
  }

  #remember(key: string, resourceVersion: string | undefined): void {
    if (resourceVersion === undefined) return
    this.#removed.set(key, resourceVersion)
    for (const oldest of this.#removed.keys()) {
      if (this.#removed.size <= mostRemoved) break
      this.#removed.delete(oldest)
    }
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        this.#onError(error, change)
      }
    }
  }
}

function isNotNewer(object: KubeObject, known: string | undefined): boolean {
  const order = compareVersions(object.metadata.resourceVersion, known)
  return order !== undefined && order <= 0
}
