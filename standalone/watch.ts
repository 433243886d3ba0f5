import { type FSWatcher, statSync, watch } from 'node:fs'
import type { Clock, Timer } from '#lib/clock.ts'

export interface WatchOptions {
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

/**
 * Watches a directory with everything in it, and calls for a read when it has settled after a change. A slow beat makes
 * up for lost events; it is quick while the directory cannot be watched, and takes the watch up again when it can.
 */
export class DirectoryWatch {
  readonly #options: WatchOptions
  #watcher: FSWatcher | undefined
  #inode: number | undefined
  #settle: Timer | undefined
  #beat: Timer | undefined
  #closed = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#open()
    this.#scheduleBeat()
  }

  close(): void {
    this.#closed = true
    this.#settle?.cancel()
    this.#beat?.cancel()
    this.#release()
  }

  #open(): void {
    const { directory } = this.#options
    try {
      this.#inode = statSync(directory).ino
      const watcher = watch(directory, { recursive: true })
      this.#watcher = watcher
      watcher.on('change', () => this.#touched())
      watcher.on('error', () => {
        this.#release()
        this.#touched()
      })
    } catch {
      // It is missing, unreadable, or there are too many watches: reading it again says which, and the beat goes on.
      this.#release()
    }
  }

  #release(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    this.#inode = undefined
  }

  #touched(): void {
    if (this.#closed) return
    this.#settle?.cancel()
    this.#settle = this.#options.clock.after(settleMilliseconds, this.#options.onChange)
  }

  #scheduleBeat(): void {
    const delay = this.#watcher === undefined ? rereadUnwatchedMilliseconds : rereadMilliseconds
    this.#beat = this.#options.clock.after(delay, () => {
      if (this.#watcher === undefined || this.#replaced()) {
        this.#release()
        this.#open()
      }
      this.#options.onChange()
      this.#scheduleBeat()
    })
  }

  /** A directory that was removed and made again has another inode, and the old watch is silent for ever. */
  #replaced(): boolean {
    return statSync(this.#options.directory, { throwIfNoEntry: false })?.ino !== this.#inode
  }
}
