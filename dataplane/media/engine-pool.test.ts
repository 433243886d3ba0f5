import { afterEach, describe, expect, it } from 'vitest'
import type { MediaEngineConfig } from '#api/snapshot.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { EnginePool } from './engine-pool.ts'
import { NgServer } from './testing/ng-server.ts'

const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function begin(count = 2) {
  const clock = new ManualClock()
  const lines: string[] = []
  const log = createLog({ level: 'info', name: 'test', write: (line) => lines.push(line) })
  const pool = new EnginePool({ clock, log, cookiePrefix: 'test_' })
  const servers = await Promise.all(Array.from({ length: count }, () => NgServer.start()))
  ends.push(() => pool.stop(), ...servers.map((server) => () => server.close()))
  const configs = servers.map(({ port }, index) => engine(`e${index}`, port))
  pool.configure(configs)
  const names = (callId = 'call') => pool.choose(callId).map(({ name }) => name)
  /** Resolves when the pool has heard of an engine what is expected of it. */
  const until = async (name: string, up: boolean) => {
    while (pool.list().find((one) => one.name === name)?.up !== up)
      await new Promise((resolve) => setImmediate(resolve))
  }
  return { clock, lines, pool, servers, configs, names, until }
}

function engine(name: string, port: number, weight = 1): MediaEngineConfig {
  return { type: 'MediaEngine', name, host: '127.0.0.1', port, weight }
}

describe('the pool of engines', () => {
  it('takes an engine for one that lives until it was heard of', async () => {
    const { names } = await begin()
    expect(names().toSorted((a, b) => a.localeCompare(b))).toEqual(['e0', 'e1'])
  })

  it('asks every engine every 2 s, takes no silent one, and takes it again when it answers', async () => {
    const { clock, servers, names, until, lines } = await begin()
    const [first, second] = servers
    if (first === undefined || second === undefined) throw new Error('two servers')
    await first.next('ping')
    ;(await second.next('ping')).answer({ result: 'pong' })
    while (!lines.some((line) => line.includes('is up'))) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(1_500)
    await until('e0', false)
    expect(names()).toEqual(['e1'])
    expect(lines.filter((line) => line.includes('check that rtpengine runs'))).toHaveLength(1)
    void answerAll(first)
    clock.advance(2_000)
    await until('e0', true)
    expect(names()).toContain('e0')
  })

  it('counts an engine that says no as one that lives', async () => {
    const { pool, servers } = await begin(1)
    const [chosen] = pool.choose('call')
    const asked = new Promise((resolve) => chosen?.request('answer', {}, resolve))
    ;(await servers[0]?.next('answer'))?.answer({ result: 'error', 'error-reason': 'Unknown call-id' })
    await asked
    expect(pool.list()).toEqual([{ name: 'e0', up: true, sessions: 0 }])
  })

  it('keeps an engine that is gone from the configuration until its last call has ended', async () => {
    const { pool, servers, configs, names } = await begin()
    const chosen = pool.choose('call').find(({ name }) => name === 'e0')
    const leave = chosen?.join(() => {})
    pool.configure(configs.slice(1))
    expect(names()).toEqual(['e1'])
    const asked = new Promise((resolve) => chosen?.request('delete', {}, resolve))
    ;(await servers[0]?.next('delete'))?.answer({ result: 'ok' })
    expect(await asked).toMatchObject({ ok: true })
    leave?.()
    leave?.()
    const after = new Promise((resolve) => chosen?.request('ping', {}, resolve))
    expect(await after).toMatchObject({ ok: false, cause: 'Closed' })
  })

  it('keeps what it knows of an engine whose weight alone has changed, and not of one that has moved', async () => {
    const { pool, configs } = await begin()
    const [before] = pool.choose('call')
    pool.configure(configs.map((config) => ({ ...config, weight: 5 })))
    expect(pool.choose('call')).toContain(before)
    expect(before?.weight).toBe(5)
    pool.configure(configs.map((config) => ({ ...config, port: 9 })))
    expect(pool.choose('call')).not.toContain(before)
  })
})

async function answerAll(server: NgServer): Promise<never> {
  for (;;) (await server.next('ping')).answer({ result: 'pong' })
}
