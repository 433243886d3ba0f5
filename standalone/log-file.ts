import { createWriteStream, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'

const defaultLimitBytes = 10 * 1024 * 1024

/**
 * A file that is appended to, and put aside as `<path>.1` when it has grown to its limit, so that a replica's log takes
 * no more than twice the limit. A file that cannot be written is told once to `onError` and then done without.
 */
export class LogFile {
  readonly #path: string
  readonly #limitBytes: number
  readonly #onError: (error: Error) => void
  #stream: WriteStream | undefined
  #size = 0

  constructor(path: string, onError: (error: Error) => void, limitBytes = defaultLimitBytes) {
    this.#path = path
    this.#limitBytes = limitBytes
    this.#onError = onError
    this.#attempt(() => {
      mkdirSync(dirname(path), { recursive: true })
      this.#size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
      this.#open()
    })
  }

  append(chunk: Buffer | string): void {
    if (this.#size >= this.#limitBytes) this.#rotate()
    this.#size += Buffer.byteLength(chunk)
    this.#stream?.write(chunk)
  }

  /** Resolves when everything appended is in the file. */
  close(): Promise<void> {
    const stream = this.#stream
    this.#stream = undefined
    if (stream === undefined || stream.destroyed) return Promise.resolve()
    return new Promise((resolve) => stream.once('close', resolve).end())
  }

  #rotate(): void {
    this.#attempt(() => {
      // The open stream goes on writing into the file under its new name until it is ended.
      renameSync(this.#path, `${this.#path}.1`)
      this.#stream?.end()
      this.#size = 0
      this.#open()
    })
  }

  #open(): void {
    const stream = createWriteStream(this.#path, { flags: 'a' })
    stream.on('error', (error) => this.#fail(error))
    this.#stream = stream
  }

  #attempt(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #fail(error: Error): void {
    this.#stream = undefined
    this.#size = 0
    this.#onError(error)
  }
}
