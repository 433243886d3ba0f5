import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Log } from '#lib/log.ts'
import { stringifyWithSecrets } from '#lib/secret.ts'
import type { RunningConfig } from './running.ts'
import type { Change } from './stage.ts'

/** Version of the file's form; a file of another version is passed over. */
const fileVersion = 1

const Header = z.strictObject({ version: z.literal(fileVersion), sha256: z.string() })
const Content = z.strictObject({ fleet: z.string(), revision: z.string(), resources: z.array(z.unknown()) })

/**
 * The configuration that runs, on disk: a line with version and checksum, then the content. It has passwords in it, so it
 * belongs on a file system in memory and is readable by its owner only. With it a replica that is started again serves
 * before the control side is there.
 */
export class LastGood {
  readonly #path: string
  readonly #directory: string
  readonly #log: Log
  #waiting: RunningConfig | undefined
  #writing: Promise<void> | undefined

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#path = join(directory, 'last-good.json')
    this.#log = log
  }

  /** Writes it soon; of several that wait, only the newest. A disk that fails is logged, and stops nothing. */
  save(config: RunningConfig): void {
    this.#waiting = config
    this.#writing ??= this.#writeAll()
  }

  /** Resolves when all that was to be written is on the disk. */
  async flush(): Promise<void> {
    await this.#writing
  }

  /** What ran last in this fleet, as a change to nothing; undefined when there is none, or none that can be trusted. */
  async load(fleet: string): Promise<Change | undefined> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!isMissing) this.#passOver(error instanceof Error ? error.message : String(error))
      return undefined
    }
    const read = parse(text)
    if (typeof read === 'string') return this.#passOver(read)
    if (read.fleet !== fleet) return this.#passOver(`it is of fleet ${read.fleet}`)
    return { revision: read.revision, upserts: read.resources, removes: [] }
  }

  #passOver(reason: string): undefined {
    this.#log.warn(
      { file: this.#path, reason },
      'the last good configuration is passed over; the control side has it too',
    )
    return undefined
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting !== undefined) {
      const config = this.#waiting
      this.#waiting = undefined
      try {
        await this.#write(format(config))
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.#log.error({ file: this.#path, reason }, 'the last good configuration cannot be written')
      }
    }
    this.#writing = undefined
  }

  /** At any moment there is the old file or the new one, whole, whatever happens to process or machine. */
  async #write(text: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const temporary = `${this.#path}.tmp`
    const { O_CREAT, O_TRUNC, O_WRONLY } = constants
    const file = await open(temporary, O_CREAT | O_TRUNC | O_WRONLY, 0o600)
    try {
      // The mode above counts only where the file is made.
      await file.chmod(0o600)
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, this.#path)
    const directory = await open(this.#directory)
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}

function format({ fleet, revision, resources }: RunningConfig): string {
  const content = stringifyWithSecrets({ fleet, revision, resources: [...resources.values()] })
  return `${JSON.stringify({ version: fileVersion, sha256: checksum(content) })}\n${content}`
}

/** The content, or why it cannot be used. */
function parse(text: string): z.infer<typeof Content> | string {
  const end = text.indexOf('\n')
  const content = text.slice(end + 1)
  try {
    const header = Header.safeParse(JSON.parse(text.slice(0, end)))
    if (!header.success) return 'its first line is not that of this release'
    if (header.data.sha256 !== checksum(content)) return 'its checksum does not agree with its content'
    const result = Content.safeParse(JSON.parse(content))
    return result.success ? result.data : 'its content does not have the form of this release'
  } catch {
    return 'it is damaged'
  }
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
