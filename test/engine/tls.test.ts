import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import type { ClientTls, ListenerAddress, RequestSource, ServerTls } from '../../dataplane/engine/engine.types.ts'
import { Authority, expired } from '../tls/certificates.ts'
import { ApplicationProbe } from './application.ts'
import { start } from './served.ts'
import { answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'

const authority = new Authority()
const stranger = new Authority()
const own = authority.issue({ dns: ['sbc.example'] })
const carrier = authority.issue({ dns: ['carrier.example'] })

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let listener: ListenerAddress
let asked: Partial<ClientTls>
let sources: RequestSource[]
const closing: (() => Promise<unknown> | void)[] = []

function serverTls(changes: Partial<ServerTls> = {}): ServerTls {
  return { ...own, others: [], clientAuthorities: undefined, minVersion: 'TLSv1.2', ...changes }
}

async function begin(tls: Partial<ServerTls> = {}, clock?: ManualClock): Promise<void> {
  asked = {}
  sources = []
  engine = await start({
    ...(clock !== undefined && { clock }),
    admit: (source) => sources.push(source) > 0,
    tlsTo: ({ host }) => ({
      identity: 'carrier',
      serverName: host,
      verify: true,
      authorities: authority.certificate,
      names: [host],
      credentials: own,
      minVersion: 'TLSv1.2',
      ...asked,
    }),
  })
  listener = await engine.engine.open({
    name: 'tls',
    transport: 'TLS',
    address: '127.0.0.1',
    port: 0,
    tls: serverTls(tls),
  })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options', 'bye', 'ack', 'info'])
}

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  for (const close of closing.splice(0)) await close()
})

/** A peer whose server shows the certificate, and whose client shows it where it is asked for one. */
async function peer(shown = carrier, client: ConnectionOptions = {}): Promise<SipPeer> {
  const material = { cert: shown.certificate, key: shown.key }
  const opened = await SipPeer.tls(material, {
    ca: authority.certificate,
    servername: 'sbc.example',
    ...material,
    ...client,
  })
  closing.push(() => opened.close())
  return opened
}

/** Connects to the listener; resolves once the handshake is done, and rejects with why it failed. */
async function client(options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port: listener.port, ca: authority.certificate, ...options })
  closing.push(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

function optionsTo(bob: SipPeer, host = 'carrier.example'): string {
  return `OPTIONS sip:bob@${host}:${bob.port};transport=tls;maddr=127.0.0.1 SIP/2.0\r\n\r\n`
}

async function expectRefused(bob: SipPeer, reason: RegExp): Promise<void> {
  await application.command('sip||', optionsTo(bob))
  expect((await application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  expect(engine.log.filter((line) => line.includes('No connection could be opened')).at(-1)).toMatch(reason)
  expect(bob.arrived).toEqual([])
}

describe('a TLS listener', () => {
  it('takes a call, and its Via, Contact and leader say TLS', async () => {
    await begin()
    const alice = await peer()
    const invite = { method: 'INVITE', uri: 'sip:b@c', callId: 'call', transport: 'TLS', body: sdp } as const
    alice.send(requestText(alice, invite), listener.port)
    const { transactionId, tokens } = await application.request('INVITE')
    expect(tokens[4]).toBe('tls')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { message } = await alice.response(200)
    expect(message.get('Contact')).toBe(`<sip:127.0.0.1:${listener.port};transport=tls>`)
  })

  it('refuses TLS 1.1, and 1.2 where 1.3 is asked for', async () => {
    await begin()
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(client({ servername: 'sbc.example', ...old })).rejects.toThrow(/protocol version|version/i)
    engine.engine.reload({ ...listener, tls: serverTls({ minVersion: 'TLSv1.3' }) })
    await expect(client({ servername: 'sbc.example', maxVersion: 'TLSv1.2' })).rejects.toThrow(/version/i)
    expect((await client({ servername: 'sbc.example' })).getProtocol()).toBe('TLSv1.3')
  })

  it('shows the certificate of the name that the client asks for (RFC 6066 §3), and its first to all others', async () => {
    const second = authority.issue({ dns: ['other.example', '*.pbx.example'] })
    await begin({ others: [second] })
    const shownTo = async (servername: string) =>
      (await client({ servername, checkServerIdentity: () => undefined })).getPeerCertificate().subjectaltname
    expect(await shownTo('sbc.example')).toBe('DNS:sbc.example')
    expect(await shownTo('OTHER.example')).toBe('DNS:other.example, DNS:*.pbx.example')
    expect(await shownTo('a.pbx.example')).toBe('DNS:other.example, DNS:*.pbx.example')
    expect(await shownTo('unknown.example')).toBe('DNS:sbc.example')
  })

  it('takes a new certificate over without closing a connection, and a bad one not at all', async () => {
    await begin()
    const alice = await peer()
    const invite = { method: 'INVITE', uri: 'sip:b@c', callId: 'kept', transport: 'TLS', body: sdp } as const
    alice.send(requestText(alice, invite), listener.port)
    const { transactionId } = await application.request('INVITE')
    const renewed = authority.issue({ dns: ['sbc.example', 'renewed.example'] })
    engine.engine.reload({ ...listener, tls: serverTls(renewed) })
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { toTag } = (await alice.response(200)).message
    expect((await client({ servername: 'sbc.example' })).getPeerCertificate().subjectaltname).toContain('renewed')
    expect(() => engine.engine.reload({ ...listener, tls: serverTls({ key: carrier.key }) })).toThrow(/key/)
    expect((await client({ servername: 'sbc.example' })).getPeerCertificate().subjectaltname).toContain('renewed')
    alice.send(
      requestText(alice, { method: 'BYE', uri: 'sip:b@c', callId: 'kept', toTag, cseq: 2, transport: 'TLS' }),
      listener.port,
    )
    await application.request('BYE')
    expect(engine.engine.gauges()['connections']).toBe(3)
  })

  it('is closed to who says nothing before the handshake, for 10 s', async () => {
    const clock = new ManualClock()
    await begin({}, clock)
    const socket = connect(listener.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    const closed = once(socket, 'close')
    // The engine may accept it after it is connected here.
    await expect
      .poll(() => {
        clock.advance(10_010)
        return socket.closed || socket.readableEnded
      })
      .toBe(true)
    await closed
  })
})

describe('TLS over IPv6', () => {
  it('carries a call with bracketed addresses', async () => {
    await begin()
    const v6 = await engine.engine.open({ ...listener, name: 'tls6', address: '::1', port: 0, tls: serverTls() })
    const material = { cert: carrier.certificate, key: carrier.key }
    const trusted = { ca: authority.certificate, servername: 'sbc.example' }
    const alice = await SipPeer.tls(material, trusted, '::1')
    closing.push(() => alice.close())
    const invite = { method: 'INVITE', uri: 'sip:b@c', callId: 'v6', transport: 'TLS', body: sdp } as const
    alice.send(requestText(alice, invite), v6.port)
    const { transactionId } = await application.request('INVITE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await alice.response(200)).message.get('Contact')).toBe(`<sip:[::1]:${v6.port};transport=tls>`)
    const way = `sip:carrier.example:${alice.port};transport=tls;maddr=[::1]`
    await application.command(`sip|||${way}`, 'OPTIONS sip:alice@example.com SIP/2.0\r\n\r\n')
    expect((await alice.request('OPTIONS')).message.get('Via')).toContain(`SIP/2.0/TLS [::1]:${v6.port};`)
  })
})

describe('a TLS listener that asks for certificates', () => {
  beforeEach(() => begin({ clientAuthorities: authority.certificate }))

  it('tells the names of the client with its requests', async () => {
    const alice = await peer(authority.issue({ uris: ['sip:carrier.example'], dns: ['host.carrier.example'] }))
    alice.send(
      requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'named', transport: 'TLS' }),
      listener.port,
    )
    await application.request('OPTIONS')
    expect(sources.map(({ names }) => names)).toEqual([['carrier.example']])
  })

  it.each([
    ['no certificate', { cert: undefined, key: undefined }],
    ['one of another authority', stranger.issue({ dns: ['carrier.example'] })],
    ['one that has expired', authority.issue({ dns: ['carrier.example'] }, expired)],
  ])('lets nobody in who shows %s', async (_what, shown) => {
    const { cert, key } = 'certificate' in shown ? { cert: shown.certificate, key: shown.key } : shown
    const socket = connectTls({
      host: '127.0.0.1',
      port: listener.port,
      ca: authority.certificate,
      servername: 'sbc.example',
      ...(cert !== undefined && { cert, key }),
    })
    socket.on('error', () => {})
    const closed = new Promise((resolve) => socket.on('close', resolve))
    const alice = await peer()
    socket.write(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'out', transport: 'TLS' }))
    await closed
    expect(await application.untaken()).toEqual([])
    expect(sources).toEqual([])
    expect(engine.engine.gauges()['connections']).toBe(0)
  })
})

describe('a request over TLS', () => {
  beforeEach(() => begin())

  it('goes to who shows a certificate for the domain (RFC 5922 §7.2), and offers its connection (RFC 5923 §5)', async () => {
    const bob = await peer()
    const { tokens } = await application.command('sip||', optionsTo(bob))
    expect(tokens[3]).toBe('tls')
    const arrival = await bob.request('OPTIONS')
    expect(arrival.message.get('Via')).toMatch(/^SIP\/2\.0\/TLS 127\.0\.0\.1:\d+;branch=[^;]+;alias$/)
    answerWith(arrival, { status: 200, toTag: 'bob' })
    await application.response(200)
  })

  it.each([
    ['of another domain', authority.issue({ dns: ['mallory.example'] }), /is for mallory\.example, not for carrier/],
    ['with a wildcard (RFC 5922 §7.2)', authority.issue({ dns: ['*.example'] }), /is for \*\.example/],
    [
      'with its domain in the CN beside a subjectAltName (RFC 5922 §7.1)',
      authority.issue({ dns: ['x.example'], commonName: 'carrier.example' }),
      /is for x\.example/,
    ],
    ['that has expired', authority.issue({ dns: ['carrier.example'] }, expired), /certificate has expired/],
    ['of an unknown authority', stranger.issue({ dns: ['carrier.example'] }), /unable to verify|unable to get/],
  ])('does not reach a peer with a certificate %s', async (_what, shown, reason) => {
    await expectRefused(await peer(shown), reason)
  })

  it('reaches it all the same where nothing is verified', async () => {
    asked = { verify: false }
    const bob = await peer(stranger.issue({ dns: ['mallory.example'] }))
    await application.command('sip||', optionsTo(bob))
    await bob.request('OPTIONS')
  })

  it('makes a connection over which the peer may send requests as who it has proved to be (RFC 5923 §5)', async () => {
    const bob = await peer()
    await application.command('sip||', optionsTo(bob, 'Carrier.Example'))
    const { answer } = await bob.request('OPTIONS')
    answer(requestText(bob, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'back', transport: 'TLS' }))
    const { transactionId } = await application.request('OPTIONS')
    expect(sources.map(({ names }) => names)).toEqual([['carrier.example']])
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await bob.response(200)
    expect(engine.engine.gauges()['connections']).toBe(1)
  })

  it('does not reach a server of TLS 1.1', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const bob = await SipPeer.tls({ cert: carrier.certificate, key: carrier.key, ...old }, {})
    closing.push(() => bob.close())
    await expectRefused(bob, /version/)
  })

  it('asks for the server by its name (RFC 6066 §3)', async () => {
    const names: string[] = []
    const bob = await SipPeer.tls(
      {
        cert: carrier.certificate,
        key: carrier.key,
        SNICallback: (name, done) => {
          names.push(name)
          done(null)
        },
      },
      {},
    )
    closing.push(() => bob.close())
    await application.command('sip||', optionsTo(bob))
    await bob.request('OPTIONS')
    expect(names).toEqual(['carrier.example'])
  })

  it('shares a connection with those that ask the same of the peer, and with no others', async () => {
    const bob = await peer()
    for (const identity of ['one', 'one', 'two']) {
      asked = { identity }
      await application.command('sip||', optionsTo(bob))
      answerWith(await bob.request('OPTIONS'), { status: 200, toTag: 'bob' })
      await application.response(200)
    }
    expect(engine.engine.gauges()['connections']).toBe(2)
  })
})

describe('a caller over TLS whose Contact is its own end of the connection', () => {
  it.each([
    ['has the BYE over it, without a certificate (RFC 3261 §18)', 0, true],
    ['has it nowhere when it says another port (RFC 5923 §5)', -1, false],
  ])('%s', async (_what, offset, reached) => {
    await begin()
    const socket = await client({ servername: 'sbc.example' })
    let received = ''
    socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')))
    const { localPort: port = 0 } = socket
    const call = {
      uri: 'sip:b@c',
      callId: 'call',
      transport: 'TLS',
      contact: `<sip:a@127.0.0.1:${port + offset}>`,
    } as const
    const alice = { hostPort: '127.0.0.1:5061' }
    socket.write(requestText(alice, { method: 'INVITE', ...call, body: sdp }))
    const { transactionId } = await application.request('INVITE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await expect.poll(() => received).toMatch(/SIP\/2\.0 200 OK[^]*\r\n\r\n/)
    const toTag = /\r\nTo: [^\r]*tag=([^\r;]*)/.exec(received.slice(received.indexOf('200 OK')))?.[1] ?? ''
    socket.write(requestText(alice, { method: 'ACK', ...call, toTag }))
    const { dialogId } = await application.request('ACK')
    await application.command(`sip||${dialogId}|`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')
    if (reached) await expect.poll(() => received).toContain('BYE sip:a@')
    else expect((await application.response(503)).message.method).toBe('BYE')
    expect(received.includes('BYE')).toBe(reached)
  })
})

describe('keepalive of a connection that was opened to a peer (RFC 5626 §4.4.1)', () => {
  it('pings, and closes the connection when a peer that knows pings answers no more', async () => {
    const clock = new ManualClock()
    await begin({}, clock)
    let answers = true
    let pings = 0
    const bob = await SipPeer.tls({ cert: carrier.certificate, key: carrier.key }, {}, '127.0.0.1', (bytes, stream) => {
      if (bytes.toString('latin1') !== '\r\n\r\n') return
      pings++
      if (answers) stream.write('\r\n')
    })
    closing.push(() => bob.close())
    await application.command('sip||', optionsTo(bob))
    answerWith(await bob.request('OPTIONS'), { status: 200, toTag: 'bob' })
    await application.response(200)
    clock.advance(94_000)
    expect(pings).toBe(0)
    clock.advance(26_010)
    await expect.poll(() => pings).toBe(1)
    // What the peer sent before this request has arrived by the time of its answer.
    await application.command('sip||', optionsTo(bob))
    answerWith(await bob.request('OPTIONS'), { status: 200, toTag: 'bob' })
    await application.response(200)
    clock.advance(10_010)
    expect(engine.engine.gauges()['connections']).toBe(1)
    answers = false
    clock.advance(120_010)
    await expect.poll(() => pings).toBe(2)
    clock.advance(10_010)
    expect(engine.engine.gauges()['connections']).toBe(0)
  })

  it('keeps the connection to a peer that pings as well, at the same time, but answers none', async () => {
    const clock = new ManualClock()
    await begin({}, clock)
    let pongs = 0
    const bob = await SipPeer.tls({ cert: carrier.certificate, key: carrier.key }, {}, '127.0.0.1', (bytes, stream) => {
      if (bytes.toString('latin1') === '\r\n\r\n') stream.write('\r\n\r\n')
      if (bytes.toString('latin1') === '\r\n') pongs++
    })
    closing.push(() => bob.close())
    for (let number = 0; number < 3; number++) {
      await application.command('sip||', optionsTo(bob))
      answerWith(await bob.request('OPTIONS'), { status: 200, toTag: 'bob' })
      await application.response(200)
      clock.advance(120_010)
      await expect.poll(() => pongs).toBe(number + 1)
      clock.advance(10_010)
    }
    expect(engine.engine.gauges()['connections']).toBe(1)
  })
})
