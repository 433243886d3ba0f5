import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import { Authority } from '../tls/certificates.ts'
import { ApplicationProbe } from './application.ts'
import { handshake } from './handshake.ts'
import { start } from './served.ts'
import { requestText, SipPeer } from './sip-peer.ts'

const authority = new Authority()
const own = authority.issue({ dns: ['sbc.example'], addresses: ['127.0.0.1'] })

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let alice: SipPeer
let idle: Record<string, number>

beforeEach(async () => {
  engine = await start()
  application = await ApplicationProbe.serving(engine.port, ['options'])
  alice = await SipPeer.udp()
  idle = engine.engine.gauges()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await alice.close()
})

const message = requestText({ hostPort: '127.0.0.1:5060' }, { method: 'ACK', uri: 'sip:b@c', callId: 'c' })
/** A whole frame of text with that much of a payload, masked with nothing (RFC 6455 §5.2). */
const frame = (text: string) => `\x81${String.fromCharCode(0x80 | text.length)}\0\0\0\0${text}`

/** How far a client comes before it breaks off. */
const spoken = [
  ['says nothing', ''],
  ['has begun a message', 'ACK sip:b@c SIP/2.0\r\nCall-ID'],
  ['has said a message', message],
  ['has said a message and begun another', `${message}ACK`],
  ['says something else', '\0\x01\x02\xff'],
] as const
const browsed = [
  ['says nothing', ''],
  ['has begun its handshake', handshake().slice(0, 40)],
  ['is refused', handshake('chat')],
  ['is refused, and goes on', `${handshake('chat')}and more`],
  ['asks for a page', 'GET / HTTP/1.1\r\nHost: sbc.example\r\n\r\n'],
  ['has done its handshake', handshake()],
  ['has begun a frame', `${handshake()}\x81\xfe`],
  ['has said a ping', `${handshake()}${frame('\r\n\r\n')}`],
  ['says good-bye', `${handshake()}\x88\x80\0\0\0\0`],
  ['says something else', `${handshake()}\xff\xff\xff\xff`],
] as const

type Transport = 'TCP' | 'TLS' | 'WS' | 'WSS'
const isSecure = (transport: Transport) => transport === 'TLS' || transport === 'WSS'
const isBrowsed = (transport: Transport) => transport === 'WS' || transport === 'WSS'

function open(transport: Transport): Promise<ListenerAddress> {
  const tls = { ...own, others: [], clientAuthorities: undefined, minVersion: 'TLSv1.2' as const }
  return engine.engine.open({ name: 'one', transport, address: '127.0.0.1', port: 0, tls })
}

/** Writes it, waits for an answer if there is one to come, and leaves. */
async function breakOff(raw: Socket, stream: Socket, text: string, how: { waits: boolean; resets: boolean }) {
  if (text !== '') await new Promise((written) => stream.write(text, 'latin1', written))
  if (how.waits) await Promise.race([once(stream, 'data'), once(stream, 'close')])
  if (how.resets) raw.resetAndDestroy()
  else raw.destroy()
}

/** Nothing is held of those that were there, and the engine works. */
async function expectUnmoved(): Promise<void> {
  await expect.poll(() => engine.engine.gauges()).toEqual(idle)
  expect(engine.engine.counters['failed']).toBeUndefined()
  alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'after' }), engine.udp.port)
  await application.request('OPTIONS')
}

describe.each(['TCP', 'TLS', 'WS', 'WSS'] as const)('a client over %s that breaks off', (transport) => {
  it.each<readonly [string, string]>(isBrowsed(transport) ? browsed : spoken)('when it %s', async (_when, text) => {
    const { port } = await open(transport)
    const answered = text.startsWith('GET / HTTP/1.1') && text.includes('\r\n\r\n')
    for (const waits of answered ? [false, true] : [false]) {
      for (const resets of [false, true, true, false]) {
        const raw = connect(port, '127.0.0.1')
        const stream = isSecure(transport)
          ? connectTls({ socket: raw, ca: authority.certificate, servername: 'sbc.example' })
          : raw
        for (const each of [raw, stream]) each.on('error', () => {})
        await once(stream, isSecure(transport) ? 'secureConnect' : 'connect')
        await breakOff(raw, stream, text, { waits, resets })
      }
    }
    await expectUnmoved()
  })
})

describe.each(['TLS', 'WSS'] as const)('a client that is to speak TLS before %s, and breaks off', (transport) => {
  it.each([
    ['says nothing', ''],
    ['has begun to', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    ['speaks plainly', message],
  ])('when it %s', async (_when, text) => {
    const { port } = await open(transport)
    for (const resets of [false, true]) {
      const raw = connect(port, '127.0.0.1')
      raw.on('error', () => {})
      await once(raw, 'connect')
      await breakOff(raw, raw, text, { waits: false, resets })
    }
    await expectUnmoved()
  })
})
