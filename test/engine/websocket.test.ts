import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ManualClock } from '#lib/manual-clock.ts'
import type { ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import { readMessage } from '../../dataplane/engine/message/parse.ts'
import { buildResponse } from '../../dataplane/engine/message/response.ts'
import { serialiseText } from '../../dataplane/engine/message/serialise.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { freePorts } from '../sip/free-port.ts'
import { Authority } from '../tls/certificates.ts'
import { ApplicationProbe } from './application.ts'
import { handshake } from './handshake.ts'
import { start } from './served.ts'
import { sdp } from './sip-peer.ts'

const authority = new Authority()
const own = authority.issue({ dns: ['sbc.example'], addresses: ['127.0.0.1'] })

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let plain: ListenerAddress
let secure: ListenerAddress
const closing: (() => Promise<unknown> | void)[] = []

beforeEach(() => begin())

async function begin(options: Parameters<typeof start>[0] = {}): Promise<void> {
  engine = await start({
    tlsTo: ({ host }) => ({
      identity: host,
      serverName: host,
      verify: true,
      authorities: authority.certificate,
      names: [host],
      credentials: undefined,
      minVersion: 'TLSv1.2',
    }),
    ...options,
  })
  const at = { address: '127.0.0.1', port: 0 } as const
  plain = await engine.engine.open({ ...at, name: 'ws', transport: 'WS' })
  secure = await engine.engine.open({
    ...at,
    name: 'wss',
    transport: 'WSS',
    tls: { ...own, others: [], clientAuthorities: undefined, minVersion: 'TLSv1.2' },
  })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options', 'bye', 'ack', 'info'])
}

afterEach(async () => {
  vi.restoreAllMocks()
  application.close()
  await engine.engine.stop()
  for (const close of closing.splice(0)) await close()
})

interface Client {
  readonly socket: WebSocket
  /** Pieces that arrived. */
  readonly pieces: string[]
  next(): Promise<SipMessage>
}

/** A browser, as far as SIP is concerned. */
async function browser(listener: ListenerAddress, protocol: string | undefined = 'sip'): Promise<Client> {
  const scheme = listener.transport.toLowerCase()
  const socket = new WebSocket(`${scheme}://127.0.0.1:${listener.port}/`, protocol, {
    ca: authority.certificate,
  })
  closing.push(() => socket.terminate())
  const pieces: string[] = []
  let read = 0
  socket.on('message', (data: Buffer) => pieces.push(data.toString('latin1')))
  await once(socket, 'open')
  return {
    socket,
    pieces,
    async next() {
      await expect.poll(() => pieces.length).toBeGreaterThan(read)
      return message(pieces[read++] ?? '')
    },
  }
}

function message(text: string): SipMessage {
  const parsed = readMessage(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

/** As browsers write it: a host that exists nowhere, and no Content-Length (RFC 7118 §5.1, §5.2). */
function fromBrowser(
  method: string,
  options: { cseq?: number; toTag?: string; transport?: string; body?: string } = {},
) {
  const { cseq = 1, toTag, transport = 'WS', body = '' } = options
  return [
    `${method} sip:bob@sbc.example SIP/2.0`,
    `Via: SIP/2.0/${transport} df7jal23ls0d.invalid;branch=z9hG4bK-${method}-${cseq}`,
    'Max-Forwards: 70',
    'From: <sip:alice@sbc.example>;tag=a',
    `To: <sip:bob@sbc.example>${toTag === undefined ? '' : `;tag=${toTag}`}`,
    'Call-ID: browser',
    `CSeq: ${cseq} ${method}`,
    'Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>',
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    '',
    body,
  ].join('\r\n')
}

describe.each(['WS', 'WSS'] as const)('over %s', (transport) => {
  const listener = () => (transport === 'WS' ? plain : secure)

  it('a browser calls, is asked something inside the call, and is hung up on, all over its connection', async () => {
    const alice = await browser(listener())
    alice.socket.send(fromBrowser('INVITE', { transport, body: sdp }))
    const { transactionId, tokens, message: invite } = await application.request('INVITE')
    expect(tokens[4]).toBe(transport.toLowerCase())
    expect(invite.body).toBe(sdp)
    expect((await alice.next()).status).toBe(100)
    const { tokens: answered } = await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const ok = await alice.next()
    expect(ok.get('Contact')).toBe(`<sip:127.0.0.1:${listener().port};transport=ws>`)
    alice.socket.send(fromBrowser('ACK', { transport, toTag: ok.toTag }))
    await application.request('ACK')
    const dialogId = answered[8] ?? ''
    await application.command(`sip||${dialogId}|`, 'INFO sip:placeholder SIP/2.0\r\n\r\n')
    const info = await alice.next()
    expect(info.uri).toBe('sip:alice@df7jal23ls0d.invalid;transport=ws')
    expect(info.get('Via')).toMatch(new RegExp(`^SIP/2.0/${transport} 127.0.0.1:`))
    alice.socket.send(serialiseText(buildResponse(info, { status: 200 })))
    await application.response(200)
    await application.command(`sip||${dialogId}|`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')
    expect((await alice.next()).method).toBe('BYE')
  })

  it('a message of bytes that are no UTF-8 goes as bytes (RFC 6455 §5.6)', async () => {
    const alice = await browser(listener())
    const kinds: boolean[] = []
    alice.socket.on('message', (_data, isBinary) => kinds.push(isBinary))
    alice.socket.send(Buffer.from(fromBrowser('OPTIONS', { transport }), 'latin1'))
    const { transactionId } = await application.request('OPTIONS')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\nSubject: \xe9\xff\r\n\r\n')
    expect((await alice.next()).get('Subject')).toBe('\xe9\xff')
    expect(kinds).toEqual([true])
  })
})

describe('a WebSocket listener', () => {
  it('takes nobody who does not offer the subprotocol sip (RFC 7118 §4.1)', async () => {
    for (const protocols of [[], ['chat']]) {
      const socket = new WebSocket(`ws://127.0.0.1:${plain.port}/`, protocols)
      await expect(once(socket, 'open')).rejects.toThrow('400')
    }
    const page = await fetch(`http://127.0.0.1:${plain.port}/`)
    expect(page.status).toBe(426)
    expect(engine.engine.gauges()['connections']).toBe(0)
  })

  it('answers a double CRLF with a CRLF (RFC 7118 §6, RFC 5626 §4.4.1)', async () => {
    const alice = await browser(plain)
    alice.socket.send('\r\n\r\n')
    await expect.poll(() => alice.pieces).toEqual(['\r\n'])
  })

  it('survives nonsense before and after the upgrade', async () => {
    const socket = connect(plain.port, '127.0.0.1')
    socket.on('error', () => {})
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.write('\x16\x03\x01 no HTTP at all\r\n\r\n')
    await closed
    const alice = await browser(plain)
    alice.socket.send('no SIP at all')
    alice.socket.send(fromBrowser('OPTIONS'))
    await application.request('OPTIONS')
  })

  it('survives clients that break off when they are refused', async () => {
    const { timers } = engine.engine.gauges()
    for (let number = 0; number < 20; number++) {
      const socket = connect(plain.port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket.write(handshake('chat'))
      // Before the refusal, and after it.
      if (number % 2 === 0) await once(socket, 'data')
      if (number % 4 === 0) socket.write('and more', () => socket.destroy())
      else socket.resetAndDestroy()
    }
    // Of each there is a deadline for as long as it is there.
    await expect.poll(() => engine.engine.gauges()['timers']).toBe(timers)
    const alice = await browser(plain)
    alice.socket.send(fromBrowser('OPTIONS'))
    await application.request('OPTIONS')
  })

  it('sends nothing after its client is gone, and says so', async () => {
    const alice = await browser(plain)
    alice.socket.send(fromBrowser('INVITE', { body: sdp }))
    const { transactionId } = await application.request('INVITE')
    const { tokens } = await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    alice.socket.terminate()
    await expect.poll(() => engine.engine.gauges()['connections']).toBe(0)
    await application.command(`sip||${tokens[8]}|`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')
    expect((await application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  })
})

describe('a stranger at a WebSocket listener', () => {
  const stranger = '127.0.0.2'

  beforeEach(async () => {
    application.close()
    await engine.engine.stop()
    await begin({ admit: ({ address, names }) => address === '127.0.0.1' || names.includes('phone.example') })
  })

  /** All that the listener says until it closes the connection. */
  async function heard(socket: Socket): Promise<string> {
    let text = ''
    socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')))
    socket.on('error', () => {})
    await new Promise((resolve) => socket.on('close', resolve))
    return text
  }

  it.each([
    ['a handshake', handshake()],
    ['a handshake that would be refused', handshake('chat')],
    ['a request for a page', 'GET / HTTP/1.1\r\nHost: sbc.example\r\n\r\n'],
    ['one that expects an answer to its head', 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n'],
    ['no HTTP', '\0\r\n\r\n'],
  ])('gets no answer to %s, and is closed', async (_what, text) => {
    const socket = connect({ port: plain.port, host: '127.0.0.1', localAddress: stranger })
    socket.write(text)
    expect(await heard(socket)).toBe('')
    expect(engine.engine.counters['ignored_unknown_source']).toBe(1)
    expect(engine.engine.gauges()['connections']).toBe(0)
    expect(engine.log.join('')).toContain('A connection of an unknown source was closed without a word.')
  })

  it('is closed before the handshakes of TLS where they would prove nothing', async () => {
    const socket = connectTls({
      ...{ port: secure.port, host: '127.0.0.1', localAddress: stranger, rejectUnauthorized: false },
    } as ConnectionOptions)
    let shaken = false
    socket.on('secureConnect', () => (shaken = true))
    expect(await heard(socket)).toBe('')
    expect(shaken).toBe(false)
  })

  it('keeps nobody out who is known', async () => {
    const alice = await browser(secure)
    alice.socket.send(fromBrowser('OPTIONS', { transport: 'WSS' }))
    await application.request('OPTIONS')
    expect(engine.engine.counters['ignored_unknown_source']).toBeUndefined()
  })

  it('is none when it shows a certificate (RFC 5922 §7.4)', async () => {
    const certified = await engine.engine.open({
      ...{ name: 'certified', transport: 'WSS', address: '127.0.0.1', port: 0 },
      tls: { ...own, others: [], clientAuthorities: authority.certificate, minVersion: 'TLSv1.2' },
    })
    const { certificate: cert, key } = authority.issue({ dns: ['phone.example'] })
    const socket = new WebSocket(`wss://127.0.0.1:${certified.port}/`, 'sip', {
      ...{ ca: authority.certificate, cert, key, localAddress: stranger },
    })
    closing.push(() => socket.terminate())
    await once(socket, 'open')
    socket.send(fromBrowser('OPTIONS', { transport: 'WSS' }))
    await application.request('OPTIONS')
  })

  it('gets no answer either for a certificate that names no domain (RFC 5922 §7.1)', async () => {
    const certified = await engine.engine.open({
      ...{ name: 'certified', transport: 'WSS', address: '127.0.0.1', port: 0 },
      tls: { ...own, others: [], clientAuthorities: authority.certificate, minVersion: 'TLSv1.2' },
    })
    const { certificate: cert, key } = authority.issue({ uris: ['sip:alice@phone.example'] })
    const socket = connectTls({
      ...{ port: certified.port, host: '127.0.0.1', localAddress: stranger },
      ...{ ca: authority.certificate, cert, key },
    } as ConnectionOptions)
    socket.write(handshake())
    expect(await heard(socket)).toBe('')
  })
})

describe('a request to a WebSocket server', () => {
  it('goes over a connection with the subprotocol sip, and its answer comes back over it', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    closing.push(() => new Promise((resolve) => server.close(resolve)))
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const arrived = new Promise<SipMessage>((resolve) =>
      server.on('connection', (socket) => {
        closing.push(() => socket.terminate())
        socket.on('message', (data: Buffer) => {
          const request = message(data.toString('latin1'))
          resolve(request)
          socket.send(serialiseText(buildResponse(request, { status: 200, toTag: socket.protocol })))
        })
      }),
    )
    await application.command('sip||', `OPTIONS sip:bob@127.0.0.1:${port};transport=ws SIP/2.0\r\n\r\n`)
    expect((await arrived).get('Via')).toMatch(/^SIP\/2\.0\/WS 127\.0\.0\.1:/)
    expect((await application.response(200)).message.toTag).toBe('sip')
  })
})

describe('a server of a name that no URL can have', () => {
  it('is not reached, and the process goes on', async () => {
    application.close()
    await engine.engine.stop()
    const wanted = { identity: 'x', serverName: 'carrier.1', verify: false, authorities: undefined, names: [] }
    await begin({ tlsTo: () => ({ ...wanted, credentials: undefined, minVersion: 'TLSv1.2' }) })
    const [port] = await freePorts(1)
    for (let number = 0; number < 3; number++) {
      await application.command('sip||', `OPTIONS sips:bob@127.0.0.1:${port};transport=ws SIP/2.0\r\n\r\n`)
      expect((await application.response(503)).message.get('X-Engine-Local')).toBe('transport')
    }
  })
})

describe('the connection of a browser in a call (RFC 7118 §6)', () => {
  it('lasts as long as the browser answers pings, and no longer', async () => {
    application.close()
    await engine.engine.stop()
    const clock = new ManualClock()
    // The first moment at which a ping may go out.
    vi.spyOn(Math, 'random').mockReturnValue(0)
    await begin({ clock })
    const alice = await browser(plain)
    alice.socket.send(fromBrowser('INVITE', { body: sdp }))
    await application.request('INVITE')
    for (let ping = 0; ping < 20; ping++) {
      const pinged = once(alice.socket, 'ping')
      clock.advance(95_010)
      await pinged
      // The answer to a ping comes before what is sent after it.
      const { length } = alice.pieces
      alice.socket.send('\r\n\r\n')
      await expect.poll(() => alice.pieces.length).toBeGreaterThan(length)
      clock.advance(10_010)
    }
    expect(engine.engine.gauges()['connections']).toBe(1)
    alice.socket.pause()
    clock.advance(95_010)
    clock.advance(10_010)
    expect(engine.engine.gauges()['connections']).toBe(0)
  })
})
