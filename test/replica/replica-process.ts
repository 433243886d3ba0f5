import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const main = join(import.meta.dirname, '../../dataplane/main.ts')

/** A line of the log, taken apart. */
export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

/** `dataplane/main.ts` as a process of its own, as a supervisor would start it. */
export class ReplicaProcess {
  readonly child: ChildProcess
  readonly lines: LogLine[] = []
  /** Resolves with the exit code, or the signal that killed it. */
  readonly exited: Promise<number | string>
  errors = ''
  #wake: (() => void)[] = []

  constructor(environment: Readonly<Record<string, string>>, options: { channel?: boolean } = {}) {
    this.child = spawn(process.execPath, [main], {
      stdio: ['ignore', 'pipe', 'pipe', ...(options.channel === true ? (['ipc'] as const) : [])],
      env: { PATH: process.env['PATH'], ...environment },
    })
    this.exited = once(this.child, 'exit').then(([code, signal]) => (code ?? signal) as number | string)
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.errors += text))
    if (this.child.stdout === null) throw new Error('there is no standard output')
    createInterface(this.child.stdout).on('line', (line) => {
      this.lines.push(JSON.parse(line) as LogLine)
      for (const wake of this.#wake.splice(0)) wake()
    })
    void this.exited.then(() => {
      for (const wake of this.#wake.splice(0)) wake()
    })
  }

  /** Resolves with the first line of the log that says this. Rejects when the process ends without it. */
  async says(message: string): Promise<LogLine> {
    for (let read = 0; ;) {
      for (; read < this.lines.length; read++) {
        const line = this.lines[read]
        if (line?.msg === message) return line
      }
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`ended before it said "${message}":\n${this.describe()}`)
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** Asks one of its HTTP doors. */
  async ask(door: 'admin' | 'health', path: string, options?: RequestInit): Promise<Response> {
    const { port } = await this.says(`${door} is served`)
    return fetch(`http://127.0.0.1:${String(port)}${path}`, options)
  }

  /** Everything it said. */
  describe(): string {
    return [...this.lines.map((line) => JSON.stringify(line)), this.errors].join('\n')
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }
}
