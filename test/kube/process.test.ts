import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Process } from './process.ts'

describe('a process in the background', () => {
  let folder: string
  let log: string
  /** Programs connect here, so that we see them live and die. */
  let lifeline: Server
  let program: string[]

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sbcfleet-process-'))
    log = join(folder, 'log')
    lifeline = createServer().listen(0, '127.0.0.1')
    await once(lifeline, 'listening')
    const { port } = lifeline.address() as AddressInfo
    program = ['-e', `require('node:net').connect(${port}, '127.0.0.1').on('error', () => {})`]
  })

  afterEach(() => {
    lifeline.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('keeps the last lines of what it says, and knows that it has ended', async () => {
    const running = new Process('sh', ['-c', 'echo one; echo two >&2; exit 3'], log)
    await running.ended
    expect(running.hasEnded).toBe(true)
    expect(running.lastLines()).toBe('one\ntwo\n')
    await running.kill()
  })

  it('is gone once it was killed', async () => {
    const running = new Process(process.execPath, program, log)
    const [line] = (await once(lifeline, 'connection')) as [Socket]
    const cut = once(
      line.on('error', () => {}),
      'close',
    )
    expect(running.hasEnded).toBe(false)
    await running.kill()
    expect(running.hasEnded).toBe(true)
    await cut
  })

  it('does not outlive whoever started it, even one that was killed', async () => {
    const module = JSON.stringify(join(import.meta.dirname, 'process.ts'))
    const start = `new Process(process.execPath, ${JSON.stringify(program)}, ${JSON.stringify(log)})`
    const owner = spawn(process.execPath, ['-e', `import(${module}).then(({ Process }) => ${start})`])
    const [line] = (await once(lifeline, 'connection')) as [Socket]
    const cut = once(
      line.on('error', () => {}),
      'close',
    )
    owner.kill('SIGKILL')
    await cut
  })
})
