import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

const defaultLimitBytes = 10 * 1024 * 1024

/**
 * A file that is appended to, and put aside as `<path>.1` when it has grown to its limit, so that a replica's log takes
 * little more than twice the limit. A file that cannot be written is told once to `onError` and then done without.
 */
export class LogFile {
  readonly #path: string
  readonly #limitBytes: number
  readonly #onError: (error: Error) => void
  #descriptor: number | undefined
  #size = 0

  constructor(path: string, onError: (error: Error) => void, limitBytes = defaultLimitBytes) {
    this.#path = path
    this.#limitBytes = limitBytes
    this.#onError = onError
    this.#attempt(() => {
      mkdirSync(dirname(path), { recursive: true })
      this.#open()
    })
  }

  append(chunk: Buffer | string): void {
    this.#attempt(() => {
      if (this.#descriptor === undefined) return
      if (this.#size >= this.#limitBytes) this.#rotate(this.#descriptor)
      this.#size += writeSync(this.#descriptor, Buffer.from(chunk))
    })
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  #rotate(full: number): void {
    renameSync(this.#path, `${this.#path}.1`)
    this.#open()
    closeSync(full)
  }

  #open(): void {
    this.#descriptor = openSync(this.#path, 'a')
    this.#size = fstatSync(this.#descriptor).size
  }

  #attempt(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.close()
      this.#onError(error instanceof Error ? error : new Error(String(error)))
    }
  }
}
