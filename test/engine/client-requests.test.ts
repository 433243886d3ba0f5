import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe, type Frame } from './application.ts'
import { answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

let clock: ManualClock
let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let bob: SipPeer

beforeEach(async () => {
  clock = new ManualClock()
  engine = await start({ clock })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'bye', 'ack'])
  bob = await SipPeer.udp()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await bob.close()
})

/** What a request of an application looks like: no Via, no CSeq, names in lower case. */
function order(method: string, headers: readonly string[] = [], body = ''): string {
  const lines = [
    `${method} sip:bob@${bob.hostPort} SIP/2.0`,
    'from: <sip:alice@localhost>',
    `contact: <sip:sbc@${engine.udp.address}:${engine.udp.port}>`,
    ...headers,
    ...(body === '' ? [] : ['content-type: application/sdp']),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

function sendOut(method: string, headers: readonly string[] = [], body = ''): Promise<Frame> {
  return application.command('sip||', order(method, headers, body))
}

function contact(user = 'bob'): readonly [string, string] {
  return ['Contact', `<sip:${user}@${bob.hostPort}>`]
}

function counters(): Readonly<Record<string, number>> {
  return engine.engine.counters
}

describe('an INVITE of the application', () => {
  it('is completed by the engine, and told back as it went out', async () => {
    const sent = await sendOut('INVITE', ['x-mine: 1'], sdp)
    const { message } = await bob.request('INVITE')
    expect(sent.tokens[0]).toBe('OK')
    expect(sent.tokens.slice(3, 6)).toEqual(['udp', '127.0.0.1', String(engine.udp.port)])
    expect(sent.tokens[8]).toBe('Msg sent:')
    expect(sent.text).toBe(message.text)
    expect([...message.headers()].map(([name]) => name)).toEqual([
      'Via',
      'Max-Forwards',
      'From',
      'To',
      'Call-ID',
      'CSeq',
      'Contact',
      'x-mine',
      'Content-Type',
      'Content-Length',
    ])
    expect(message.get('Via')).toMatch(/^SIP\/2\.0\/UDP 127\.0\.0\.1:\d+;branch=z9hG4bK[-0-9a-f]{36};rport$/)
    expect(message.get('From')).toMatch(/^<sip:alice@127\.0\.0\.1:\d+>;tag=[0-9a-f]{12}$/)
    expect(message.get('To')).toBe(`<sip:bob@${bob.hostPort}>`)
    expect(message.get('Max-Forwards')).toBe('70')
  })

  it('is sent again after T1, 2·T1, 4·T1 … over UDP, and given up after 64·T1 with a local 408 (RFC 3261 §17.1.1.2)', async () => {
    const { tokens } = await sendOut('INVITE')
    await bob.request('INVITE')
    for (const wait of [500, 1000, 2000, 4000, 8000]) {
      clock.advance(wait + 10)
      await bob.request('INVITE')
    }
    clock.advance(17_000)
    const { message, transactionId } = await application.response(408)
    expect(message.get('X-Engine-Local')).toBe('timeout')
    expect(transactionId).toBe(tokens[7])
    expect(engine.engine.gauges()['clientTransactions']).toBe(0)
  })

  it('is not sent again once a provisional response is here (RFC 3261 §17.1.1.2)', async () => {
    await sendOut('INVITE')
    answerWith(await bob.request('INVITE'), { status: 180, toTag: 'bob', headers: [contact()] })
    const { dialogId, message } = await application.response(180)
    expect(dialogId).toBe(`${message.callId};from-tag=${message.fromTag}`)
    clock.advance(60_000)
    expect(counters()['retransmitted']).toBeUndefined()
  })

  it('does not tell the application of 100, nor of a response with two Vias (RFC 3261 §8.1.3.3)', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 100 })
    answerWith(arrival, { status: 180, toTag: 'bob', headers: [['Via', 'SIP/2.0/UDP elsewhere;branch=z9hG4bKx']] })
    answerWith(arrival, { status: 183, toTag: 'bob' })
    await application.response(183)
    expect(await application.untaken()).toEqual([])
  })

  it('has its failure acknowledged by the engine, again for each copy, told once (RFC 3261 §17.1.1.2)', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 486, toTag: 'bob' })
    const first = await bob.request('ACK')
    expect(first.message.uri).toBe(arrival.message.uri)
    expect(first.message.toTag).toBe('bob')
    await application.response(486)
    answerWith(arrival, { status: 486, toTag: 'bob' })
    const second = await bob.request('ACK')
    expect(second.message.text).toBe(first.message.text)
    expect(await application.untaken()).toEqual([])
    clock.advance(32_100)
    expect(engine.engine.gauges()['clientTransactions']).toBe(0)
  })

  it('has an ACK of the application for a failure refused, since the engine has sent it', async () => {
    await sendOut('INVITE')
    answerWith(await bob.request('INVITE'), { status: 486, toTag: 'bob' })
    await application.response(486)
    const { tokens } = await application.command('sip||', order('ACK'))
    expect(tokens[0]).toBe('NOK')
    expect(tokens[1]).toContain('ACK for non-success final response is automatically generated')
  })

  it('answered 200 is acknowledged by the application, and a copy of the 200 gets the same ACK (RFC 3261 §13.2.2.4)', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [contact('here')] })
    const { dialogId } = await application.response(200)
    const reply = await application.command(`sip||${dialogId}`, order('ACK'))
    expect(reply.tokens[0]).toBe('OK')
    const ack = await bob.request('ACK')
    expect(ack.message.uri).toBe(`sip:here@${bob.hostPort}`)
    expect(ack.message.cseq).toBe(arrival.message.cseq)
    expect(ack.message.branch).not.toBe(arrival.message.branch)
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [contact('here')] })
    const again = await bob.request('ACK')
    expect(again.message.text).toBe(ack.message.text)
    expect(await application.untaken()).toEqual([])
  })

  it('forked: the first 200 goes to the application, the second is acknowledged and ended by the engine (RFC 3261 §13.2.2.4)', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'one', headers: [contact('one')] })
    answerWith(arrival, { status: 180, toTag: 'two', headers: [contact('two')] })
    await application.response(180)
    await application.response(180)
    expect(engine.engine.gauges()['dialogs']).toBe(2)
    answerWith(arrival, { status: 200, toTag: 'two', headers: [contact('two')] })
    const { dialogId } = await application.response(200)
    await application.command(`sip||${dialogId}`, order('ACK'))
    expect((await bob.request('ACK')).message.toTag).toBe('two')
    answerWith(arrival, { status: 200, toTag: 'one', headers: [contact('one')] })
    expect((await bob.request('ACK')).message.toTag).toBe('one')
    const bye = await bob.request('BYE')
    expect(bye.message.toTag).toBe('one')
    expect(bye.message.uri).toBe(`sip:one@${bob.hostPort}`)
    answerWith(bye, { status: 200 })
    expect(await application.untaken()).toEqual([])
    expect(engine.engine.gauges()['dialogs']).toBe(1)
  })

  it('answered on one fork drops the early dialogs of the others when its time is over (RFC 3261 §13.2.2.4)', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'one', headers: [contact()] })
    answerWith(arrival, { status: 200, toTag: 'two', headers: [contact()] })
    await application.response(200)
    expect(engine.engine.gauges()['dialogs']).toBe(2)
    clock.advance(32_100)
    expect(engine.engine.gauges()['dialogs']).toBe(1)
  })

  it('that fails drops its early dialogs', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'bob', headers: [contact()] })
    await application.response(180)
    answerWith(arrival, { status: 603, toTag: 'bob' })
    await application.response(603)
    expect(engine.engine.gauges()['dialogs']).toBe(0)
  })

  it('cancelled, gives up 64·T1 after the CANCEL when no final response comes (RFC 3261 §9.1)', async () => {
    const { tokens } = await sendOut('INVITE')
    answerWith(await bob.request('INVITE'), { status: 180, toTag: 'bob' })
    await application.response(180)
    const reply = await application.command(`sip|${tokens[7]}|`, order('CANCEL', ['reason: SIP;cause=487']))
    expect(reply.tokens[0]).toBe('OK')
    const cancel = await bob.request('CANCEL')
    expect(cancel.message.get('Reason')).toBe('SIP;cause=487')
    answerWith(cancel, { status: 200 })
    expect(await application.untaken()).toEqual([])
    clock.advance(32_100)
    expect((await application.response(408)).message.get('X-Engine-Local')).toBe('timeout')
  })

  it('cancelled when a 200 is on its way is handed to the application, to acknowledge and end', async () => {
    const { tokens } = await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'bob' })
    await application.response(180)
    await application.command(`sip|${tokens[7]}|`, order('CANCEL'))
    await bob.request('CANCEL')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [contact()] })
    const { dialogId } = await application.response(200)
    await application.command(`sip||${dialogId}`, order('ACK'))
    await bob.request('ACK')
    await application.command(`sip||${dialogId}`, order('BYE'))
    answerWith(await bob.request('BYE'), { status: 200 })
    await application.response(200)
    expect(engine.engine.gauges()['dialogs']).toBe(0)
  })

  it('cannot be cancelled after its final response, nor by an application that has not sent it', async () => {
    const { tokens } = await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    const other = await ApplicationProbe.serving(engine.port, [])
    expect((await other.command(`sip|${tokens[7]}|`, order('CANCEL'))).tokens[0]).toBe('NOK')
    other.close()
    answerWith(arrival, { status: 480, toTag: 'bob' })
    await application.response(480)
    const reply = await application.command(`sip|${tokens[7]}|`, order('CANCEL'))
    expect(reply.tokens).toEqual(['NOK', `unable to cancel unknown transaction id: ${tokens[7]}`])
  })

  it('of an application that leaves is cancelled, and a 200 that crosses is acknowledged and ended', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'bob', headers: [contact()] })
    await application.response(180)
    application.close()
    await bob.request('CANCEL')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [contact()] })
    await bob.request('ACK')
    answerWith(await bob.request('BYE'), { status: 200 })
    expect(engine.engine.gauges()['dialogs']).toBe(0)
  })

  it('goes on after a challenge with the Call-ID, From tag and CSeq it is given (RFC 3261 §8.1.3.5)', async () => {
    const { text } = await sendOut('INVITE')
    const first = await bob.request('INVITE')
    answerWith(first, { status: 401, toTag: 'bob' })
    await application.response(401)
    const from = /^From: .*$/m.exec(text)?.[0] ?? ''
    const given = [`call-id: ${first.message.callId}`, 'CSeq: 2 INVITE', 'Authorization: Digest x="y"']
    const again = order('INVITE', given).replace(/^from: .*$/m, from.trim())
    await application.command('sip||', again)
    const second = await bob.request('INVITE')
    expect(second.message.callId).toBe(first.message.callId)
    expect(second.message.fromTag).toBe(first.message.fromTag)
    expect(second.message.cseq).toBe(2)
    answerWith(second, { status: 200, toTag: 'bob', headers: [contact()] })
    await application.response(200)
    expect(engine.engine.gauges()['dialogs']).toBe(1)
  })

  it('that comes back to the engine is a loop and gets 482', async () => {
    const reply = await application.command(
      `sip|||sip:${engine.udp.address}:${engine.udp.port}`,
      order('INVITE', ['route: <sip:192.0.2.1;lr>']),
    )
    expect(reply.tokens[0]).toBe('OK')
    await application.response(482)
  })
})

describe('the way of a request', () => {
  it('is the fifth token when there is one, and no Route is written', async () => {
    await application.command(`sip|||sip:${bob.hostPort}`, order('OPTIONS').replace(bob.hostPort, 'far.example'))
    const { message } = await bob.request('OPTIONS')
    expect(message.uri).toBe('sip:bob@far.example')
    expect(message.has('Route')).toBe(false)
  })

  it('is the first Route of the application (RFC 3261 §8.1.2)', async () => {
    const text = order('OPTIONS', [`route: <sip:${bob.hostPort};lr>, <sip:next.example;lr>`])
    await application.command('sip||', text.replace(`bob@${bob.hostPort}`, 'bob@far.example'))
    const { message } = await bob.request('OPTIONS')
    expect(message.uri).toBe('sip:bob@far.example')
    expect(message.values('Route')).toEqual([`<sip:${bob.hostPort};lr>`, '<sip:next.example;lr>'])
  })

  it('begins at the listener whose address and port the Contact names', async () => {
    const second = await engine.engine.open({ name: 'second', transport: 'UDP', address: '127.0.0.1', port: 0 })
    const text = order('OPTIONS').replace(`:${engine.udp.port}>`, `:${second.port}>`)
    const { tokens } = await application.command('sip||', text)
    expect(tokens[5]).toBe(String(second.port))
    const { message } = await bob.request('OPTIONS')
    expect(message.get('Via')).toContain(`127.0.0.1:${second.port};`)
  })

  it('over a transport without a listener is refused', async () => {
    const tls = await application.command('sip|||sip:127.0.0.1;transport=tls', order('OPTIONS'))
    expect(tls.tokens).toEqual(['NOK', 'requested protocol/transport not available'])
    const v6 = await application.command('sip|||sip:[::1]:5060', order('OPTIONS'))
    expect(v6.tokens).toEqual(['NOK', 'requested protocol/transport not available'])
  })

  it('to a host that has no address fails as a transport error does (RFC 3261 §8.1.3.1)', async () => {
    const { tokens } = await application.command('sip|||sip:no-such-host.invalid', order('OPTIONS'))
    expect(tokens[0]).toBe('OK')
    const { message, transactionId } = await application.response(503)
    expect(message.get('X-Engine-Local')).toBe('transport')
    expect(transactionId).toBe(tokens[7])
  })

  it('in a dialog follows the route set of the 200, and a strict router gets the Request-URI (RFC 3261 §12.2.1.1)', async () => {
    for (const [router, lr] of [
      ['loose', ';lr'],
      ['strict', ''],
    ] as const) {
      await sendOut('INVITE')
      const arrival = await bob.request('INVITE')
      const routes = ['Record-Route', `<sip:last.example;lr>, <sip:${router}@${bob.hostPort}${lr}>`] as const
      const headers = [routes, ['Contact', '<sip:bob@target.example>'] as const]
      answerWith(arrival, { status: 200, toTag: 'bob', headers })
      const { dialogId } = await application.response(200)
      await application.command(`sip||${dialogId}`, order('ACK'))
      const { message } = await bob.request('ACK')
      const first = `<sip:${router}@${bob.hostPort}${lr}>`
      expect([message.uri, message.values('Route')]).toEqual(
        lr === ''
          ? [`sip:strict@${bob.hostPort}`, ['<sip:last.example;lr>', '<sip:bob@target.example>']]
          : ['sip:bob@target.example', [first, '<sip:last.example;lr>']],
      )
    }
  })

  it('out of the engine is refused when the order cannot be a message', async () => {
    const refusals = [
      ['sip||', 'INVITE sip:placeholder SIP/2.0\r\n\r\n', 'invalid request-uri: sip:placeholder'],
      ['sip||', order('MESSAGE').concat('hello'), 'missing content-type'],
      ['sip||unknown;from-tag=1', order('INFO'), 'Server error: unable to find dialog for dialog id provided'],
      ['proxy|x||', order('INVITE'), 'proxy is not supported'],
    ] as const
    for (const [leader, text, reason] of refusals) {
      expect((await application.command(leader, text)).tokens).toEqual(['NOK', reason])
    }
    const injected = await application.command('sip||', order('OPTIONS', ['x-evil: a\rVia: b']))
    expect(injected.tokens[0]).toBe('NOK')
  })
})

describe('a request of the application in a dialog', () => {
  async function establish(): Promise<{ dialogId: string; callId: string; ourTag: string }> {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [contact()] })
    const { dialogId } = await application.response(200)
    await application.command(`sip||${dialogId}`, order('ACK'))
    await bob.request('ACK')
    return { dialogId, callId: arrival.message.callId, ourTag: arrival.message.fromTag }
  }

  it('counts CSeq up by one, whatever the application says', async () => {
    const { dialogId } = await establish()
    await application.command(`sip||${dialogId}`, order('INFO', ['cseq: 77 INFO']))
    expect((await bob.request('INFO')).message.cseq).toBe(2)
    await application.command(`sip||${dialogId}`, order('INFO'))
    expect((await bob.request('INFO')).message.cseq).toBe(3)
  })

  it('INVITE while another is under way is refused (RFC 3261 §14.1)', async () => {
    const { dialogId } = await establish()
    await application.command(`sip||${dialogId}`, order('INVITE'))
    await bob.request('INVITE')
    const { tokens } = await application.command(`sip||${dialogId}`, order('INVITE'))
    expect(tokens).toEqual(['NOK', 'Server error: another INVITE is in progress in this dialog'])
  })

  it('INVITE or UPDATE that succeeds takes the Contact of the answer as the new target (RFC 3261 §12.2.1.2)', async () => {
    const { dialogId } = await establish()
    await application.command(`sip||${dialogId}`, order('UPDATE'))
    answerWith(await bob.request('UPDATE'), { status: 200, headers: [contact('moved')] })
    await application.response(200)
    await application.command(`sip||${dialogId}`, order('INFO'))
    expect((await bob.request('INFO')).message.uri).toBe(`sip:moved@${bob.hostPort}`)
  })

  it('INVITE that fails leaves the dialog as it was (RFC 3261 §14.1)', async () => {
    const { dialogId } = await establish()
    await application.command(`sip||${dialogId}`, order('INVITE'))
    answerWith(await bob.request('INVITE'), { status: 488, headers: [contact('moved')] })
    await bob.request('ACK')
    await application.response(488)
    const ack = await application.command(`sip||${dialogId}`, order('ACK'))
    expect(ack.tokens[0]).toBe('NOK')
    await application.command(`sip||${dialogId}`, order('INFO'))
    expect((await bob.request('INFO')).message.uri).toBe(`sip:bob@${bob.hostPort}`)
  })

  it('BYE that is challenged may be sent again; otherwise the dialog ends with its time', async () => {
    const { dialogId } = await establish()
    await application.command(`sip||${dialogId}`, order('BYE'))
    answerWith(await bob.request('BYE'), { status: 407 })
    await application.response(407)
    await application.command(`sip||${dialogId}`, order('BYE', ['Proxy-Authorization: Digest x="y"']))
    answerWith(await bob.request('BYE'), { status: 407 })
    await application.response(407)
    expect(engine.engine.gauges()['dialogs']).toBe(1)
    clock.advance(32_100)
    expect(engine.engine.gauges()['dialogs']).toBe(0)
  })

  it('BYE without an answer ends the dialog all the same', async () => {
    const { dialogId } = await establish()
    await application.command(`sip||${dialogId}`, order('BYE'))
    await bob.request('BYE')
    clock.advance(32_100)
    await application.response(408)
    expect(engine.engine.gauges()['dialogs']).toBe(0)
  })

  it('UPDATE works while the dialog is early (RFC 3311 §5.1)', async () => {
    await sendOut('INVITE')
    const arrival = await bob.request('INVITE')
    answerWith(arrival, { status: 183, toTag: 'bob', headers: [contact()] })
    const { dialogId } = await application.response(183)
    await application.command(`sip||${dialogId}`, order('UPDATE'))
    const update = await bob.request('UPDATE')
    expect(update.message.toTag).toBe('bob')
    expect(update.message.cseq).toBe(arrival.message.cseq + 1)
  })

  it('is let through from the peer at any address, though its source is unknown', async () => {
    const { callId, ourTag } = await establish()
    const elsewhere = await SipPeer.udp()
    const bye = { method: 'BYE', uri: `sip:sbc@127.0.0.1:${engine.udp.port}`, callId, fromTag: 'bob', toTag: ourTag }
    elsewhere.send(requestText(elsewhere, bye), engine.udp.port)
    expect((await application.request('BYE')).dialogId).toBe(`${callId};from-tag=${ourTag}`)
    await elsewhere.close()
  })
})
