import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Log } from '#lib/log.ts'

const Content = z.strictObject({ fleet: z.string(), replicas: z.array(z.string()).min(1) })

/**
 * The replicas that shared the work last, on disk beside the last good configuration: with both, a replica that is started
 * again registers and probes what is its own before any control side is there.
 */
export class LastMembers {
  readonly #directory: string
  readonly #path: string
  readonly #log: Log
  #saving: Promise<void> = Promise.resolve()

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#path = join(directory, 'last-members.json')
    this.#log = log
  }

  /** Writes them soon. A disk that fails is logged, and stops nothing. */
  save(fleet: string, replicas: readonly string[]): void {
    this.#saving = this.#saving.then(async () => {
      try {
        await mkdir(this.#directory, { recursive: true, mode: 0o700 })
        await writeFile(`${this.#path}.tmp`, JSON.stringify({ fleet, replicas }))
        await rename(`${this.#path}.tmp`, this.#path)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.#log.error({ file: this.#path, reason }, 'the last members cannot be written')
      }
    })
  }

  /** Resolves when what was to be written is on the disk. */
  flush(): Promise<void> {
    return this.#saving
  }

  /** Those of this fleet; undefined when there are none, or none that can be read. */
  async load(fleet: string): Promise<readonly string[] | undefined> {
    try {
      const read = Content.parse(JSON.parse(await readFile(this.#path, 'utf8')))
      return read.fleet === fleet ? read.replicas : undefined
    } catch {
      return undefined
    }
  }
}
