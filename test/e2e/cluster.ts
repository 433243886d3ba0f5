import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { provide } from '../tools/programs.ts'
import type { Platform } from './platform.ts'

const execute = promisify(execFile)

/** What tests do to a cluster, by the programs that users have. */
export class Cluster {
  readonly #platform: Platform
  readonly #programs: Record<'kubectl' | 'helm', string>
  readonly #background: ChildProcess[] = []

  constructor(platform: Platform, programs: Record<'kubectl' | 'helm', string>) {
    this.#platform = platform
    this.#programs = programs
  }

  static async at(platform: Platform): Promise<Cluster> {
    return new Cluster(platform, await provide('kubectl', 'helm'))
  }

  kubectl(...args: string[]): Promise<string> {
    return this.#run(this.#programs.kubectl, args)
  }

  helm(...args: string[]): Promise<string> {
    return this.#run(this.#programs.helm, args)
  }

  /** Applies manifests. */
  async apply(manifests: string): Promise<void> {
    const applying = this.#run(this.#programs.kubectl, ['apply', '-f', '-'], manifests)
    await applying
  }

  /** An object, as JSON. */
  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.kubectl('get', ...args, '-o', 'json')) as T
  }

  /** Runs a command in the cluster's network. Rejects when it fails. */
  exec(...command: string[]): Promise<string> {
    const [program = '', ...args] = [...this.#platform.exec, ...command]
    return this.#run(program, args)
  }

  /** Starts a command in the cluster's network, and returns what it says last, as it stands. */
  start(...command: string[]): { readonly last: () => string } {
    const [program = '', ...args] = [...this.#platform.exec, ...command]
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#background.push(child)
    let last = ''
    createInterface(child.stdout).on('line', (line) => (last = line))
    return { last: () => last }
  }

  /** Ends everything that was started. */
  stop(): void {
    for (const child of this.#background) child.kill()
  }

  async #run(program: string, args: readonly string[], input?: string): Promise<string> {
    const running = execute(program, args, {
      env: { ...process.env, KUBECONFIG: this.#platform.kubeconfig },
      maxBuffer: 64 * 1024 * 1024,
      timeout: 300_000,
    })
    running.child.stdin?.end(input)
    try {
      return (await running).stdout
    } catch (error) {
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
      throw new Error(`${program} ${args.join(' ')} failed:\n${said || String(error)}`, { cause: error })
    }
  }
}

/** Asks until it holds: clusters are watched from outside as their users do. Rejects with the last answer. */
export async function eventually<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T>,
  holds: (answer: T) => boolean,
) {
  const end = Date.now() + seconds * 1000
  for (let answer: T | undefined, problem = ''; ;) {
    try {
      answer = await ask()
      if (holds(answer)) return answer
      problem = JSON.stringify(answer).slice(0, 2000)
    } catch (error) {
      problem = String(error)
    }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}; ${problem}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}
