import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { readMessage } from '../../dataplane/engine/message/parse.ts'
import { buildResponse } from '../../dataplane/engine/message/response.ts'
import { serialiseText } from '../../dataplane/engine/message/serialise.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { ApplicationProbe } from './application.ts'
import { sdp, SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let server: Server
let uri: string
const closing: (() => Promise<unknown> | void)[] = []

beforeEach(async () => {
  // It stands still: nothing here is due to a timer.
  engine = await start({ clock: new ManualClock() })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'bye', 'ack', 'info'])
  server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  uri = `sip:bob@127.0.0.1:${(server.address() as AddressInfo).port};transport=tcp`
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  server.close()
  for (const close of closing.splice(0)) await close()
})

interface Taken {
  readonly socket: Socket
  readonly request: SipMessage
  readonly answer: (status: number) => void
}

/** The first request of the next connection that is opened to the server. */
async function nextConnection(): Promise<Taken> {
  const [socket] = (await once(server, 'connection')) as [Socket]
  closing.push(() => void socket.destroy())
  socket.on('error', () => {})
  return nextRequest(socket)
}

async function nextRequest(socket: Socket): Promise<Taken> {
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  const read = readMessage(bytes.toString('latin1'))
  if (!read.ok) throw new Error(read.reason)
  const { message: request } = read
  return {
    socket,
    request,
    answer: (status) =>
      void socket.write(
        serialiseText(buildResponse(request, { status, toTag: 'bob', headers: [['Contact', `<${uri}>`]] })),
        'latin1',
      ),
  }
}

async function invite(): Promise<Taken> {
  const taken = nextConnection()
  await application.command('sip||', `INVITE ${uri} SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n${sdp}`)
  return taken
}

describe('a request whose connection the peer resets before any answer', () => {
  it('goes over a new one as it was, at once (RFC 3261 §17.2.3, §8.1.3.1)', async () => {
    const first = await invite()
    const again = nextConnection()
    first.socket.resetAndDestroy()
    const second = await again
    expect(second.request.text).toBe(first.request.text)
    second.answer(486)
    expect((await application.response(486)).message.has('X-Engine-Local')).toBe(false)
  })

  it('fails as with 503 when that one is reset as well (RFC 3261 §8.1.3.1)', async () => {
    const first = await invite()
    const again = nextConnection()
    first.socket.resetAndDestroy()
    const second = await again
    second.socket.resetAndDestroy()
    const { message } = await application.response(503)
    expect(message.get('X-Engine-Local')).toBe('transport')
  })

  it('fails as with 503 when nobody is there any more (RFC 3261 §8.1.3.1)', async () => {
    const first = await invite()
    server.close()
    first.socket.resetAndDestroy()
    expect((await application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  })

  it('is sent again in a dialog as well: a BYE (RFC 3261 §8.1.3.1)', async () => {
    const { socket, answer } = await invite()
    answer(200)
    const { dialogId } = await application.response(200)
    const ack = nextRequest(socket)
    await application.command(`sip||${dialogId}|`, `ACK sip:placeholder SIP/2.0\r\n\r\n`)
    await ack
    const lost = nextRequest(socket)
    await application.command(`sip||${dialogId}|`, `BYE sip:placeholder SIP/2.0\r\n\r\n`)
    const { request } = await lost
    const again = nextConnection()
    socket.resetAndDestroy()
    const second = await again
    expect(second.request.text).toBe(request.text)
    second.answer(200)
    expect((await application.response(200)).message.method).toBe('BYE')
  })
})

describe('a request that waits for its final answer', () => {
  /** Bob answers a request over another connection once its own is gone, and the application hears of it. */
  async function answerOverAnother(request: SipMessage): Promise<void> {
    await expect.poll(() => engine.engine.gauges()['connections']).toBe(0)
    const bob = await SipPeer.tcp()
    closing.push(() => bob.close())
    bob.send(serialiseText(buildResponse(request, { status: 486, toTag: 'bob' })), engine.tcp.port)
    await application.response(486)
  }

  it('is not sent again after a provisional one, and the answer comes over another connection (RFC 3261 §18.2.2)', async () => {
    const { socket, request, answer } = await invite()
    answer(180)
    await application.response(180)
    socket.resetAndDestroy()
    await answerOverAnother(request)
    expect(engine.engine.counters['retransmitted'] ?? 0).toBe(0)
  })

  it('is not sent again when the peer closes the connection in order, as one does that answers over another', async () => {
    const { socket, request } = await invite()
    socket.end()
    await answerOverAnother(request)
    expect(engine.engine.counters['retransmitted'] ?? 0).toBe(0)
  })
})
