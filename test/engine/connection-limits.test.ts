import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { Authority } from '../tls/certificates.ts'
import { ApplicationProbe } from './application.ts'
import { start } from './served.ts'
import { requestText, sdp, SipPeer } from './sip-peer.ts'

const authority = new Authority()
const own = authority.issue({ dns: ['sbc.example'], addresses: ['127.0.0.1'] })
let engine: Awaited<ReturnType<typeof start>>
afterEach(() => engine.engine.stop())

/** As many as one address may have open at a time, and strangers of all addresses. */
const most = 200
const mostOfStrangers = 500

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

describe('strangers that hold as many connections as they may', () => {
  const known = '127.0.0.1'
  const uri = 'sip:b@c'

  it('give the oldest up for the next one, unless it has come into a call since', async () => {
    engine = await start({ admit: ({ address }) => address === known })
    const application = await ApplicationProbe.serving(engine.port, ['invite', 'info'])
    const { port } = engine.tcp
    const [alice, moved] = [await SipPeer.tcp(known), await SipPeer.tcp('127.0.0.9', known)]
    alice.send(requestText(alice, { method: 'INVITE', uri, callId: 'c', transport: 'TCP', body: sdp }), port)
    const invite = await application.request('INVITE')
    await application.respond(invite.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { toTag } = (await alice.response(200)).message
    moved.send(requestText(moved, { method: 'INFO', uri, callId: 'c', toTag, cseq: 2, transport: 'TCP' }), port)
    const info = await application.request('INFO')
    await application.respond(info.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await moved.response(200)

    const strangers = []
    let closed = 0
    for (let number = 0; number < mostOfStrangers + 50; number++) {
      const socket = connect({ port, host: known, localAddress: `127.0.0.${20 + Math.floor(number / most)}` })
      socket.on('error', () => {})
      socket.on('close', () => closed++)
      strangers.push(socket)
      await once(socket, 'connect')
    }
    await expect.poll(() => closed).toBe(50)
    expect(strangers.slice(0, 50).every((socket) => socket.closed)).toBe(true)
    expect(engine.engine.gauges()['connections']).toBe(mostOfStrangers + 2)
    alice.send(requestText(alice, { method: 'INFO', uri, callId: 'c', toTag, cseq: 3, transport: 'TCP' }), port)
    await application.request('INFO')
    for (const socket of strangers) socket.destroy()
    application.close()
    await Promise.all([alice.close(), moved.close()])
  })
})
