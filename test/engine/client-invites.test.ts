import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ApplicationProbe } from './application.ts'
import { Calling } from './calling.ts'
import { answerWith, requestText, sdp } from './sip-peer.ts'

let calling: Calling

beforeEach(async () => {
  calling = await Calling.begin()
})

afterEach(() => calling.end())

describe('an INVITE of the application', () => {
  it('is completed by the engine, and told back as it went out', async () => {
    const sent = await calling.send('INVITE', { headers: ['x-mine: 1'], body: sdp })
    const { message } = await calling.bob.request('INVITE')
    expect(sent.tokens[0]).toBe('OK')
    expect(sent.tokens.slice(3, 6)).toEqual(['udp', '127.0.0.1', String(calling.engine.udp.port)])
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
    expect(message.get('To')).toBe(`<sip:bob@${calling.bob.hostPort}>`)
    expect(message.get('Max-Forwards')).toBe('70')
  })

  it('is sent again after T1, 2·T1, 4·T1 … over UDP, and given up after 64·T1 with a local 408 (RFC 3261 §17.1.1.2)', async () => {
    const { tokens } = await calling.send('INVITE')
    await calling.bob.request('INVITE')
    for (const wait of [500, 1000, 2000, 4000, 8000]) {
      calling.clock.advance(wait + 10)
      await calling.bob.request('INVITE')
    }
    calling.clock.advance(17_000)
    const { message, transactionId } = await calling.application.response(408)
    expect(message.get('X-Engine-Local')).toBe('timeout')
    expect(transactionId).toBe(tokens[7])
    expect(calling.gauges['clientTransactions']).toBe(0)
  })

  it('is not sent again once a provisional response is here (RFC 3261 §17.1.1.2)', async () => {
    await calling.send('INVITE')
    answerWith(await calling.bob.request('INVITE'), { status: 180, toTag: 'bob', headers: [calling.contact()] })
    const { dialogId, message } = await calling.application.response(180)
    expect(dialogId).toBe(`${message.callId};from-tag=${message.fromTag}`)
    calling.clock.advance(60_000)
    expect(calling.counters['retransmitted']).toBeUndefined()
  })

  it('does not tell the application of 100, nor of a response with two Vias (RFC 3261 §8.1.3.3)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 100 })
    answerWith(arrival, { status: 180, toTag: 'bob', headers: [['Via', 'SIP/2.0/UDP elsewhere;branch=z9hG4bKx']] })
    answerWith(arrival, { status: 183, toTag: 'bob' })
    await calling.application.response(183)
    expect(await calling.application.untaken()).toEqual([])
  })

  it('tells of 100 an application that asked for it by routing `trying`, which is no method', async () => {
    await calling.application.command('route|trying')
    await calling.send('INVITE')
    answerWith(await calling.bob.request('INVITE'), { status: 100 })
    expect((await calling.application.response(100)).dialogId).toBe('')
    const uri = `sip:b@127.0.0.1:${calling.engine.udp.port}`
    calling.bob.send(requestText(calling.bob, { method: 'TRYING', uri, callId: 'no-method' }), calling.engine.udp.port)
    const { message } = await calling.bob.response(501)
    expect(message.values('Allow')).not.toContain('TRYING')
  })

  it('has its failure acknowledged by the engine, again for each copy, told once (RFC 3261 §17.1.1.2)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 486, toTag: 'bob' })
    const first = await calling.bob.request('ACK')
    expect(first.message.uri).toBe(arrival.message.uri)
    expect(first.message.toTag).toBe('bob')
    await calling.application.response(486)
    answerWith(arrival, { status: 486, toTag: 'bob' })
    const second = await calling.bob.request('ACK')
    expect(second.message.text).toBe(first.message.text)
    expect(await calling.application.untaken()).toEqual([])
    calling.clock.advance(32_100)
    expect(calling.gauges['clientTransactions']).toBe(0)
  })

  it('has an ACK of the application for a failure refused, since the engine has sent it', async () => {
    await calling.send('INVITE')
    answerWith(await calling.bob.request('INVITE'), { status: 486, toTag: 'bob' })
    await calling.application.response(486)
    const { tokens } = await calling.application.command('sip||', calling.order('ACK'))
    expect(tokens[0]).toBe('NOK')
    expect(tokens[1]).toContain('ACK for non-success final response is automatically generated')
  })

  it('answered 200 is acknowledged by the application, and a copy of the 200 gets the same ACK (RFC 3261 §13.2.2.4)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [calling.contact('here')] })
    const { dialogId } = await calling.application.response(200)
    const reply = await calling.send('ACK', { dialogId })
    expect(reply.tokens[0]).toBe('OK')
    const ack = await calling.bob.request('ACK')
    expect(ack.message.uri).toBe(`sip:here@${calling.bob.hostPort}`)
    expect(ack.message.cseq).toBe(arrival.message.cseq)
    expect(ack.message.branch).not.toBe(arrival.message.branch)
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [calling.contact('here')] })
    const again = await calling.bob.request('ACK')
    expect(again.message.text).toBe(ack.message.text)
    expect(await calling.application.untaken()).toEqual([])
  })

  it('forked: the first 200 goes to the application, the second is acknowledged and ended by the engine (RFC 3261 §13.2.2.4)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'one', headers: [calling.contact('one')] })
    answerWith(arrival, { status: 180, toTag: 'two', headers: [calling.contact('two')] })
    await calling.application.response(180)
    await calling.application.response(180)
    expect(calling.gauges['dialogs']).toBe(2)
    answerWith(arrival, { status: 200, toTag: 'two', headers: [calling.contact('two')] })
    const { dialogId } = await calling.application.response(200)
    await calling.send('ACK', { dialogId })
    expect((await calling.bob.request('ACK')).message.toTag).toBe('two')
    answerWith(arrival, { status: 200, toTag: 'one', headers: [calling.contact('one')] })
    expect((await calling.bob.request('ACK')).message.toTag).toBe('one')
    const bye = await calling.bob.request('BYE')
    expect(bye.message.toTag).toBe('one')
    expect(bye.message.uri).toBe(`sip:one@${calling.bob.hostPort}`)
    answerWith(bye, { status: 200 })
    expect(await calling.application.untaken()).toEqual([])
    expect(calling.gauges['dialogs']).toBe(1)
  })

  it('forked without end: 32 forks may ring, and any of them all may answer (RFC 3261 §13.2.2.4)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    const ring = (toTag: string) => answerWith(arrival, { status: 180, toTag, headers: [calling.contact(toTag)] })
    for (let count = 1; count <= 32; count++) {
      ring(`fork-${count}`)
      expect((await calling.application.response(180)).message.toTag).toBe(`fork-${count}`)
    }
    ring('one-too-many')
    ring('fork-32')
    expect((await calling.application.response(180)).message.toTag).toBe('fork-32')
    expect(calling.gauges['dialogs']).toBe(32)
    answerWith(arrival, { status: 200, toTag: 'one-too-many', headers: [calling.contact()] })
    const { dialogId } = await calling.application.response(200)
    await calling.send('ACK', { dialogId })
    expect((await calling.bob.request('ACK')).message.toTag).toBe('one-too-many')
    answerWith(arrival, { status: 200, toTag: 'another', headers: [calling.contact()] })
    expect((await calling.bob.request('ACK')).message.toTag).toBe('another')
    expect((await calling.bob.request('BYE')).message.toTag).toBe('another')
    expect(await calling.application.untaken()).toEqual([])
  })

  it('answered on one fork drops the early dialogs of the others when its time is over (RFC 3261 §13.2.2.4)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'one', headers: [calling.contact()] })
    answerWith(arrival, { status: 200, toTag: 'two', headers: [calling.contact()] })
    await calling.application.response(200)
    expect(calling.gauges['dialogs']).toBe(2)
    calling.clock.advance(32_100)
    expect(calling.gauges['dialogs']).toBe(1)
  })

  it('that fails drops its early dialogs', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'bob', headers: [calling.contact()] })
    await calling.application.response(180)
    answerWith(arrival, { status: 603, toTag: 'bob' })
    await calling.application.response(603)
    expect(calling.gauges['dialogs']).toBe(0)
  })

  it('cancelled, gives up 64·T1 after the CANCEL when no final response comes (RFC 3261 §9.1)', async () => {
    const { tokens } = await calling.send('INVITE')
    answerWith(await calling.bob.request('INVITE'), { status: 180, toTag: 'bob' })
    await calling.application.response(180)
    const reply = await calling.cancel(tokens[7], ['reason: SIP;cause=487'])
    expect(reply.tokens[0]).toBe('OK')
    const cancel = await calling.bob.request('CANCEL')
    expect(cancel.message.get('Reason')).toBe('SIP;cause=487')
    answerWith(cancel, { status: 200 })
    expect(await calling.application.untaken()).toEqual([])
    calling.clock.advance(32_100)
    expect((await calling.application.response(408)).message.get('X-Engine-Local')).toBe('timeout')
  })

  it('has its branch, Request-URI and Route in its CANCEL, and in the ACK of its failure (RFC 3261 §9.1, §17.1.1.3)', async () => {
    const route = `route: <sip:${calling.bob.hostPort};lr>, <sip:192.0.2.7;lr>`
    const { tokens } = await calling.send('INVITE', { headers: [route] })
    const invite = await calling.bob.request('INVITE')
    answerWith(invite, { status: 180, toTag: 'bob' })
    await calling.application.response(180)
    await calling.cancel(tokens[7])
    const cancel = await calling.bob.request('CANCEL')
    answerWith(cancel, { status: 200 })
    answerWith(invite, { status: 487, toTag: 'bob' })
    const ack = await calling.bob.request('ACK')
    for (const { message } of [cancel, ack]) {
      expect(message.uri).toBe(invite.message.uri)
      for (const name of ['Via', 'Route', 'From', 'Call-ID']) {
        expect(message.lines(name)).toEqual(invite.message.lines(name))
      }
    }
    expect([cancel.message.get('To'), cancel.message.get('CSeq')]).toEqual([invite.message.get('To'), '1 CANCEL'])
    expect([ack.message.toTag, ack.message.get('CSeq')]).toEqual(['bob', '1 ACK'])
  })

  it('cancelled when a 200 is on its way is handed to the application, to acknowledge and end', async () => {
    const { tokens } = await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'bob' })
    await calling.application.response(180)
    await calling.cancel(tokens[7])
    await calling.bob.request('CANCEL')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [calling.contact()] })
    const { dialogId } = await calling.application.response(200)
    await calling.send('ACK', { dialogId })
    await calling.bob.request('ACK')
    await calling.send('BYE', { dialogId })
    answerWith(await calling.bob.request('BYE'), { status: 200 })
    await calling.application.response(200)
    expect(calling.gauges['dialogs']).toBe(0)
  })

  it('cannot be cancelled after its final response, nor by an application that has not sent it', async () => {
    const { tokens } = await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    const other = await ApplicationProbe.serving(calling.engine.port, [])
    expect((await other.command(`sip|${tokens[7]}|`, calling.order('CANCEL'))).tokens[0]).toBe('NOK')
    other.close()
    answerWith(arrival, { status: 480, toTag: 'bob' })
    await calling.application.response(480)
    const reply = await calling.cancel(tokens[7])
    expect(reply.tokens).toEqual(['NOK', `unable to cancel unknown transaction id: ${tokens[7]}`])
  })

  it('of an application that leaves is cancelled, and a 200 that crosses is acknowledged and ended', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 180, toTag: 'bob', headers: [calling.contact()] })
    await calling.application.response(180)
    calling.application.close()
    await calling.bob.request('CANCEL')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [calling.contact()] })
    await calling.bob.request('ACK')
    answerWith(await calling.bob.request('BYE'), { status: 200 })
    expect(calling.gauges['dialogs']).toBe(0)
  })

  it('goes on after a challenge with the Call-ID, From tag and CSeq it is given (RFC 3261 §8.1.3.5)', async () => {
    const { text } = await calling.send('INVITE')
    const first = await calling.bob.request('INVITE')
    answerWith(first, { status: 401, toTag: 'bob' })
    await calling.application.response(401)
    const from = /^From: .*$/m.exec(text)?.[0] ?? ''
    const given = [`call-id: ${first.message.callId}`, 'CSeq: 2 INVITE', 'Authorization: Digest x="y"']
    const again = calling.order('INVITE', given).replace(/^from: .*$/m, from.trim())
    await calling.application.command('sip||', again)
    const second = await calling.bob.request('INVITE')
    expect(second.message.callId).toBe(first.message.callId)
    expect(second.message.fromTag).toBe(first.message.fromTag)
    expect(second.message.cseq).toBe(2)
    answerWith(second, { status: 200, toTag: 'bob', headers: [calling.contact()] })
    await calling.application.response(200)
    expect(calling.gauges['dialogs']).toBe(1)
  })

  it('that comes back to the engine is a loop and gets 482', async () => {
    const reply = await calling.application.command(
      `sip|||sip:${calling.engine.udp.address}:${calling.engine.udp.port}`,
      calling.order('INVITE', ['route: <sip:192.0.2.1;lr>']),
    )
    expect(reply.tokens[0]).toBe('OK')
    await calling.application.response(482)
  })
})

describe('another request of the application outside of a dialog', () => {
  it('that is given up is not sent again, and nobody is told of its end (RFC 3261 §9.1: no CANCEL)', async () => {
    const { tokens } = await calling.send('OPTIONS')
    await calling.bob.request('OPTIONS')
    calling.clock.advance(500)
    const again = await calling.bob.request('OPTIONS')
    const given = await calling.cancel(tokens[7])
    expect(given.tokens).toEqual(['NOK', 'no CANCEL for OPTIONS: it is not sent again'])
    expect(calling.gauges['clientTransactions']).toBe(0)
    answerWith(again, { status: 200 })
    calling.clock.advance(64_000)
    await calling.send('INFO')
    expect((await calling.bob.next(() => true)).message.method).toBe('INFO')
    expect(await calling.application.untaken()).toEqual([])
  })
})
