import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'

export interface SippOptions {
  /** `uac` and `uas` are SIPp's own scenarios; anything else is a file of `test/sip/scenarios` without its ending. */
  readonly scenario: string
  /** Address and port of its own. */
  readonly local: { address: string; port: number }
  /** For a caller, where it calls: `127.0.0.1:5060`. */
  readonly remote?: string
  readonly calls?: number
  readonly callsPerSecond?: number
  /** Time between answer and BYE of SIPp's own `uac`, in milliseconds. */
  readonly holdMilliseconds?: number
  /** User part that is called. */
  readonly number?: string
  /** Ends the program after so many seconds, 100 unless told otherwise, whatever state it is in. */
  readonly limitSeconds?: number
  /** More command line arguments, as `-t t1` for TCP or `-key name value`. */
  readonly more?: readonly string[]
  /** Files that the scenario reads, by name, in the folder it runs in. */
  readonly files?: Readonly<Record<string, Uint8Array>>
}

export interface SippResult {
  readonly exitCode: number | null
  readonly successful: number
  readonly failed: number
  readonly retransmissions: number
  /** What went wrong, as SIPp says it; the first 4,000 characters. */
  readonly errors: string
  /** Response times in milliseconds by the name of the timer, for scenarios that have timers. */
  readonly times: Readonly<Record<string, number[]>>
}

export interface SippRun {
  readonly process: ChildProcess
  /** Resolves when it can be called; on other systems than Linux, at once. */
  readonly listening: Promise<void>
  readonly done: Promise<SippResult>
  /** Lets it end the calls it has and leave; `done` tells the rest. */
  stop(): void
}

const ownScenarios = ['uac', 'uas']

/** Starts a SIPp of its own in a folder of its own, without a screen. */
export function startSipp(options: SippOptions): SippRun {
  const folder = mkdtempSync(join(tmpdir(), 'sipp-'))
  for (const [name, content] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), content)
  const child = spawn('sipp', argumentsOf(options), { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const limit = setTimeout(() => child.kill('SIGKILL'), (options.limitSeconds ?? 100) * 1000)
  const done = once(child, 'close').then(([exitCode]) => {
    clearTimeout(limit)
    const result = readResult(folder, exitCode as number | null, stderr)
    rmSync(folder, { recursive: true, force: true })
    return result
  })
  return {
    process: child,
    done,
    listening: untilListening(child, options.local.port),
    stop: () => child.kill('SIGUSR1'),
  }
}

/** Where the kernel shows sockets: addresses and ports in hexadecimal, and a state, which of a listener is 0A over TCP and 07 over UDP. */
const socketTables = ['udp', 'udp6', 'tcp', 'tcp6'].map((name) => `/proc/net/${name}`).filter(existsSync)

/** What is sent to a program before it listens is lost over UDP, and refused over TCP. */
async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const local = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 0[7A] `,
    'm',
  )
  const isOpen = () => socketTables.some((table) => local.test(readFileSync(table, 'utf8')))
  while (socketTables.length > 0 && !isOpen() && child.exitCode === null && child.signalCode === null) await pass(10)
}

function argumentsOf(options: SippOptions): string[] {
  const scenario = ownScenarios.includes(options.scenario)
    ? ['-sn', options.scenario]
    : ['-sf', join(import.meta.dirname, 'scenarios', `${options.scenario}.xml`)]
  return [
    ...scenario,
    ...['-i', options.local.address, '-p', String(options.local.port)],
    ...['-nostdin', '-trace_err', '-error_file', 'errors.log', '-trace_stat', '-stf', 'stat.csv', '-fd', '1'],
    ...['-trace_rtt', '-rtt_freq', '1'],
    ...(options.calls === undefined ? [] : ['-m', String(options.calls)]),
    ...(options.callsPerSecond === undefined ? [] : ['-r', String(options.callsPerSecond), '-l', '10000']),
    ...(options.holdMilliseconds === undefined ? [] : ['-d', String(options.holdMilliseconds)]),
    ...(options.number === undefined ? [] : ['-s', options.number]),
    ...(options.more ?? []),
    ...(options.remote === undefined ? [] : [options.remote]),
  ]
}

function readResult(folder: string, exitCode: number | null, stderr: string): SippResult {
  const files = readdirSync(folder)
  const read = (name: string) => (files.includes(name) ? readFileSync(join(folder, name), 'utf8') : '')
  const [head = '', ...rows] = read('stat.csv').trim().split('\n')
  const columns = head.split(';')
  const last = (rows.at(-1) ?? '').split(';')
  const total = (column: string) => Number(last[columns.indexOf(column)] ?? 0)
  return {
    exitCode,
    successful: total('SuccessfulCall(C)'),
    failed: total('FailedCall(C)'),
    retransmissions: total('Retransmissions(C)'),
    errors: (stderr + read('errors.log')).slice(0, 4000),
    times: readTimes(files.filter((name) => name.endsWith('_rtt.csv')).map(read)),
  }
}

/** Lines are `date_ms;response_time_ms;name`. */
function readTimes(files: string[]): Record<string, number[]> {
  const times: Record<string, number[]> = {}
  for (const line of files.flatMap((file) => file.trim().split('\n').slice(1))) {
    const [, milliseconds, name] = line.split(';')
    if (milliseconds === undefined || name === undefined) continue
    ;(times[name.trim()] ??= []).push(Number(milliseconds))
  }
  return times
}
