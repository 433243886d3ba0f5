import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { sharedToken } from './authenticate.ts'
import { PushServer, type PushServerOptions } from './push-server.ts'
import { ReplicaSocket } from './testing/replica-socket.ts'

const token = 'a token of the test'
const servers: PushServer[] = []
const log = createLog({ level: 'error', name: 'test', write: () => undefined })

async function start(options: Partial<PushServerOptions> = {}): Promise<{ url: string }> {
  const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken(token), epoch: 7, ...options })
  servers.push(server)
  return server.listen({ host: '127.0.0.1', port: 0 })
}

let running: Awaited<ReturnType<typeof start>>
beforeEach(async () => {
  running = await start()
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

describe('the push server', () => {
  it('refuses whoever does not have the token, with 401', async () => {
    const replica = new ReplicaSocket(running.url, 'another token')
    const [, response] = (await once(replica.socket, 'unexpected-response')) as [unknown, { statusCode: number }]
    expect(response.statusCode).toBe(401)
  })

  it.each([
    ['a wrong token', 'wrong', ''],
    ['another path', token, '/elsewhere'],
  ])(
    'holds no connection that it refuses for %s, whether or not the other end closes it',
    async (_what, said, path) => {
      const { port, pathname } = new URL(running.url)
      const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => {})
      const closed = new Promise((resolve) => socket.on('close', resolve))
      const head = [
        `GET ${pathname}${path} HTTP/1.1`,
        'Host: control',
        `Authorization: Bearer ${said}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
      ]
      socket.write(`${head.join('\r\n')}\r\n\r\n`)
      socket.resume()
      await once(socket, 'end')
      // What is written to an end that is gone is answered with a reset.
      const more = () => void (socket.destroyed || socket.write('x', () => setImmediate(more)))
      more()
      await closed
    },
  )

  it('refuses when credentials cannot be checked', async () => {
    const { url } = await start({ authenticate: () => Promise.reject(new Error('no answer')) })
    const replica = new ReplicaSocket(url, token)
    const [, response] = (await once(replica.socket, 'unexpected-response')) as [unknown, { statusCode: number }]
    expect(response.statusCode).toBe(401)
  })
})
