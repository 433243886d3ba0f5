import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe } from './application.ts'
import { answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
const closing: (() => Promise<unknown> | void)[] = []

async function begin(options: Parameters<typeof start>[0] = {}): Promise<void> {
  engine = await start(options)
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options', 'bye', 'info', 'ack'])
}

async function peer(kind: 'udp' | 'tcp', address?: string): Promise<SipPeer> {
  const opened = await SipPeer[kind](address)
  closing.push(() => opened.close())
  return opened
}

async function stream(port: number): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (bytes) => (text += bytes.toString('latin1')))
  socket.on('error', () => {})
  await once(socket, 'connect')
  closing.push(() => void socket.destroy())
  return { socket, received: () => text }
}

function counters(): Readonly<Record<string, number>> {
  return engine.engine.counters
}

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  for (const close of closing.splice(0)) await close()
})

describe('over UDP', () => {
  beforeEach(() => begin())

  it('a response goes to the port in Via, with the source in received (RFC 3261 §18.2.1, §18.2.2)', async () => {
    const alice = await peer('udp')
    const other = await peer('udp')
    const uri = 'sip:bob@example.com'
    const via = `SIP/2.0/UDP sender.example:${other.port};branch=z9hG4bK-received`
    alice.send(requestText(alice, { method: 'OPTIONS', uri, callId: 'received', via }), engine.udp.port)
    const { transactionId, message } = await application.request('OPTIONS')
    expect(message.get('Via')).toBe(`${via};received=127.0.0.1`)
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await other.response(200)).message.get('Via')).toBe(`${via};received=127.0.0.1`)
  })

  it('with rport a response goes back to the very source (RFC 3581 §4)', async () => {
    const alice = await peer('udp')
    const via = 'SIP/2.0/UDP 192.0.2.9:5099;rport;branch=z9hG4bK-rport'
    alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'rport', via }), engine.udp.port)
    const { transactionId, message } = await application.request('OPTIONS')
    const complete = `SIP/2.0/UDP 192.0.2.9:5099;rport=${alice.port};branch=z9hG4bK-rport;received=127.0.0.1`
    expect(message.get('Via')).toBe(complete)
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await alice.response(200)).message.get('Via')).toBe(complete)
  })

  it('a maddr in Via is not obeyed: whoever asks could have the answers sent to anybody', async () => {
    const alice = await peer('udp')
    const via = `SIP/2.0/UDP ${alice.hostPort};branch=z9hG4bK-maddr;maddr=192.0.2.99`
    alice.send(requestText(alice, { method: 'DANCE', uri: 'sip:b@c', callId: 'maddr', via }), engine.udp.port)
    expect((await alice.response(501)).message.get('Via')).toBe(via)
  })

  it('something malformed gets its 400, is counted, and throws nothing', async () => {
    const alice = await peer('udp')
    const good = requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'bad' })
    alice.send(good.replace('CSeq: 1 OPTIONS', 'CSeq: 1 INVITE'), engine.udp.port)
    await alice.response(400)
    for (const nonsense of ['\r\n\r\n', 'x', '\0\0\0\0', 'INVITE', 'SIP/2.0 200 OK\r\n\r\n', 'A'.repeat(60_000)]) {
      alice.send(nonsense, engine.udp.port)
    }
    alice.send(good, engine.udp.port)
    await application.request('OPTIONS')
    expect(counters()).toMatchObject({
      'rejected_malformed CSeq Method Mismatch': 1,
      'rejected_malformed No SIP Message': expect.any(Number),
    })
    expect(counters()['failed']).toBeUndefined()
  })

  it('a stray response and a stray ACK are passed over', async () => {
    const alice = await peer('udp')
    const text = requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'stray' })
    alice.send(text.replace('OPTIONS sip:b@c SIP/2.0', 'SIP/2.0 200 OK'), engine.udp.port)
    alice.send(requestText(alice, { method: 'ACK', uri: 'sip:b@c', callId: 'stray', toTag: 'x' }), engine.udp.port)
    alice.send(text, engine.udp.port)
    await application.request('OPTIONS')
    expect(await application.untaken()).toEqual([])
    expect(counters()['stray_responses']).toBe(1)
  })

  it('a request above 1,300 bytes goes over TCP where the target takes it (RFC 3261 §18.1.1)', async () => {
    const bob = await peer('tcp')
    const text = `OPTIONS sip:bob@${bob.hostPort} SIP/2.0\r\nX-Long: ${'x'.repeat(1300)}\r\n\r\n`
    const { tokens } = await application.command('sip||', text)
    expect(tokens[3]).toBe('tcp')
    const arrival = await bob.request('OPTIONS')
    expect(arrival.message.get('Via')).toContain(`SIP/2.0/TCP 127.0.0.1:${engine.tcp.port};`)
    answerWith(arrival, { status: 200, toTag: 'bob' })
    await application.response(200)
  })

  it('and over UDP after all where it is refused, which is remembered (RFC 3261 §18.1.1)', async () => {
    const bob = await peer('udp')
    const text = `OPTIONS sip:bob@${bob.hostPort} SIP/2.0\r\nX-Long: ${'x'.repeat(1300)}\r\n\r\n`
    await application.command('sip||', text)
    const arrival = await bob.request('OPTIONS')
    expect(arrival.message.get('Via')).toContain(`SIP/2.0/UDP 127.0.0.1:${engine.udp.port};`)
    answerWith(arrival, { status: 200, toTag: 'bob' })
    await application.response(200)
    const { tokens } = await application.command('sip||', text)
    expect(tokens[3]).toBe('udp')
  })
})

describe('over TCP', () => {
  beforeEach(() => begin())

  it('a response goes back on the connection of its request (RFC 3261 §18.2.2)', async () => {
    const alice = await peer('tcp')
    const uri = 'sip:bob@example.com'
    alice.send(requestText(alice, { method: 'OPTIONS', uri, callId: 'tcp', transport: 'TCP' }), engine.tcp.port)
    const { transactionId, tokens } = await application.request('OPTIONS')
    expect(tokens[4]).toBe('tcp')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    expect(engine.engine.gauges()).toMatchObject({ connections: 1, serverTransactions: 0 })
  })

  it('a response whose connection is gone opens one to the port in Via (RFC 3261 §18.2.2)', async () => {
    const alice = await peer('tcp')
    const { socket } = await stream(engine.tcp.port)
    socket.write(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'gone', transport: 'TCP' }))
    const { transactionId } = await application.request('OPTIONS')
    socket.destroy()
    await expect.poll(() => engine.engine.gauges()['connections']).toBe(0)
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
  })

  it('requests to one peer share a connection, and one that is refused gives a local 503', async () => {
    const bob = await peer('tcp')
    for (const user of ['one', 'two']) {
      await application.command('sip||', `OPTIONS sip:${user}@${bob.hostPort};transport=tcp SIP/2.0\r\n\r\n`)
      answerWith(await bob.request('OPTIONS'), { status: 200, toTag: 'bob' })
      await application.response(200)
    }
    expect(engine.engine.gauges()['connections']).toBe(1)
    const port = bob.port
    await bob.close()
    await expect.poll(() => engine.engine.gauges()['connections']).toBe(0)
    await application.command('sip||', `OPTIONS sip:bob@127.0.0.1:${port};transport=tcp SIP/2.0\r\n\r\n`)
    expect((await application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  })

  it('a message cut into single bytes arrives, several in one piece arrive one by one', async () => {
    const alice = await peer('tcp')
    const { socket } = await stream(engine.tcp.port)
    const one = requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'one', transport: 'TCP', body: sdp })
    const two = requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'two', transport: 'TCP', body: sdp })
    for (const byte of one) socket.write(byte)
    expect((await application.request('OPTIONS')).message.body).toBe(sdp)
    socket.write(two + requestText(alice, { method: 'INFO', uri: 'sip:b@c', callId: 'three', transport: 'TCP' }))
    await application.request('OPTIONS')
    await application.request('INFO')
  })

  it('a double CRLF is answered with a CRLF (RFC 5626 §4.4.1)', async () => {
    const { socket, received } = await stream(engine.tcp.port)
    socket.write('\r\n\r\n')
    await expect.poll(received).toBe('\r\n')
  })

  it('a double CRLF of a stranger gets nothing', async () => {
    const clock = new ManualClock()
    await engine.engine.stop()
    await begin({ clock, admit: () => false })
    const { socket, received } = await stream(engine.tcp.port)
    socket.write('\r\n\r\n')
    socket.write(requestText(await peer('udp'), { method: 'BYE', uri: 'sip:b@c', callId: 'x', transport: 'TCP' }))
    await expect.poll(() => counters()['ignored_unknown_source']).toBe(1)
    expect(received()).toBe('')
  })

  it('a stream out of step is closed, and so is one that says nothing', async () => {
    const { socket } = await stream(engine.tcp.port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'close')
    expect(counters()['rejected_stream']).toBe(1)
    const lines = engine.log.filter((line) => line.includes('no SIP on it'))
    expect(lines).toHaveLength(1)
  })

  it('a Contact that the engine adds names the transport', async () => {
    const alice = await peer('tcp')
    const invite = { method: 'INVITE', uri: 'sip:b@c', callId: 'contact', transport: 'TCP', body: sdp } as const
    alice.send(requestText(alice, invite), engine.tcp.port)
    const { transactionId } = await application.request('INVITE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { message } = await alice.response(200)
    expect(message.get('Contact')).toBe(`<sip:127.0.0.1:${engine.tcp.port};transport=tcp>`)
  })
})

describe('over TCP with a clock that is turned by hand', () => {
  it('a 2xx is repeated until its ACK comes all the same (RFC 3261 §13.3.1.4)', async () => {
    const clock = new ManualClock()
    await begin({ clock })
    const alice = await peer('tcp')
    const invite = { method: 'INVITE', uri: 'sip:b@c', callId: 'repeat', transport: 'TCP', body: sdp } as const
    alice.send(requestText(alice, invite), engine.tcp.port)
    const { transactionId } = await application.request('INVITE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    clock.advance(510)
    await alice.response(200)
    clock.advance(1010)
    await alice.response(200)
  })

  it('a connection without a message is closed after 30 s, a used one after 10 idle minutes', async () => {
    const clock = new ManualClock()
    await begin({ clock })
    const silent = await stream(engine.tcp.port)
    const alice = await peer('tcp')
    alice.send(
      requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'idle', transport: 'TCP' }),
      engine.tcp.port,
    )
    await application.request('OPTIONS')
    expect(engine.engine.gauges()['connections']).toBe(2)
    const closed = once(silent.socket, 'close')
    clock.advance(30_010)
    await closed
    expect(engine.engine.gauges()['connections']).toBe(1)
    clock.advance(600_010)
    expect(engine.engine.gauges()['connections']).toBe(0)
  })
})

describe('the connection of a stranger over TCP', () => {
  it('is closed after 30 s, whatever it says', async () => {
    const clock = new ManualClock()
    await begin({ clock, admit: () => false })
    const { socket, received } = await stream(engine.tcp.port)
    const alice = await peer('udp')
    socket.write(requestText(alice, { method: 'BYE', uri: 'sip:b@c', callId: 'x', transport: 'TCP' }))
    socket.write('\r\n\r\n')
    await expect.poll(() => counters()['ignored_unknown_source']).toBe(1)
    const closed = once(socket, 'close')
    clock.advance(30_010)
    await closed
    expect(received()).toBe('')
  })
})

describe('a peer that sends keepalives and reads nothing', () => {
  it('is given up before its answers fill the memory', async () => {
    await begin()
    const { port } = engine.tcp
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    const closed = new Promise((resolve) => socket.on('close', resolve))
    const pings = Buffer.from('\r\n'.repeat(32 * 1024))
    // Nothing listens for data, so that it is not read.
    const write = (): boolean => socket.write(pings, (error) => !error && write())
    write()
    await closed
    expect(engine.engine.gauges()['connections']).toBe(0)
  })
})

/** A process that is stopped while it listens: the kernel takes a few connections for it, and then none. */
async function deafPort(): Promise<number> {
  const program =
    "const s = require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(s.address().port))"
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  closing.push(() => void child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line.toString())
  child.kill('SIGSTOP')
  for (let number = 0; number < 8; number++) {
    const filler = connect(port, '127.0.0.1')
    filler.on('error', () => {})
    closing.push(() => void filler.destroy())
  }
  return port
}

describe.skipIf(process.platform !== 'linux')('a peer that never accepts a connection', () => {
  it('gives a local 503 after 4 s', async () => {
    const clock = new ManualClock()
    await begin({ clock })
    const port = await deafPort()
    await application.command('sip||', `OPTIONS sip:127.0.0.1:${port};transport=tcp SIP/2.0\r\n\r\n`)
    clock.advance(3980)
    expect(await application.untaken()).toEqual([])
    clock.advance(40)
    expect((await application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  })
})

describe('over IPv6', () => {
  it('requests and responses of UDP and TCP carry bracketed addresses', async () => {
    await begin({ address: '::1' })
    for (const kind of ['udp', 'tcp'] as const) {
      const alice = await peer(kind, '::1')
      const transport = kind === 'udp' ? 'UDP' : 'TCP'
      const listener = kind === 'udp' ? engine.udp : engine.tcp
      const uri = `sip:bob@[::1]:${listener.port}`
      alice.send(requestText(alice, { method: 'INVITE', uri, callId: kind, transport, body: sdp }), listener.port)
      const { transactionId, tokens } = await application.request('INVITE')
      expect(tokens[5]).toBe('::1')
      expect(tokens[10]).toBe('::1')
      await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
      const { message } = await alice.response(200)
      expect(message.get('Contact')).toContain(`sip:[::1]:${listener.port}`)
      const way = `sip:${alice.hostPort};transport=${kind}`
      await application.command(`sip|||${way}`, 'OPTIONS sip:alice@example.com SIP/2.0\r\n\r\n')
      const options = await alice.request('OPTIONS')
      expect(options.message.get('Via')).toContain(`SIP/2.0/${transport} [::1]:${listener.port};branch=`)
      answerWith(options, { status: 200, toTag: 'alice' })
      await application.response(200)
    }
  })
})

describe('a listener', () => {
  it('whose port is taken rejects with the error of the system, for UDP and TCP, and the engine goes on', async () => {
    await begin()
    for (const taken of [engine.udp, engine.tcp]) {
      await expect(engine.engine.open({ ...taken, name: 'again' })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    }
    const nowhere = { name: 'nowhere', transport: 'UDP', address: '192.0.2.1', port: 0 } as const
    await expect(engine.engine.open(nowhere)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
    await expect(engine.engine.open({ ...engine.udp, port: 0 })).rejects.toThrow('listener udp is open already')
  })

  it('can be closed and opened again on the same port', async () => {
    await begin()
    await engine.engine.close('udp')
    const again = await engine.engine.open(engine.udp)
    expect(again.port).toBe(engine.udp.port)
    const alice = await peer('udp')
    alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'reopened' }), again.port)
    await application.request('OPTIONS')
  })
})

describe('admission', () => {
  it('gives an unknown source no answer at all, but lets it into a dialog that it knows', async () => {
    const alice = await peer('udp')
    const stranger = await peer('udp')
    await begin({ admit: ({ port, listener }) => listener === 'udp' && port === alice.port })
    const uri = 'sip:b@c'
    alice.send(requestText(alice, { method: 'INVITE', uri, callId: 'admitted', body: sdp }), engine.udp.port)
    const { transactionId } = await application.request('INVITE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { toTag } = (await alice.response(200)).message
    const asked = [
      requestText(stranger, { method: 'INVITE', uri, callId: 'x', body: sdp }),
      requestText(stranger, { method: 'INVITE', uri, callId: 'x', toTag: 'x', body: sdp }),
      requestText(stranger, { method: 'CANCEL', uri, callId: 'x' }),
      requestText(stranger, { method: 'DANCE', uri, callId: 'x' }),
      requestText(stranger, { method: 'OPTIONS', uri, callId: 'x' }).replace('CSeq: 1', 'CSeq: one'),
    ]
    for (const text of asked) stranger.send(text, engine.udp.port)
    stranger.send(requestText(stranger, { method: 'INFO', uri, callId: 'admitted', toTag, cseq: 2 }), engine.udp.port)
    await application.request('INFO')
    expect(counters()['ignored_unknown_source']).toBe(asked.length)
    expect(await application.untaken()).toEqual([])
    expect(stranger.arrived).toHaveLength(0)
  })
})
