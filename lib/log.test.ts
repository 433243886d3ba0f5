import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLog, OncePerSecond } from './log.ts'
import { ManualClock } from './manual-clock.ts'

describe('createLog', () => {
  it('writes one JSON object a line, with the level as a word', () => {
    const lines: string[] = []
    const log = createLog({ level: 'info', name: 'edge-0', write: (line) => lines.push(line) })
    log.debug({}, 'not this one')
    log.child({ trunk: 'carrier' }).warn({ code: 503 }, 'target is down')
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      {
        level: 'warn',
        time: expect.any(String),
        process: 'edge-0',
        trunk: 'carrier',
        code: 503,
        msg: 'target is down',
      },
    ])
  })

  it('shows what an error says, and where it comes from', () => {
    const lines: string[] = []
    const log = createLog({ level: 'info', name: 'edge-0', write: (line) => lines.push(line) })
    log.error({ error: new TypeError('not a trunk') }, 'it failed')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      error: { type: 'TypeError', message: 'not a trunk', stack: expect.stringContaining('log.test.ts') },
    })
  })

  it('does not keep a process alive whose reader has gone', async () => {
    const script = `
      import { createLog } from ${JSON.stringify(join(import.meta.dirname, 'log.ts'))}
      const log = createLog({ level: 'info', name: 'child' })
      log.info({}, 'up')
      process.on('disconnect', () => {
        log.info({}, 'the parent is gone')
        process.exit(0)
      })`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    child.stdout?.once('data', () => {
      child.stdout?.destroy()
      child.disconnect()
    })
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})

describe('OncePerSecond', () => {
  it('lets one line a second through for each source and says how many it held back', () => {
    const clock = new ManualClock()
    const limit = new OncePerSecond(clock)
    const written: string[] = []
    const say = (source: string) => limit.run(source, (heldBack) => written.push(`${source} ${heldBack}`))
    say('a')
    say('a')
    say('b')
    clock.advance(999)
    say('a')
    clock.advance(1)
    say('a')
    expect(written).toEqual(['a 0', 'b 0', 'a 2'])
  })

  it('remembers no more than 1,000 sources, and is silent for new ones until old ones are forgotten', () => {
    const clock = new ManualClock()
    const limit = new OncePerSecond(clock)
    let lines = 0
    for (let source = 0; source < 5000; source++) limit.run(`192.0.2.${source}`, () => lines++)
    expect(lines).toBe(1000)
    clock.advance(1000)
    limit.run('another', () => lines++)
    expect(lines).toBe(1001)
  })
})
