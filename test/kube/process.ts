import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, watch } from 'node:fs'

/**
 * Runs the program until the pipe on descriptor 3 closes, which it also does when we are killed: nothing is left running.
 * Ends when the program ends.
 */
const keeper = `
  "$@" </dev/null 3<&- & program=$!
  { read -r _ <&3; kill -9 $program; } 2>/dev/null & keeper=$!
  wait $program; kill $keeper 2>/dev/null`

/** A program in the background, whose output goes to a file, and which does not outlive us. */
export class Process {
  readonly #child: ChildProcess
  readonly #log: string
  /** Resolves when the program has ended. */
  readonly ended: Promise<void>
  hasEnded = false

  /** `environment` comes on top of our own. */
  constructor(
    program: string,
    args: readonly string[],
    log: string,
    environment: Readonly<Record<string, string>> = {},
  ) {
    const output = openSync(log, 'a', 0o600)
    this.#log = log
    this.#child = spawn('sh', ['-c', keeper, 'sh', program, ...args], {
      stdio: ['ignore', output, output, 'pipe'],
      detached: true,
      env: { ...process.env, ...environment },
    })
    closeSync(output)
    this.ended = new Promise((resolve) => {
      this.#child.once('exit', () => {
        this.hasEnded = true
        resolve()
      })
    })
  }

  /** Kills the program, and resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.stdio[3]?.destroy()
    await this.ended
  }

  /** Resolves when the program has written such a line, be it before now. */
  async said(what: RegExp): Promise<void> {
    const changes = watch(this.#log)
    try {
      while (!what.test(this.output)) await once(changes, 'change')
    } finally {
      changes.close()
    }
  }

  /** All that the program has written. */
  get output(): string {
    return readFileSync(this.#log, 'utf8')
  }

  lastLines(): string {
    return this.output.split('\n').slice(-8).join('\n')
  }
}
