import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { callThroughManifests, type Fleet, startFleet } from './fleet.ts'
import { freePorts } from './free-port.ts'
import { startSipp } from './sipp.ts'

const run = promisify(execFile)

/** Where trunks are. Scanners speak from 127.0.0.1, which is an address of no trunk. */
const trunkAddress = '127.0.0.9'

/** Default deny (item 29.4): who is no trunk gets no answer at all, and so learns nothing. */
describe.skipIf(!inject('peers').svmap || !inject('peers').sipp)('the scanners of sipvicious', () => {
  let fleet: Fleet
  let home: string
  let listener: number
  let caller: { address: string; port: number }
  let called: { address: string; port: number }

  beforeAll(async () => {
    const [fleetPort = 0, callerPort = 0, calledPort = 0] = await freePorts(3)
    listener = fleetPort
    caller = { address: trunkAddress, port: callerPort }
    called = { address: trunkAddress, port: calledPort }
    home = mkdtempSync(join(tmpdir(), 'scanner-'))
    fleet = await startFleet(callThroughManifests({ listener, caller: [caller], called: [called] }))
  })

  afterAll(async () => {
    await fleet?.stop()
    if (home !== undefined) rmSync(home, { recursive: true, force: true })
  })

  it.for(['OPTIONS', 'INVITE', 'REGISTER'])('find no device with %s', async (method) => {
    expect(await scan('svmap', '-m', method)).toContain('found nothing')
  })

  it.for(['OPTIONS', 'INVITE', 'REGISTER'])('find no extension with %s', async (method) => {
    const said = await scan('svwar', '-m', method, '-e100-140', '--force', '--maximumtime=5')
    expect(said).toContain('found nothing')
  })

  it('crack no password, reach nobody, and leave the calls of trunks alone', async () => {
    const calls = 10
    const uas = startSipp({ scenario: 'uas-answers', local: called, calls })
    await uas.listening
    const cracking = scan('svcrack', '-u100', '-r1000-1100', '--maximumtime=5')
    const uac = startSipp({
      ...{ scenario: 'uac', local: caller, remote: `127.0.0.1:${listener}`, number: '+15550100' },
      ...{ calls, callsPerSecond: 5, holdMilliseconds: 100 },
    })
    expect(await uac.done).toMatchObject({ exitCode: 0, successful: calls, failed: 0 })
    expect(await cracking).toContain('found nothing')
    expect(await uas.done).toMatchObject({ exitCode: 0, successful: calls, failed: 0 })
  })

  /** What a scanner says. What it writes stays in a folder of the test. */
  async function scan(program: string, ...args: string[]): Promise<string> {
    const [own = 0] = await freePorts(1)
    const all = ['-v', `-P${own}`, '-x', '127.0.0.1', `-p${listener}`, ...args, '127.0.0.1']
    const { stdout, stderr } = await run(program, all, { env: { ...process.env, HOME: home } })
    return stdout + stderr
  }
})
