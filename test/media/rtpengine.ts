import { spawn } from 'node:child_process'
import { randomInt, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '#lib/clock.ts'
import { NgClient, type NgFields, type NgReply } from '../../dataplane/media/ng-client.ts'
import { freePorts } from '../sip/free-port.ts'

/** An rtpengine of the test's own. */
export interface Rtpengine {
  /** Where it listens for its control protocol. */
  readonly host: string
  readonly port: number
  /** Address it carries media on. */
  readonly mediaAddress: string
  readonly alive: boolean
  request(command: string, fields?: NgFields): Promise<NgReply>
  /** Names of the sessions it has. */
  sessions(): Promise<readonly string[]>
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>
  stop(): Promise<void>
}

let begun = randomInt(10)

/**
 * Starts rtpengine in userspace, with no trace of it in the system but its process, and waits until it answers. Media
 * ports are below those that the system gives out by itself, and other ones than those of the engine before.
 */
export async function startRtpengine(options: { port?: number } = {}): Promise<Rtpengine> {
  const host = '127.0.0.1'
  const [free = 0] = await freePorts(1)
  const port = options.port ?? free
  // No other engine has that port while this one runs, so none has that address.
  const mediaAddress = `127.9.${port >> 8}.${port & 255}`
  const lowest = 10_000 + 1_000 * (begun++ % 10)
  const folder = mkdtempSync(join(tmpdir(), 'rtpengine-'))
  const child = spawn(
    'rtpengine',
    [
      ...[
        '--config-file=none',
        '--table=-1',
        '--foreground',
        '--log-stderr',
        '--log-level=3',
        `--pidfile=${join(folder, 'pid')}`,
      ],
      ...[`--interface=${mediaAddress}`, `--listen-ng=${host}:${port}`, '--num-threads=2'],
      ...[`--port-min=${lowest}`, `--port-max=${lowest + 1_000}`],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)))
  const exited = once(child, 'exit')
  // A test that is broken off leaves no process behind.
  const atExit = () => child.kill('SIGKILL')
  process.once('exit', atExit)
  const client = new NgClient({ host, port, clock: systemClock, cookiePrefix: `test-${randomUUID()}-` })
  const request = (command: string, fields: NgFields = {}) =>
    new Promise<NgReply>((resolve) => client.request(command, fields, resolve))
  const isAlive = () => child.exitCode === null && child.signalCode === null
  const end = async (signal: NodeJS.Signals) => {
    client.close()
    if (isAlive()) child.kill(signal)
    await exited
    process.off('exit', atExit)
    rmSync(folder, { recursive: true, force: true })
  }
  while (!(await request('ping')).ok) {
    if (!isAlive()) throw new Error(`rtpengine ended: ${said}`)
    await new Promise((resolve) => systemClock.after(20, () => resolve(undefined)))
  }
  return {
    host,
    port,
    mediaAddress,
    get alive() {
      return isAlive()
    },
    request,
    async sessions() {
      let reply = await request('list')
      // On a machine that is busy with other things it can be late.
      while (!reply.ok && reply.cause === 'Silent' && isAlive()) reply = await request('list')
      if (!reply.ok || !Array.isArray(reply.fields['calls'])) throw new Error(`no list: ${JSON.stringify(reply)}`)
      return reply.fields['calls'].map(String)
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}
