import { afterEach, describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { ControlEndpoints, type Endpoint } from './control-endpoints.ts'

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

function start(urls: readonly string[], answers: (readonly string[] | Error)[]) {
  const clock = new ManualClock()
  const told: (readonly Endpoint[])[] = []
  const lines: string[] = []
  const endpoints = new ControlEndpoints({
    urls,
    lookup: (host) => {
      const answer = answers.shift() ?? new Error(`no answer for ${host}`)
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve(answer.map((address) => ({ address, family: 4 })))
    },
    onChange: (found) => told.push(found),
    clock,
    log: createLog({ level: 'warn', name: 'test', write: (line) => lines.push(line) }),
    random: () => 0.5,
  })
  ends.push(() => endpoints.stop())
  endpoints.start()
  const settled = async () => {
    while (clock.pending === 0) await Promise.resolve()
  }
  const next = async () => {
    clock.advance(5_000)
    await settled()
  }
  return { endpoints, clock, told, lines, settled, next }
}

describe('ControlEndpoints', () => {
  it('takes an address as it is, and never looks it up', () => {
    const { told, clock } = start(['ws://127.0.0.1:1/replicas', 'ws://[::1]:1/replicas'], [])
    expect(told).toEqual([[{ url: 'ws://127.0.0.1:1/replicas' }, { url: 'ws://[::1]:1/replicas' }]])
    expect(clock.pending).toBe(0)
  })

  it('has an endpoint for every address of a name, and follows as they change', async () => {
    const url = 'wss://control.voice.svc:8443/replicas'
    const { told, settled, next } = start([url], [['10.0.0.2', '10.0.0.1'], ['10.0.0.3']])
    await settled()
    await next()
    expect(told).toEqual([
      [
        { url, address: '10.0.0.1' },
        { url, address: '10.0.0.2' },
      ],
      [{ url, address: '10.0.0.3' }],
    ])
  })

  it('keeps what it found when a look-up fails, and says so once', async () => {
    const url = 'wss://control/replicas'
    const { told, lines, settled, next } = start([url], [['10.0.0.1'], new Error('EAI_AGAIN'), new Error('EAI_AGAIN')])
    await settled()
    await next()
    await next()
    expect(told.at(-1)).toEqual([{ url, address: '10.0.0.1' }])
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('EAI_AGAIN')
  })

  it('looks nothing up after it was stopped', async () => {
    const { endpoints, clock, settled } = start(['wss://control/replicas'], [['10.0.0.1']])
    await settled()
    endpoints.stop()
    expect(clock.pending).toBe(0)
  })
})
