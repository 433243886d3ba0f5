import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Quickstart, quickstartOnFreePorts } from './quickstart.ts'

const program = join(import.meta.dirname, '../../bin/sbcfleet')

describe('sbcfleet', () => {
  let folder: string
  let quickstart: Quickstart

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'command-'))
    quickstart = await quickstartOnFreePorts()
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  function write(manifests: Record<string, string>): void {
    for (const [file, text] of Object.entries(manifests)) writeFileSync(join(folder, file), text)
  }

  function run(...words: string[]): Promise<{ code: number | null; output: string }> {
    return runAndInterrupt(undefined, ...words)
  }

  /** Runs to the end; sends SIGINT when the output has come to a text. */
  async function runAndInterrupt(at: string | undefined, ...words: string[]) {
    const child = spawn(program, words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    let interrupted = false
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (at === undefined || interrupted || !output.includes(at)) return
        interrupted = true
        child.kill('SIGINT')
      })
    }
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, output }
  }

  it('passes its self-test on the quickstart, and shows the call and the trunks', async () => {
    write(quickstart.manifests)
    const { code, output } = await run('start', '.', '--selftest')
    expect(output).toContain('Self-test passed.')
    expect(code).toBe(0)
    expect(output).toMatch(/│─ INVITE 1 \(SDP, SE 1800\) ─+►│ +│/)
    expect(output).toMatch(/│ +│─ INVITE \d+ \(SDP, SE 1800\) ─+►│/)
    expect(output).toMatch(/│ +│─ BYE \d+ ─+►│/)
    expect(output).toMatch(/^voice\/carrier +True +2\/2 +True +True +1\/1/m)
    expect(output).not.toContain('FAIL')
  })

  it('fails its self-test when a peer cannot be played, and says what is in the way', async () => {
    write(quickstart.manifests)
    const socket = createSocket('udp4')
    socket.bind(quickstart.ports.carrier, '127.0.0.1')
    await once(socket, 'listening')
    const { code, output } = await run('start', '.', '--selftest')
    socket.close()
    expect(code).toBe(1)
    expect(output).toContain(`The peer of trunk carrier cannot be played at 127.0.0.1:${quickstart.ports.carrier}`)
    expect(output).toContain('EADDRINUSE')
  })

  it('ends its self-test at once when it is interrupted', async () => {
    // The PBX is where no peer can be played, so that its trunk would be waited for in vain.
    const pbx = (quickstart.manifests['pbx.yaml'] ?? '').replace(
      'targets:',
      'targets:\n    - { name: away, host: 127.0.0.1, port: 9, transport: TCP }',
    )
    write({ ...quickstart.manifests, 'pbx.yaml': pbx })
    const { code, output } = await runAndInterrupt('registered=True', 'start', '.', '--selftest')
    expect(output).toContain('Self-test failed. It was interrupted.')
    expect(code).toBe(1)
  })

  it('fails its self-test when there is no call to place', async () => {
    const { 'carrier.yaml': _, ...others } = quickstart.manifests
    write(others)
    const { code, output } = await run('start', '.', '--selftest')
    expect(code).toBe(1)
    expect(output).toContain('There is no call to place: route outbound of voice/edge: trunk carrier has no UDP target')
  })

  it('goes on when nobody reads its output any more, and ends in order', async () => {
    write(quickstart.manifests)
    const status = mkdtempSync(join(tmpdir(), 'command-status-'))
    const service = join(status, 'voiceservice-voice-edge.yaml')
    onTestFinished(() => rmSync(status, { recursive: true }))
    const child = spawn(program, ['start', '.', '--status-dir', status], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const runs = () => existsSync(service) && readFileSync(service, 'utf8').includes('2/2 replicas run')
    await expect.poll(runs).toBe(true)
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([0, null])
    expect(errors).toBe('')
  })

  it('does not start when there is nothing to run, and says why', async () => {
    write({ 'edge.yaml': (quickstart.manifests['voice-service.yaml'] ?? '').replace('replicas:', 'replica:') })
    const { code, output } = await run('start', '.')
    expect(code).toBe(1)
    expect(output).toMatch(/^edge\.yaml:\d+:\d+: VoiceService voice\/edge spec\.replica: .*did you mean "replicas"/m)
    expect(output).toContain('Nothing to run: . holds no VoiceService that can be used.')
  })

  it('does not start in a directory that is not there', async () => {
    const { code, output } = await run('start', 'nowhere')
    expect(code).toBe(1)
    expect(output).toContain('nowhere:1:1: cannot be read: it does not exist')
  })

  it('refuses a status directory among the manifests', async () => {
    write(quickstart.manifests)
    const { code, output } = await run('start', '.', '--status-dir', 'status')
    expect(code).toBe(2)
    expect(output).toContain('give another one with --status-dir')
  })

  it('refuses a status directory that another process writes to', async () => {
    write({ ...quickstart.manifests })
    const status = mkdtempSync(join(tmpdir(), 'command-status-'))
    writeFileSync(join(status, 'pid'), `${process.pid}\n`)
    const { code, output } = await run('start', '.', '--status-dir', status)
    expect(code).toBe(1)
    expect(output).toContain(`Process ${process.pid} writes its status`)
    expect(readdirSync(status)).toEqual(['pid'])
    rmSync(status, { recursive: true })
  })

  it('checks manifests without running anything', async () => {
    write(quickstart.manifests)
    expect(await run('check', '.')).toMatchObject({ code: 0 })
    write({ 'pbx.yaml': (quickstart.manifests['pbx.yaml'] ?? '').replace('host:', 'hots:') })
    const { code, output } = await run('check', '.')
    expect(code).toBe(1)
    expect(output).toMatch(/^pbx\.yaml:\d+:\d+: SipTrunk voice\/pbx spec\.targets\[0\]\.hots: .*did you mean "host"/m)
  })

  it('names the nearest option, and exits with 2', async () => {
    const { code, output } = await run('start', '--selftst')
    expect(code).toBe(2)
    expect(output).toContain('did you mean "--selftest"?')
  })
})
