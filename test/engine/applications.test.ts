import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe } from './application.ts'
import { answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'
import { connectSrf, handle, request, secret, start } from './served.ts'

let clock: ManualClock
let engine: Awaited<ReturnType<typeof start>>
let alice: SipPeer
const probes: ApplicationProbe[] = []

beforeEach(async () => {
  clock = new ManualClock()
  engine = await start({ clock })
  alice = await SipPeer.udp()
})

afterEach(async () => {
  for (const probe of probes.splice(0)) probe.close()
  await engine.engine.stop()
  await alice.close()
})

async function serving(...methods: string[]): Promise<ApplicationProbe> {
  const probe = await ApplicationProbe.serving(engine.port, methods)
  probes.push(probe)
  return probe
}

function options(callId: string): void {
  alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId }), engine.udp.port)
}

describe('an application', () => {
  it('is told the addresses that are open when it says the secret', async () => {
    const probe = await ApplicationProbe.connect(engine.port)
    probes.push(probe)
    const { tokens } = await probe.command(`authenticate|${secret}|`)
    const addresses = `udp/127.0.0.1:${engine.udp.port},tcp/127.0.0.1:${engine.tcp.port}`
    expect(tokens).toEqual(['OK', addresses, 'v1.0.0', addresses])
  })

  it.each(['authenticate|wrong|', 'route|invite', 'sip||', 'ping', 'nonsense'])(
    'that says %s before the secret is refused and closed',
    async (command) => {
      const probe = await ApplicationProbe.connect(engine.port)
      const { tokens } = await probe.command(command)
      expect(tokens[0]).toBe('NO')
      await probe.closed
      expect(engine.engine.gauges()['applications']).toBe(0)
    },
  )

  it('that never says the secret is closed after 10 s', async () => {
    const probe = await ApplicationProbe.connect(engine.port)
    await serving('options')
    clock.advance(10_010)
    await probe.closed
    expect(engine.engine.gauges()['applications']).toBe(1)
  })

  it('that speaks another protocol is closed, and others are served on', async () => {
    const bad = await ApplicationProbe.connect(engine.port)
    bad.write('GET / HTTP/1.1\r\n\r\n')
    await bad.closed
    const unknown = await serving()
    await unknown.command('dance')
    await unknown.closed
    const good = await serving('options')
    options('served')
    await good.request('OPTIONS')
  })

  it('may send a frame of many kilobytes, and many at once', async () => {
    const probe = await serving('options')
    options('large')
    const { transactionId } = await probe.request('OPTIONS')
    const text = `SIP/2.0 200 OK\r\nX-Large: ${'x'.repeat(7000)}\r\nContent-Type: text/plain\r\n\r\n${'y'.repeat(30_000)}`
    const replies = [probe.respond(transactionId, text), ...Array.from({ length: 300 }, () => probe.command('ping'))]
    const answered = await Promise.all(replies)
    expect(answered.map(({ tokens }) => tokens[0])).toEqual(replies.map(() => 'OK'))
    expect((await alice.response(200)).message.body).toHaveLength(30_000)
  })

  it('takes requests in turn with the others that take the method, however often it says so', async () => {
    const first = await serving('options', 'options', 'OPTIONS')
    const second = await serving('options')
    for (let number = 0; number < 4; number++) {
      options(`turn-${number}`)
      await (number % 2 === 0 ? first : second).request('OPTIONS')
    }
  })

  it('that takes a method back keeps the others', async () => {
    const probe = await serving('options', 'invite')
    await probe.command('remove_route|options')
    options('not-allowed')
    const { message } = await alice.response(405)
    expect(message.values('Allow')).toEqual(['INVITE', 'ACK', 'CANCEL', 'BYE'])
    alice.send(requestText(alice, { method: 'INVITE', uri: 'sip:b@c', callId: 'taken', body: sdp }), engine.udp.port)
    await probe.request('INVITE')
  })

  it('cannot answer what another one was given', async () => {
    const first = await serving('options')
    const second = await serving()
    options('mine')
    const { transactionId } = await first.request('OPTIONS')
    const { tokens } = await second.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(tokens).toEqual(['NOK', 'Response not sent due to unknown transaction'])
  })

  it('that orders what is no message is refused, and served on', async () => {
    const probe = await serving('options')
    options('refused')
    const { transactionId } = await probe.request('OPTIONS')
    const orders = [
      'SIP/2.0 200 OK\r\nBad Name: x\r\n\r\n',
      'SIP/2.0 200 OK\r\nX-Nul: a\0b\r\n\r\n',
      'SIP/2.0 200 OK\r\nX-Return: a\rb\r\n\r\n',
      'SIP/2.0 200\r\n no header\r\n\r\n',
      'nonsense',
      '',
    ]
    for (const text of orders) expect((await probe.respond(transactionId, text)).tokens[0]).toBe('NOK')
    expect((await probe.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')).tokens[0]).toBe('OK')
    await alice.response(200)
  })

  it('gets bytes above ASCII as they were, and has its own sent as they are', async () => {
    const probe = await serving('options')
    const text = requestText(alice, {
      method: 'OPTIONS',
      uri: 'sip:b@c',
      callId: 'bytes',
      headers: ['Subject: Zo\xeb'],
    })
    alice.send(text, engine.udp.port)
    const { message, transactionId } = await probe.request('OPTIONS')
    expect(message.get('Subject')).toBe('Zo\xeb')
    await probe.respond(transactionId, `SIP/2.0 200 OK\r\nSubject: ${Buffer.from('Zoë').toString('latin1')}\r\n\r\n`)
    const answered = (await alice.response(200)).message.get('Subject') ?? ''
    expect(Buffer.from(answered, 'latin1').toString()).toBe('Zoë')
  })
})

describe('an application that does not read', () => {
  it('gets no new calls: they are answered 503 with Retry-After, until it has caught up (RFC 3261 §21.5.4)', async () => {
    const probe = await serving('invite')
    probe.pause()
    const body = `v=0\r\n${'a=x\r\n'.repeat(10_000)}`
    let answered = 100
    for (let number = 0; number < 1000 && answered === 100; number++) {
      const invite = { method: 'INVITE', uri: 'sip:b@c', callId: `flood-${number}`, fromTag: `${number}`, body }
      alice.send(requestText(alice, invite), engine.udp.port)
      answered = (await alice.next(({ status }) => status > 0)).message.status
    }
    expect(answered).toBe(503)
    probe.resume()
    await probe.command('ping')
    alice.send(
      requestText(alice, { method: 'INVITE', uri: 'sip:b@c', callId: 'caught-up', body: sdp }),
      engine.udp.port,
    )
    await alice.response(100)
  })
})

describe('drachtio-srf', () => {
  it('answers a challenge with its credentials, in the same Call-ID and From tag', async () => {
    const srf = await connectSrf(engine.port)
    const auth = { username: 'alice', password: 'secret' }
    const uri = `sip:${alice.hostPort}`
    const order = { method: 'REGISTER', headers: { Contact: '<sip:me@localhost>' }, auth }
    const answered = new Promise<number>((resolve, reject) => {
      request(srf, uri, order, (error, sent) => {
        if (error) reject(error)
        else sent.on('response', (response) => resolve(response?.status ?? 0))
      })
    })
    const first = await alice.request('REGISTER')
    const challenge = ['WWW-Authenticate', 'Digest realm="r", nonce="n", qop="auth"'] as const
    answerWith(first, { status: 401, toTag: 'registrar', headers: [challenge] })
    const second = await alice.request('REGISTER')
    expect(second.message.callId).toBe(first.message.callId)
    expect(second.message.fromTag).toBe(first.message.fromTag)
    expect(second.message.cseq).toBe(first.message.cseq + 1)
    expect(second.message.get('Authorization')).toContain('username="alice"')
    answerWith(second, { status: 200, toTag: 'registrar' })
    expect(await answered).toBe(200)
    srf.disconnect()
  })

  it('registers methods after it has connected, and answers with UTF-8', async () => {
    const srf = await connectSrf(engine.port)
    handle(srf, 'options', (_request, response) => response.send(200, { headers: { Subject: 'Zoë' } }))
    await expect
      .poll(async () => {
        options('srf')
        return (await alice.next((message) => message.method === 'OPTIONS')).message.status
      })
      .toBe(200)
    const found = alice.arrived.find(({ message }) => message.status === 200)
    expect(Buffer.from(found?.message.get('Subject') ?? '', 'latin1').toString()).toBe('Zoë')
    srf.disconnect()
  })

  it('with a wrong secret is told so', async () => {
    const { default: Srf } = await import('drachtio-srf')
    const srf = new Srf()
    srf.on('error', () => {})
    const failed = new Promise((resolve) => srf.on('connect', resolve))
    void srf.connect({ host: '127.0.0.1', port: engine.port, secret: 'wrong' })
    expect(await failed).toBeInstanceOf(Error)
    srf.disconnect()
  })
})
