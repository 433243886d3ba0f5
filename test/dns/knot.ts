import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts } from '../sip/free-port.ts'

const run = promisify(execFile)

/** Knot DNS on loopback, with one zone: `carrier.test`, whose negative answers live 60 s. */
export async function startKnot(records: readonly string[]) {
  const [port = 0] = await freePorts(1)
  const directory = await mkdtemp(join(tmpdir(), 'knot-'))
  const socket = join(directory, 'control')
  let serial = 1
  const write = (lines: readonly string[]) => writeFile(join(directory, 'zone'), zoneText(lines, serial++))
  await write(records)
  await writeFile(join(directory, 'knot.conf'), configuration(directory, socket, port))
  const child = spawn('knotd', ['-c', join(directory, 'knot.conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const exited = once(child, 'exit')
  const control = (...command: string[]) => run('knotc', ['-s', socket, '-b', ...command])
  await served(control, exited, () => said)
  return {
    server: { address: '127.0.0.1', port },
    /** Other records from now on. */
    async change(lines: readonly string[]) {
      await write(lines)
      await control('zone-reload', 'carrier.test')
    },
    async close() {
      child.kill('SIGTERM')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Its control socket answers once the zone is loaded; each question waits for an answer or for a refusal. */
async function served(
  control: (...command: string[]) => Promise<unknown>,
  exited: Promise<unknown>,
  said: () => string,
) {
  let ended = false
  void exited.then(() => (ended = true))
  while (!ended) {
    try {
      await control('zone-read', 'carrier.test', '@', 'SOA')
      return
    } catch {
      // Not there yet.
    }
  }
  throw new Error(`knotd did not start: ${said()}`)
}

function zoneText(records: readonly string[], serial: number): string {
  return [
    '$ORIGIN carrier.test.',
    `@ 60 SOA ns hostmaster ${serial} 3600 600 86400 60`,
    '@ 60 NS ns',
    'ns 60 A 127.0.0.1',
    ...records,
    '',
  ].join('\n')
}

function configuration(directory: string, socket: string, port: number): string {
  return `server:
    listen: 127.0.0.1@${port}
    rundir: ${directory}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
control:
    listen: ${socket}
database:
    storage: ${directory}
zone:
  - domain: carrier.test
    file: ${join(directory, 'zone')}
    zonefile-load: whole
    journal-content: none
`
}
