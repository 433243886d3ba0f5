import { pino } from 'pino'
import type { Clock } from './clock.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** Fields first, then a sentence, as pino has it. */
export interface Log {
  trace(fields: object, message: string): void
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Log
  level: string
}

/** One JSON object a line on standard output, or wherever `write` puts it. */
export function createLog(options: { level: LogLevel; name: string; write?: (line: string) => void }): Log {
  const settings = {
    level: options.level,
    base: { process: options.name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    // An Error has no fields of its own that JSON would show.
    serializers: { error: pino.stdSerializers.err },
  }
  return pino(settings, { write: options.write ?? writeToStandardOutput() })
}

/**
 * pino's own way to standard output tries again for ever, at the end of the process, when whoever read it has gone; then
 * a process whose parent died never ends. Here such a line is lost.
 */
function writeToStandardOutput(): (line: string) => void {
  const { stdout } = process
  if (!stdout.listeners('error').includes(passOver)) stdout.on('error', passOver)
  return (line) => void stdout.write(line)
}

function passOver(): void {}

/**
 * Lets a line through once a second per source and counts what it held back, so that a flood of bad messages cannot
 * flood the log. Sources are forgotten after a second, and no more than 1,000 are remembered.
 */
export class OncePerSecond {
  readonly #clock: Clock
  readonly #sources = new Map<string, { since: number; heldBack: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs `write` with the number of lines held back since the last one; does nothing within the same second. */
  run(source: string, write: (heldBack: number) => void): void {
    const now = this.#clock.now()
    const last = this.#sources.get(source)
    if (last !== undefined && now - last.since < 1000) {
      last.heldBack++
      return
    }
    if (this.#sources.size >= 1000) this.#forget(now)
    if (last === undefined && this.#sources.size >= 1000) return
    this.#sources.delete(source)
    this.#sources.set(source, { since: now, heldBack: 0 })
    write(last?.heldBack ?? 0)
  }

  #forget(now: number): void {
    for (const [source, { since }] of this.#sources) {
      if (now - since < 1000) return
      this.#sources.delete(source)
    }
  }
}
