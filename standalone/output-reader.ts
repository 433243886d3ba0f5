import { StringDecoder } from 'node:string_decoder'
import type { Clock } from '#lib/clock.ts'
import { OncePerSecond } from '#lib/log.ts'

const longestLine = 64 * 1024

/**
 * Picks out of a replica's output what an operator should see at once: lines of the log at level `error`, and of what
 * stands on standard error the line that names the error. At most one of each a second; the log file has them all.
 */
export class OutputReader {
  readonly #log: LineSplitter
  readonly #errors: LineSplitter

  constructor(clock: Clock, onError: (line: string) => void) {
    const limit = new OncePerSecond(clock)
    const show = (source: string, line: string) =>
      limit.run(source, (heldBack) => onError(heldBack === 0 ? line : `${line} (and ${heldBack} before it)`))
    this.#log = new LineSplitter((lines) => {
      for (const line of lines) {
        const message = errorOf(line)
        if (message !== undefined) show('log', message)
      }
    })
    this.#errors = new LineSplitter((lines) => {
      // Node prints the place and the source line before the error itself.
      const telling = lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.find((line) => line.trim() !== '')
      if (telling !== undefined) show('stderr', telling)
    })
  }

  readLog(chunk: Buffer): void {
    this.#log.push(chunk)
  }

  readErrors(chunk: Buffer): void {
    this.#errors.push(chunk)
  }
}

/** The message of a log line at level `error`; undefined for any other line. */
function errorOf(line: string): string | undefined {
  if (!line.includes('"level":"error"')) return undefined
  try {
    const entry: unknown = JSON.parse(line)
    if (typeof entry !== 'object' || entry === null || !('msg' in entry)) return undefined
    const cause = 'err' in entry && typeof entry.err === 'object' && entry.err !== null ? entry.err : {}
    return 'message' in cause ? `${String(entry.msg)} ${String(cause.message)}` : String(entry.msg)
  } catch {
    return undefined
  }
}

class LineSplitter {
  readonly #decoder = new StringDecoder('utf8')
  readonly #onLines: (lines: string[]) => void
  #rest = ''

  constructor(onLines: (lines: string[]) => void) {
    this.#onLines = onLines
  }

  push(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n')
    this.#rest = (lines.pop() ?? '').slice(0, longestLine)
    this.#onLines(lines)
  }
}
