import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { ApplicationProbe, type Frame } from './application.ts'
import { start } from './served.ts'
import { type Arrival, answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'

type Options = Partial<Parameters<typeof requestText>[1]>

let clock: ManualClock
let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let alice: SipPeer
let bob: SipPeer
let carol: SipPeer
let refused: readonly string[]

beforeEach(async () => {
  clock = new ManualClock()
  refused = []
  engine = await start({ clock, admit: ({ address, port }) => !refused.includes(`${address}:${port}`) })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options', 'register'])
  alice = await SipPeer.udp()
  bob = await SipPeer.udp()
  carol = await SipPeer.udp()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await Promise.all([alice.close(), bob.close(), carol.close()])
})

function send(method: string, options: Options = {}, from = alice): void {
  const uri = `sip:service@127.0.0.1:${engine.udp.port}`
  from.send(requestText(from, { method, uri, callId: 'proxied', ...options }), engine.udp.port)
}

interface Wishes {
  readonly remain?: boolean
  readonly follow?: boolean
  readonly forking?: 'serial' | 'simultaneous'
  readonly provisional?: string
  readonly final?: string
  readonly headers?: readonly string[]
}

/** The frames that an order to proxy is answered with are read by `told`. */
function proxy(transactionId: string, targets: readonly string[], wishes: Wishes = {}): void {
  const { remain, follow, forking = 'serial', provisional = '', final = '', headers = [] } = wishes
  const options = [remain === true ? 'remainInDialog' : '', 'fullResponse', follow === true ? 'followRedirects' : '']
  const leader = ['order', 'proxy', transactionId, ...options, forking, provisional, final, ...targets].join('|')
  const text = `${leader}\r\n${[`INVITE ${targets[0]} SIP/2.0`, ...headers].join('\r\n')}\r\n\r\n`
  application.write(`${text.length}#${text}`)
}

/** The next answer to the order: tokens from OK or NOK on. */
async function told(): Promise<Frame> {
  const { tokens, text } = await application.take((frame) => frame.tokens[2] === 'order')
  return { tokens: tokens.slice(3), text }
}

/** Alice calls, and the application wants it proxied. */
async function call(targets: readonly string[], wishes: Wishes = {}, options: Options = {}): Promise<void> {
  const method = options.method ?? 'INVITE'
  send(method, { ...(method === 'INVITE' && { body: sdp }), ...options })
  proxy((await application.request(method)).transactionId, targets, wishes)
}

const at = (peer: SipPeer, user = 'bob'): string => `sip:${user}@${peer.hostPort}`

function contact(peer: SipPeer): readonly [string, string] {
  return ['Contact', `<${at(peer, 'contact')}>`]
}

describe('an INVITE that the application proxies', () => {
  it('goes out with one Via and one hop more, and its answers come back without that Via (RFC 3261 §16.6, §16.7)', async () => {
    await call([at(bob)], { headers: ['x-reason: because'] }, { headers: ['Supported: timer', 'Subject: tea'] })
    const arrival = await bob.request('INVITE')
    const { message } = arrival
    expect(message.values('Via')).toHaveLength(2)
    expect(message.values('Via')[1]).toContain(alice.hostPort)
    expect(message).toMatchObject({ uri: at(bob), callId: 'proxied', fromTag: 'a-tag', cseq: 1, body: sdp })
    expect(['Max-Forwards', 'Subject', 'Supported', 'X-Reason'].map((name) => message.get(name))).toEqual([
      ...['69', 'tea', 'timer', 'because'],
    ])
    expect(message.get('Contact')).toContain(alice.hostPort)
    expect(message.has('Record-Route')).toBe(false)
    answerWith(arrival, { status: 180, toTag: 'b' })
    expect((await alice.response(180)).message.values('Via')).toHaveLength(1)
    answerWith(arrival, { status: 200, toTag: 'b', headers: [contact(bob)], body: sdp })
    const { message: answer } = await alice.response(200)
    expect(answer).toMatchObject({ toTag: 'b', body: sdp })
    expect(answer.get('Contact')).toBe(contact(bob)[1])
  })

  it('keeps a Request-URI that is not ours, and goes where the application says', async () => {
    await call([at(bob)], {}, { uri: 'sip:somebody@example.com' })
    expect((await bob.request('INVITE')).message.uri).toBe('sip:somebody@example.com')
  })

  it('is told as it ends: each final response, and that there are no more', async () => {
    await call([at(bob), at(carol)])
    answerWith(await bob.request('INVITE'), { status: 486, toTag: 'b' })
    const busy = await told()
    expect(busy.tokens.slice(0, 6)).toEqual([
      'OK',
      'network',
      String(busy.text.length),
      'udp',
      '127.0.0.1',
      `${bob.port}`,
    ])
    expect(busy.tokens.slice(7)).toEqual(['', '', 'continue'])
    expect(busy.text).toContain('486')
    answerWith(await carol.request('INVITE'), { status: 200, toTag: 'c', headers: [contact(carol)] })
    expect((await told()).text).toContain('SIP/2.0 200')
    expect((await told()).tokens).toEqual(['OK', 'done'])
  })

  it('gets the best of the refusals, with the challenges of all (RFC 3261 §16.7)', async () => {
    await call([at(bob), at(carol)], { forking: 'simultaneous' })
    answerWith(await bob.request('INVITE'), {
      ...{ status: 407, toTag: 'b', headers: [['Proxy-Authenticate', 'Digest realm="b", nonce="1"']] },
    })
    answerWith(await carol.request('INVITE'), {
      ...{ status: 401, toTag: 'c', headers: [['WWW-Authenticate', 'Digest realm="c", nonce="2"']] },
    })
    const { message } = await alice.next(({ status }) => status === 401 || status === 407)
    expect(message.get('Proxy-Authenticate')).toContain('realm="b"')
    expect(message.get('WWW-Authenticate')).toContain('realm="c"')
  })

  it('that only 503 comes of gets 500 (RFC 3261 §16.7)', async () => {
    await call([at(bob)])
    answerWith(await bob.request('INVITE'), { status: 503, toTag: 'b' })
    await alice.response(500)
  })

  it('rings everywhere until one answers: the others are cancelled, and what they say then is theirs (RFC 3261 §16.7)', async () => {
    await call([at(bob), at(carol)], { forking: 'simultaneous' })
    const [atBob, atCarol] = [await bob.request('INVITE'), await carol.request('INVITE')]
    answerWith(atBob, { status: 180, toTag: 'b' })
    answerWith(atCarol, { status: 180, toTag: 'c' })
    await alice.next(({ status, toTag }) => status === 180 && toTag === 'c')
    answerWith(atCarol, { status: 200, toTag: 'c', headers: [contact(carol)] })
    await alice.response(200)
    const cancel = await bob.request('CANCEL')
    expect(cancel.message.values('Via')).toEqual([atBob.message.get('Via')])
    answerWith(cancel, { status: 200 })
    answerWith(atBob, { status: 487, toTag: 'b' })
    await bob.request('ACK')
    expect(alice.arrived.some(({ message }) => message.status === 487)).toBe(false)
  })

  it('passes each 2xx on, that of a second branch and one that is sent again (RFC 3261 §16.7, step 5)', async () => {
    await call([at(bob), at(carol)], { forking: 'simultaneous' })
    const [atBob, atCarol] = [await bob.request('INVITE'), await carol.request('INVITE')]
    answerWith(atBob, { status: 200, toTag: 'b', headers: [contact(bob)] })
    await alice.next(({ status, toTag }) => status === 200 && toTag === 'b')
    answerWith(atCarol, { status: 200, toTag: 'c', headers: [contact(carol)] })
    await alice.next(({ status, toTag }) => status === 200 && toTag === 'c')
    answerWith(atBob, { status: 200, toTag: 'b', headers: [contact(bob)] })
    await alice.next(({ status, toTag }) => status === 200 && toTag === 'b')
  })

  it('ends everywhere with a 6xx, and no other target is tried (RFC 3261 §16.7, step 5)', async () => {
    await call([at(bob), at(carol)])
    answerWith(await bob.request('INVITE'), { status: 603, toTag: 'b' })
    await alice.response(603)
    expect(carol.arrived).toEqual([])
  })

  it('follows a redirection where that is wanted, each place once (RFC 3261 §16.5)', async () => {
    await call([at(bob)], { follow: true })
    const headers = [['Contact', `<${at(carol)}>, <${at(bob)}>, <tel:+1>`]] as const
    answerWith(await bob.request('INVITE'), { status: 302, toTag: 'b', headers })
    answerWith(await carol.request('INVITE'), { status: 302, toTag: 'c', headers })
    await alice.response(302)
  })

  it('passes a redirection on where that is not wanted', async () => {
    await call([at(bob)])
    answerWith(await bob.request('INVITE'), { status: 302, toTag: 'b', headers: [['Contact', `<${at(carol)}>`]] })
    expect((await alice.response(302)).message.get('Contact')).toBe(`<${at(carol)}>`)
  })

  it('is cancelled with its caller, and the 487 comes from where it rang (RFC 3261 §16.10)', async () => {
    const branch = 'z9hG4bK-cancelled'
    await call([at(bob), at(carol)], {}, { branch })
    const arrival = await bob.request('INVITE')
    send('CANCEL', { branch })
    await alice.response(200, 'CANCEL')
    // RFC 3261 §9.1: not before a provisional response.
    answerWith(arrival, { status: 180, toTag: 'b' })
    answerWith(await bob.request('CANCEL'), { status: 200 })
    answerWith(arrival, { status: 487, toTag: 'b' })
    expect((await alice.response(487)).message.toTag).toBe('b')
    expect(carol.arrived).toEqual([])
  })

  it('goes on to the next target when one says nothing, or does not answer, in the time it has', async () => {
    await call([at(bob), at(carol)], { provisional: '2s', final: '20s' })
    const atBob = await bob.request('INVITE')
    clock.advance(2010)
    const atCarol = await carol.request('INVITE')
    answerWith(atBob, { status: 180, toTag: 'b' })
    await bob.request('CANCEL')
    answerWith(atCarol, { status: 180, toTag: 'c' })
    await alice.next(({ status, toTag }) => status === 180 && toTag === 'c')
    clock.advance(20_010)
    await carol.request('CANCEL')
    await alice.response(408)
    expect((await told()).tokens).toEqual(['OK', 'done'])
    // The call is lost, but whoever picks up now has to be hung up, which is the caller's to do.
    answerWith(atCarol, { status: 200, toTag: 'c', headers: [contact(carol)] })
    await alice.next(({ status, toTag }) => status === 200 && toTag === 'c')
  })

  it('is cancelled after three minutes of ringing, which each provisional response begins anew (RFC 3261 §16.8)', async () => {
    await call([at(bob)])
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'b' })
    await alice.response(180)
    clock.advance(170_000)
    answerWith(arrival, { status: 183, toTag: 'b' })
    await alice.response(183)
    clock.advance(170_000)
    expect(bob.arrived.some(({ message }) => message.method === 'CANCEL')).toBe(false)
    clock.advance(12_000)
    await bob.request('CANCEL')
    clock.advance(33_000)
    await alice.response(408)
  })

  it('gets 502 for an answer that has lost the way back (RFC 3261 §16.7, step 3)', async () => {
    await call([at(bob)])
    const { message, answer } = await bob.request('INVITE')
    const copied = ['Via', 'From', 'To', 'Call-ID', 'CSeq'].map((name) => `${name}: ${message.get(name)}`)
    answer(`SIP/2.0 200 OK\r\n${copied.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`)
    await alice.response(502)
  })

  it('with Proxy-Require gets 420 (RFC 3261 §16.3)', async () => {
    await call([at(bob)], {}, { headers: ['Proxy-Require: magic'] })
    expect((await alice.response(420)).message.get('Unsupported')).toBe('magic')
    expect(bob.arrived).toEqual([])
  })

  it('is not proxied without a place to go to, to too many, to no SIP URI, or twice', async () => {
    send('INVITE', { body: sdp })
    const { transactionId } = await application.request('INVITE')
    for (const targets of [[], Array.from({ length: 17 }, () => at(bob)), ['tel:+1'], ['nowhere']]) {
      proxy(transactionId, targets)
      expect((await told()).tokens[0], String(targets)).toBe('NOK')
    }
    proxy(transactionId, [at(bob)], { provisional: 'soon' })
    expect((await told()).tokens).toEqual(['NOK', 'a timeout is written as 2s or 1500ms'])
    proxy(transactionId, [at(bob)])
    await bob.request('INVITE')
    proxy(transactionId, [at(bob)])
    expect((await told()).tokens[0]).toBe('NOK')
    expect((await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')).tokens[0]).toBe('NOK')
  })

  it('goes on when the application leaves', async () => {
    await call([at(bob)])
    const arrival = await bob.request('INVITE')
    application.close()
    answerWith(arrival, { status: 200, toTag: 'b', headers: [contact(bob)] })
    await alice.response(200)
  })
})

describe('the dialog of an INVITE whose proxy remains in it', () => {
  /** Alice and Bob are connected; what each has to write into Route. */
  async function connected(): Promise<{ alices: string[]; bobs: string[] }> {
    await call([at(bob)], { remain: true })
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 200, toTag: 'b', headers: [contact(bob)] })
    const { message } = await alice.response(200)
    return { alices: message.values('Record-Route').toReversed(), bobs: arrival.message.values('Record-Route') }
  }

  function route(values: readonly string[]): string[] {
    return [`Route: ${values.join(', ')}`]
  }

  const inside = (routes: readonly string[], more: Options = {}): Options => ({
    ...{ uri: at(bob, 'contact'), toTag: 'b', cseq: 2, headers: route(routes) },
    ...more,
  })

  it('leads ACK and BYE through it, both ways (RFC 3261 §16.12.1)', async () => {
    const { alices, bobs } = await connected()
    expect(alices).toEqual(bobs)
    send('ACK', inside(alices, { cseq: 1 }))
    const { message: ack } = await bob.request('ACK')
    expect(ack).toMatchObject({ uri: at(bob, 'contact'), cseq: 1 })
    expect(ack.has('Route')).toBe(false)
    expect(ack.values('Via')).toHaveLength(2)
    send('BYE', { uri: at(alice), fromTag: 'b', toTag: 'a-tag', cseq: 1, headers: route(bobs) }, bob)
    const bye = await alice.request('BYE')
    expect(bye.message.get('Max-Forwards')).toBe('69')
    answerWith(bye, { status: 200 })
    expect((await bob.response(200, 'BYE')).message.values('Via')).toHaveLength(1)
  })

  it('has re-INVITEs and their CANCEL go through it', async () => {
    const { alices } = await connected()
    const branch = 'z9hG4bK-again'
    send('INVITE', inside(alices, { branch, body: sdp }))
    await alice.response(100)
    const arrival = await bob.request('INVITE')
    expect(arrival.message.body).toBe(sdp)
    answerWith(arrival, { status: 180 })
    await alice.response(180)
    send('CANCEL', { ...inside(alices), branch })
    answerWith(await bob.request('CANCEL'), { status: 200 })
    answerWith(arrival, { status: 487 })
    await alice.response(487)
  })

  it('has two addresses where the two sides have two transports (RFC 5658 §6)', async () => {
    const far = await SipPeer.tcp()
    try {
      await call([`${at(far)};transport=tcp`], { remain: true })
      const arrival = await far.request('INVITE')
      const [towardsBob = '', towardsAlice = ''] = arrival.message.values('Record-Route')
      expect(towardsBob).toContain(`:${engine.tcp.port};transport=tcp`)
      expect(towardsAlice).toContain(`:${engine.udp.port}`)
      answerWith(arrival, { status: 200, toTag: 'b', headers: [['Contact', `<${at(far)};transport=tcp>`]] })
      await alice.response(200)
      send('BYE', inside([towardsAlice, towardsBob], { uri: `${at(far)};transport=tcp` }))
      const bye = await far.request('BYE')
      expect(bye.message.get('Via')).toContain('SIP/2.0/TCP')
      answerWith(bye, { status: 200 })
      await alice.response(200, 'BYE')
    } finally {
      await far.close()
    }
  })

  it('is not open to a mark that is forged, or is of another call', async () => {
    const { alices } = await connected()
    send('BYE', inside(alices, { callId: 'another' }))
    await alice.response(481)
    send(
      'BYE',
      inside(
        alices.map((value) => value.replace(/call=\w{3}/, 'call=000')),
        { cseq: 3 },
      ),
    )
    await alice.response(481)
    send('ACK', inside(alices, { callId: 'another', cseq: 1 }))
    send('BYE', inside([`<sip:127.0.0.1:${engine.udp.port};lr>`], { cseq: 4 }))
    await alice.response(481)
    expect(bob.arrived.map(({ message }: Arrival) => message.method)).toEqual(['INVITE'])
  })

  it('begins with a request that an application has seen: without a To tag the mark opens nothing', async () => {
    const { alices } = await connected()
    send('INVITE', { uri: at(bob), cseq: 7, fromTag: 'new', headers: route(alices), body: sdp })
    await application.sip((message: SipMessage) => message.cseq === 7)
  })

  it('is silent to those who are not admitted', async () => {
    const { alices } = await connected()
    refused = [`127.0.0.1:${carol.port}`]
    send('ACK', inside(alices, { cseq: 1 }), carol)
    send('BYE', inside(alices, { cseq: 3 }), carol)
    send('BYE', inside(alices))
    expect((await bob.request('BYE')).message.cseq).toBe(2)
    expect(carol.arrived).toEqual([])
    expect(bob.arrived.map(({ message }) => message.method)).toEqual(['INVITE', 'BYE'])
  })

  it('does not go on for ever: Max-Forwards 0 gets 483 (RFC 3261 §16.3)', async () => {
    const { alices } = await connected()
    send('BYE', inside(alices, { maxForwards: 0 }))
    await alice.response(483)
  })
})

describe('a request other than INVITE that the application proxies', () => {
  it('has one answer, the first 2xx or the best', async () => {
    await call([at(bob), at(carol)], { forking: 'simultaneous' }, { method: 'OPTIONS' })
    const [atBob, atCarol] = [await bob.request('OPTIONS'), await carol.request('OPTIONS')]
    answerWith(atBob, { status: 404, toTag: 'b' })
    answerWith(atCarol, { status: 200, toTag: 'c' })
    expect((await alice.response(200)).message.toTag).toBe('c')
  })

  it('gets no 408: the next target is tried, and else nothing said (RFC 4320 §4.2)', async () => {
    await call([at(bob)], { final: '3s' }, { method: 'OPTIONS' })
    await bob.request('OPTIONS')
    clock.advance(3010)
    expect((await told()).tokens).toEqual(['OK', 'done'])
    clock.advance(600)
    send('OPTIONS', { callId: 'next' })
    await application.request('OPTIONS')
    expect(alice.arrived.filter(({ message }) => message.status === 408)).toEqual([])
  })

  it('leaves a Path in a REGISTER where it remains (RFC 3327 §5.2)', async () => {
    await call([at(bob)], { remain: true }, { method: 'REGISTER' })
    const { message } = await bob.request('REGISTER')
    expect(message.get('Path')).toContain(`127.0.0.1:${engine.udp.port};lr`)
    expect(message.has('Record-Route')).toBe(false)
  })
})
