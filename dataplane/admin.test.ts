import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import { type AdminSources, serveAdmin } from './admin.ts'
import type { HttpDoor } from './health.ts'

const doors: HttpDoor[] = []
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

async function start(changes: Partial<AdminSources> = {}) {
  const done: unknown[] = []
  const door = await serveAdmin(0, {
    config: () => ({ password: new Secret('hidden') }),
    calls: () => [],
    trunks: () => [],
    members: () => [],
    media: () => [],
    health: () => ({}),
    explain: (call) => call,
    setLogLevel: (level) => done.push(level),
    drain: () => done.push('drain'),
    ...changes,
  })
  doors.push(door)
  const ask = (path: string, options: RequestInit = {}) => fetch(`http://127.0.0.1:${door.port}${path}`, options)
  return { ask, done, port: door.port }
}

function statusWith(port: number, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/config', headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    asked.on('error', reject).end()
  })
}

describe('the admin interface', () => {
  it('shows the configuration with its secrets redacted', async () => {
    const { ask } = await start()
    expect(await (await ask('/config')).json()).toEqual({ password: '[redacted]' })
  })

  it.each(['/config', '/calls', '/trunks', '/members', '/media', '/health'])('shows %s', async (path) => {
    const { ask } = await start()
    const response = await ask(path)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
  })

  it('sets the log level, to one that there is', async () => {
    const { ask, done } = await start()
    expect((await ask('/log-level', { method: 'PUT', body: 'debug\n' })).status).toBe(200)
    expect((await ask('/log-level', { method: 'PUT', body: 'loud' })).status).toBe(400)
    expect((await ask('/log-level', { method: 'PUT', body: 'x'.repeat(5000) })).status).toBe(500)
    expect(done).toEqual(['debug'])
  })

  it('begins to drain', async () => {
    const { ask, done } = await start()
    expect((await ask('/drain', { method: 'POST' })).status).toBe(202)
    expect((await ask('/drain')).status).toBe(404)
    expect(done).toEqual(['drain'])
  })

  it.each([
    ['192.0.2.1:5070', { address: '192.0.2.1', port: 5070 }],
    ['192.0.2.1', { address: '192.0.2.1', port: 5060 }],
    ['[2001:db8::1]:5070', { address: '2001:db8::1', port: 5070 }],
    ['2001:db8::1', { address: '2001:db8::1', port: 5060 }],
  ])('explains a call from %s', async (text, source) => {
    const { ask } = await start()
    const query = new URLSearchParams({ from: '100', to: '+200', source: text, listener: 'udp' })
    expect(await (await ask(`/explain?${query.toString()}`)).json()).toEqual({
      from: '100',
      to: '+200',
      source,
      listener: 'udp',
    })
  })

  it('says what is missing to explain a call', async () => {
    const { ask } = await start()
    const response = await ask('/explain?from=100&to=200')
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({ error: expect.stringContaining('missing: source, listener') })
  })

  it('says what went wrong inside', async () => {
    const { ask } = await start({
      calls: () => {
        throw new Error('no calls here')
      },
    })
    const response = await ask('/calls')
    expect(response.status).toBe(500)
    expect(await response.json()).toEqual({ error: 'no calls here' })
  })

  it('does not serve a web page: neither by its origin nor by a name that was bent to this address', async () => {
    const { port } = await start()
    expect(await statusWith(port, {})).toBe(200)
    expect(await statusWith(port, { host: `localhost:${port}` })).toBe(200)
    expect(await statusWith(port, { origin: 'http://localhost' })).toBe(403)
    expect(await statusWith(port, { host: 'rebound.example' })).toBe(403)
  })

  it('is on the loopback address only', async () => {
    const { port } = await start()
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === 'IPv4')
    for (const { address } of others) await expect(fetch(`http://${address}:${port}/health`)).rejects.toThrow()
  })
})
