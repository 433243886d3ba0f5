import { type FSWatcher, readdirSync, realpathSync, type Stats, statSync, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Clock, Timer } from '#lib/clock.ts'

export interface WatchOptions {
  /** Or a single file. */
  readonly directory: string
  readonly clock: Clock
  /** Something may have changed: time to read again. */
  readonly onChange: () => void
}

/** Editors write a file in several steps; this long after the last of them it is read. */
const settleMilliseconds = 100
/** The file system may lose events, or have none to give. */
const rereadMilliseconds = 5_000
const rereadUnwatchedMilliseconds = 500

interface Watched {
  readonly watcher: FSWatcher
  readonly identity: string
}

/**
 * Watches a directory with everything in it, and calls for a read when it has settled after a change. A slow beat makes
 * up for lost events; it is quick while something cannot be watched, and takes the watch up again when it can.
 *
 * Each directory has a watch of its own: Node's recursive watch follows files on Linux, and loses one that another file
 * takes the place of, which is how editors and git write.
 */
export class DirectoryWatch {
  readonly #options: WatchOptions
  readonly #watched = new Map<string, Watched>()
  #whole = false
  #settle: Timer | undefined
  #beat: Timer | undefined
  #closed = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#follow()
    this.#scheduleBeat()
  }

  close(): void {
    this.#closed = true
    this.#settle?.cancel()
    this.#beat?.cancel()
    for (const directory of this.#watched.keys()) this.#release(directory)
  }

  /** Watches the directories that there are, and no others. */
  #follow(): void {
    const found = directoriesOf(this.#options.directory)
    for (const [directory, { identity }] of this.#watched) {
      // One that was removed and made again is another, and the old watch is silent for ever.
      if (found.get(directory)?.identity !== identity) this.#release(directory)
    }
    this.#whole = found.size > 0
    for (const [directory, { identity, only }] of found) {
      if (!this.#watched.has(directory) && !this.#watch(directory, identity, only)) this.#whole = false
    }
  }

  #watch(directory: string, identity: string, only: string | undefined): boolean {
    try {
      const watcher = watch(directory)
      this.#watched.set(directory, { watcher, identity })
      watcher.on('change', (_event, name) => {
        if (only === undefined || name === null || String(name) === only) this.#touched()
      })
      watcher.on('error', () => {
        this.#release(directory)
        this.#touched()
      })
      return true
    } catch {
      // It is unreadable, or there are too many watches: reading it again says which, and the beat goes on.
      return false
    }
  }

  #release(directory: string): void {
    this.#watched.get(directory)?.watcher.close()
    this.#watched.delete(directory)
  }

  #touched(): void {
    if (this.#closed) return
    this.#settle?.cancel()
    this.#settle = this.#options.clock.after(settleMilliseconds, () => this.#changed())
  }

  /** What a new directory holds is read after it is watched, so that nothing is missed in between. */
  #changed(): void {
    this.#follow()
    this.#options.onChange()
  }

  #scheduleBeat(): void {
    const delay = this.#whole ? rereadMilliseconds : rereadUnwatchedMilliseconds
    this.#beat = this.#options.clock.after(delay, () => {
      this.#changed()
      this.#scheduleBeat()
    })
  }
}

interface Found {
  readonly identity: string
  /** The one name in it that counts; undefined: all. */
  readonly only: string | undefined
}

/** The directories that manifests are read from, by real path: links are followed once, and hidden ones passed over. */
function directoriesOf(path: string): Map<string, Found> {
  const found = new Map<string, Found>()
  const visit = (place: string, given: boolean): void => {
    try {
      const real = realpathSync(place)
      const status = statSync(real)
      if (!status.isDirectory()) {
        if (given) found.set(dirname(place), { identity: identityOf(statSync(dirname(place))), only: basename(place) })
        return
      }
      if (found.has(real)) return
      found.set(real, { identity: identityOf(status), only: undefined })
      for (const entry of readdirSync(real, { withFileTypes: true })) {
        if (!entry.name.startsWith('.') && !entry.isFile()) visit(join(real, entry.name), false)
      }
    } catch {
      // It is gone, or cannot be read: whoever reads it says so.
    }
  }
  visit(path, true)
  return found
}

/** A directory that is made anew often gets the inode of the one before. */
function identityOf({ dev, ino, birthtimeMs }: Stats): string {
  return `${dev}:${ino}:${birthtimeMs}`
}
