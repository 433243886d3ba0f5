import { afterEach, describe, expect, it } from 'vitest'
import { Readiness } from '#lib/ready.ts'
import { type HttpDoor, serveHealth } from './health.ts'

const doors: HttpDoor[] = []
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

async function start(readiness = new Readiness()) {
  const door = await serveHealth({
    host: '127.0.0.1',
    port: 0,
    readiness,
    metrics: () => [
      {
        name: 'sbcfleet_calls_active',
        type: 'gauge',
        help: 'Calls up now.',
        samples: [{ value: 3 }, { labels: { trunk: 'a "b"\\\n' }, value: 0.5 }],
      },
    ],
  })
  doors.push(door)
  return (path: string) => fetch(`http://127.0.0.1:${door.port}${path}`)
}

describe('the health interface', () => {
  it('is alive while it can answer', async () => {
    const get = await start()
    expect((await get('/livez')).status).toBe(200)
  })

  it('is ready when no task is open, and names those that are', async () => {
    const readiness = new Readiness()
    const configured = readiness.task('first configuration')
    const connected = readiness.task('SIP engine')
    const get = await start(readiness)
    const waiting = await get('/readyz')
    expect(waiting.status).toBe(503)
    expect(await waiting.text()).toBe('waiting for: first configuration, SIP engine\n')
    configured()
    connected()
    expect((await get('/readyz')).status).toBe(200)
  })

  it('shows metrics in the text format of Prometheus', async () => {
    const response = await (await start())('/metrics')
    expect(response.headers.get('content-type')).toContain('version=0.0.4')
    expect(await response.text()).toBe(
      [
        '# HELP sbcfleet_calls_active Calls up now.',
        '# TYPE sbcfleet_calls_active gauge',
        'sbcfleet_calls_active 3',
        'sbcfleet_calls_active{trunk="a \\"b\\"\\\\\\n"} 0.5',
        '',
      ].join('\n'),
    )
  })

  it.each(['/', '/toString', '/livez/x'])('has nothing at %s', async (path) => {
    expect((await (await start())(path)).status).toBe(404)
  })
})
