import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { Authority } from '../tls/certificates.ts'
import { start } from './served.ts'

const authority = new Authority()
const own = authority.issue({ dns: ['sbc.example'], addresses: ['127.0.0.1'] })
let engine: Awaited<ReturnType<typeof start>>
afterEach(() => engine.engine.stop())

/** As many as one address may have open at a time. */
const most = 200

describe('a stream listener that an address has as many connections to as it may', () => {
  it.each(['TCP', 'TLS', 'WS', 'WSS'] as const)(
    'takes more over %s once those are closed, and not before',
    async (transport) => {
      engine = await start()
      const tls = { ...own, others: [], clientAuthorities: undefined, minVersion: 'TLSv1.2' as const }
      const { port } = await engine.engine.open({ name: 'one', transport, address: '127.0.0.1', port: 0, tls })
      const open = async () => {
        if (transport === 'TCP') {
          const socket = connect(port, '127.0.0.1')
          await once(socket, 'connect')
          return { socket, close: () => socket.destroy() }
        }
        if (transport === 'TLS') {
          const socket = connectTls({ port, host: '127.0.0.1', ca: authority.certificate })
          await once(socket, 'secureConnect')
          return { socket, close: () => socket.destroy() }
        }
        const socket = new WebSocket(`${transport.toLowerCase()}://127.0.0.1:${port}/`, 'sip', {
          ca: authority.certificate,
        })
        await once(socket, 'open')
        return { socket, close: () => socket.terminate() }
      }
      for (let round = 0; round < 2; round++) {
        const opened = []
        for (let number = 0; number < most; number++) opened.push(await open())
        await expect.poll(() => engine.engine.gauges()['connections']).toBe(most)
        const refused = connect(port, '127.0.0.1')
        refused.on('error', () => {})
        await new Promise((resolve) => refused.on('close', resolve))
        for (const { socket, close } of opened) {
          socket.on('error', () => {})
          close()
        }
        await expect.poll(() => engine.engine.gauges()['connections']).toBe(0)
      }
    },
  )

  it('counts handshakes that fail no longer than they last', async () => {
    engine = await start()
    const tls = { ...own, others: [], clientAuthorities: undefined, minVersion: 'TLSv1.2' as const }
    const { port } = await engine.engine.open({ name: 'one', transport: 'TLS', address: '127.0.0.1', port: 0, tls })
    for (let number = 0; number < most + 20; number++) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      const closed = new Promise((resolve) => socket.on('close', resolve))
      socket.write('this is no TLS at all, and long enough to be one record')
      await closed
    }
    const last = connectTls({ port, host: '127.0.0.1', ca: authority.certificate })
    await once(last, 'secureConnect')
    last.destroy()
  })
})
