import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ApplicationProbe } from './application.ts'
import { Called, type RequestOptions } from './called.ts'
import { sdp } from './sip-peer.ts'

let called: Called

beforeEach(async () => {
  called = await Called.begin(['invite', 'options', 'ack', 'bye', 'update', 'info'])
})

afterEach(() => called.end())

describe('an INVITE from the network', () => {
  it('gets 100 at once and reaches the application with the address it came in on (RFC 3261 §17.2.1)', async () => {
    const { tokens, message, dialogId } = await called.invite()
    await called.alice.response(100)
    expect(tokens.slice(1, 3)).toEqual(['sip', 'network'])
    expect(tokens.slice(4, 7)).toEqual(['udp', '127.0.0.1', String(called.alice.port)])
    expect(tokens.slice(10)).toEqual(['127.0.0.1', String(called.engine.udp.port)])
    expect(dialogId).toBe('')
    expect(message.body).toBe(sdp)
  })

  it('that comes again gets the last provisional response again, and reaches the application once (RFC 3261 §17.2.1)', async () => {
    const branch = 'z9hG4bK-again'
    const { transactionId } = await called.invite({ branch })
    await called.alice.response(100)
    await called.application.respond(transactionId, 'SIP/2.0 180 Ringing\r\n\r\n')
    await called.alice.response(180)
    called.send('INVITE', { branch, body: sdp })
    await called.alice.response(180)
    expect(await called.application.untaken()).toEqual([])
    expect(called.gauges['serverTransactions']).toBe(1)
  })

  it('is answered 200 again and again, doubling from T1 to T2, until the ACK comes (RFC 3261 §13.3.1.4)', async () => {
    const { transactionId } = await called.invite()
    const { tokens } = await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(tokens[8]).toBe('call;from-tag=a-tag')
    const { message } = await called.alice.response(200)
    for (const wait of [500, 1000, 2000, 4000, 4000]) {
      called.clock.advance(wait - 20)
      const before = called.alice.arrived.length
      called.clock.advance(30)
      expect((await called.alice.response(200)).message.toTag).toBe(message.toTag)
      expect(called.alice.arrived).toHaveLength(before + 1)
    }
    called.send('ACK', { toTag: message.toTag })
    const ack = await called.application.request('ACK')
    expect(ack.transactionId).toBe(transactionId)
    expect(ack.dialogId).toBe('call;from-tag=a-tag')
    const repeated = called.counters['retransmitted']
    called.clock.advance(20_000)
    expect(called.counters['retransmitted']).toBe(repeated)
    // The ACK has no key of its own: another copy of it is nobody's.
    called.send('ACK', { toTag: message.toTag })
    called.send('OPTIONS', { callId: 'later' })
    await called.application.request('OPTIONS')
    expect(await called.application.untaken()).toEqual([])
  })

  it('whose 200 is never acknowledged is ended by a BYE, and the application is told (RFC 3261 §13.3.1.4)', async () => {
    const { transactionId } = await called.invite()
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    called.clock.advance(32_100)
    const bye = await called.alice.request('BYE')
    expect(bye.message.get('Reason')).toBe('SIP;cause=200;text="ACK timeout"')
    const notice = await called.application.request('BYE')
    expect(notice.origin).toBe('application')
    expect(notice.transactionId).toBe('unsolicited')
    expect(notice.dialogId).toBe('call;from-tag=a-tag')
    expect(called.gauges['dialogs']).toBe(0)
  })

  it('that is answered 486 repeats it until the ACK, which ends there (RFC 3261 §17.2.1, Timers G, H and I)', async () => {
    const branch = 'z9hG4bK-busy'
    const { transactionId } = await called.invite({ branch })
    await called.application.respond(transactionId, 'SIP/2.0 486 Busy Here\r\n\r\n')
    const { message } = await called.alice.response(486)
    called.clock.advance(510)
    await called.alice.response(486)
    called.send('ACK', { branch, toTag: message.toTag, contact: false })
    called.send('OPTIONS', { callId: 'later' })
    const options = await called.application.request('OPTIONS')
    expect(await called.application.untaken()).toEqual([])
    const count = called.counters['retransmitted']
    called.clock.advance(4000)
    expect(called.counters['retransmitted']).toBe(count)
    await called.application.respond(options.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    called.clock.advance(33_000)
    expect(called.gauges).toMatchObject({ serverTransactions: 0, dialogs: 0 })
  })

  it('keeps the tag the application chose in every answer, and makes it the local tag of the dialog', async () => {
    const { transactionId, message } = await called.invite()
    const to = `To: ${message.get('To')};tag=chosen\r\n`
    await called.application.respond(transactionId, `SIP/2.0 183 Session Progress\r\n${to}\r\n`)
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await called.alice.response(183)).message.toTag).toBe('chosen')
    expect((await called.alice.response(200)).message.toTag).toBe('chosen')
    expect(called.gauges['dialogs']).toBe(1)
  })

  it('copies Record-Route, ignores that of the application, and its Via and Content-Length too (RFC 3261 §12.1.1)', async () => {
    const { transactionId } = await called.invite({
      headers: ['Record-Route: <sip:p1.example;lr>, <sip:p2.example;lr>'],
    })
    await called.application.respond(
      transactionId,
      'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP evil\r\nRecord-Route: <sip:evil>\r\nContent-Length: 99\r\nX-Ours: yes\r\n\r\nv=0\r\n',
    )
    const { message } = await called.alice.response(200)
    expect(message.values('Record-Route')).toEqual(['<sip:p1.example;lr>', '<sip:p2.example;lr>'])
    expect(message.values('Via')).toHaveLength(1)
    expect(message.get('Content-Length')).toBe('5')
    expect(message.get('Content-Type')).toBe('application/sdp')
    expect(message.get('X-Ours')).toBe('yes')
    const names = [...message.headers()].map(([name]) => name)
    expect(names).toEqual([
      'Via',
      'Record-Route',
      'From',
      'To',
      'Call-ID',
      'CSeq',
      'Contact',
      'X-Ours',
      'Content-Type',
      'Content-Length',
    ])
  })

  it('cancelled gets 487 with the tag of the 200 to CANCEL, and later answers are refused (RFC 3261 §9.2)', async () => {
    const branch = 'z9hG4bK-cancel'
    const { transactionId } = await called.invite({ branch })
    called.send('CANCEL', { branch, contact: false })
    const ok = await called.alice.response(200, 'CANCEL')
    const terminated = await called.alice.response(487, 'INVITE')
    expect(ok.message.toTag).toBe(terminated.message.toTag)
    const cancel = await called.application.request('CANCEL')
    expect(cancel.transactionId).toBe(transactionId)
    const late = await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(late.tokens).toEqual(['NOK', 'Response not sent due to unknown transaction'])
  })

  it('cancelled while it rings keeps the tag the application chose, in the 200 to CANCEL too (RFC 3261 §9.2)', async () => {
    const branch = 'z9hG4bK-cancel-ringing'
    const { transactionId } = await called.invite({ branch })
    await called.application.respond(
      transactionId,
      'SIP/2.0 180 Ringing\r\nTo: <sip:bob@example.com>;tag=chosen\r\n\r\n',
    )
    await called.alice.response(180)
    called.send('CANCEL', { branch, contact: false })
    expect((await called.alice.response(200, 'CANCEL')).message.toTag).toBe('chosen')
    expect((await called.alice.response(487, 'INVITE')).message.toTag).toBe('chosen')
  })

  it('is not cancelled by a CANCEL that has its Call-ID but not its branch (RFC 3261 §9.2)', async () => {
    await called.invite()
    called.send('CANCEL', { branch: 'z9hG4bK-of-somebody-else', contact: false })
    await called.alice.response(481, 'CANCEL')
    expect(await called.application.untaken()).toEqual([])
  })

  it('after its 200 is not cancelled any more (RFC 3261 §9.2)', async () => {
    const branch = 'z9hG4bK-late-cancel'
    const { transactionId } = await called.invite({ branch })
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { message } = await called.alice.response(200, 'INVITE')
    called.send('CANCEL', { branch, contact: false })
    expect((await called.alice.response(200, 'CANCEL')).message.toTag).toBe(message.toTag)
    expect(await called.application.untaken()).toEqual([])
    expect(called.gauges['dialogs']).toBe(1)
  })

  it.each<[title: string, options: RequestOptions, status: number, check: [name: string, value: string] | undefined]>([
    ['with Max-Forwards 0 gets 483 (RFC 3261 §16.3)', { maxForwards: 0 }, 483, undefined],
    ['without Contact gets 400 (RFC 3261 §8.1.1.8)', { contact: false }, 400, undefined],
    ['with a star for Contact gets 400 (RFC 3261 §8.1.1.8)', { contact: '*' }, 400, undefined],
    ['with two Contacts gets 400 (RFC 3261 §8.1.1.8)', { contact: '<sip:a@h>, <sip:b@h>' }, 400, undefined],
    ['whose Contact is no SIP URI gets 400 (RFC 3261 §8.1.1.8)', { contact: '<tel:+1>' }, 400, undefined],
    ['with the To tag of no dialog gets 481 (RFC 3261 §12.2.2)', { toTag: 'unknown' }, 481, undefined],
    ['to a URI of no telephone gets 416 (RFC 3261 §8.2.2.1)', { uri: 'http://example.com' }, 416, undefined],
    [
      'that requires what is not known gets 420 (RFC 3261 §8.2.2.3)',
      { headers: ['Require: timer, 100rel, replaces'] },
      420,
      ['Unsupported', 'replaces'],
    ],
  ])('%s', async (_title, options, status, check) => {
    called.send('INVITE', { ...options, body: sdp })
    const { message } = await called.alice.response(status)
    expect(message.toTag).not.toBe('')
    if (check !== undefined) expect(message.get(check[0])).toBe(check[1])
    expect(await called.application.untaken()).toEqual([])
  })

  it('without any application is answered 503 with Retry-After (RFC 3261 §21.5.4)', async () => {
    called.application.close()
    await expect.poll(() => called.gauges['applications']).toBe(0)
    called.send('INVITE', { body: sdp })
    expect((await called.alice.response(503)).message.get('Retry-After')).toBe('5')
  })

  it('that the application leaves unanswered when it goes is answered 503', async () => {
    await called.invite()
    called.application.close()
    await called.alice.response(503)
    expect(called.gauges['dialogs']).toBe(0)
  })
})

describe('a request in a dialog', () => {
  async function establish(): Promise<{ toTag: string; inviteId: string }> {
    const { transactionId } = await called.invite()
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { message } = await called.alice.response(200)
    called.send('ACK', { toTag: message.toTag })
    await called.application.request('ACK')
    return { toTag: message.toTag, inviteId: transactionId }
  }

  it('comes with the dialog id and without a local address', async () => {
    const { toTag } = await establish()
    called.send('INFO', { toTag, cseq: 2 })
    const { tokens, dialogId } = await called.application.request('INFO')
    expect(dialogId).toBe('call;from-tag=a-tag')
    expect(tokens).toHaveLength(11)
  })

  it('with a lower CSeq than the last is out of order and gets 500 (RFC 3261 §12.2.2)', async () => {
    const { toTag } = await establish()
    called.send('INFO', { toTag, cseq: 5 })
    await called.application.request('INFO')
    called.send('INFO', { toTag, cseq: 4 })
    await called.alice.response(500)
    expect(await called.application.untaken()).toEqual([])
  })

  it('INVITE while one is being answered gets 500 with Retry-After of 0 to 10 (RFC 3261 §14.2)', async () => {
    const { toTag } = await establish()
    called.send('INVITE', { toTag, cseq: 2, body: sdp })
    await called.application.request('INVITE')
    called.send('INVITE', { toTag, cseq: 3, body: sdp })
    const { message } = await called.alice.response(500)
    expect(Number(message.get('Retry-After'))).toBeGreaterThanOrEqual(0)
    expect(Number(message.get('Retry-After'))).toBeLessThanOrEqual(10)
  })

  it('INVITE while ours is under way gets 491 (RFC 3261 §14.2)', async () => {
    const { toTag } = await establish()
    const sent = await called.application.command('sip||call;from-tag=a-tag', 'INVITE sip:placeholder SIP/2.0\r\n\r\n')
    expect(sent.tokens[0]).toBe('OK')
    await called.alice.request('INVITE')
    called.send('INVITE', { toTag, cseq: 2, body: sdp })
    await called.alice.response(491)
  })

  it('UPDATE while one is being answered gets 500 with Retry-After (RFC 3311 §5.2)', async () => {
    const { toTag } = await establish()
    called.send('UPDATE', { toTag, cseq: 2 })
    await called.application.request('UPDATE')
    called.send('UPDATE', { toTag, cseq: 3 })
    expect((await called.alice.response(500)).message.has('Retry-After')).toBe(true)
  })

  it('INVITE that is pending when its peer says BYE gets 487, before the BYE its 200 (RFC 3261 §15.1.2)', async () => {
    const { toTag } = await establish()
    called.send('INVITE', { toTag, cseq: 2, body: sdp })
    const { transactionId } = await called.application.request('INVITE')
    called.send('BYE', { toTag, cseq: 3 })
    expect((await called.alice.response(487)).message.cseq).toBe(2)
    const bye = await called.application.request('BYE')
    const late = await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(late.tokens.slice(0, 2)).toEqual(['NOK', 'Response not sent due to unknown transaction'])
    await called.application.respond(bye.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200, 'BYE')
  })

  it('INVITE that is pending when the ACK of the one before is given up gets 487 at once (RFC 3261 §13.3.1.4)', async () => {
    const { toTag } = await establish()
    called.send('INVITE', { toTag, cseq: 2, body: sdp })
    const { transactionId } = await called.application.request('INVITE')
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200)
    called.send('INVITE', { toTag, cseq: 3, body: sdp })
    await called.application.request('INVITE')
    called.clock.advance(32_100)
    expect((await called.alice.response(487)).message.cseq).toBe(3)
    await called.alice.request('BYE')
  })

  it('INVITE that comes before the ACK of the last one: both 200 are repeated, and each ACK arrives (RFC 3261 §13.3.1.4)', async () => {
    const first = await called.invite()
    await called.application.respond(first.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { toTag } = (await called.alice.response(200)).message
    called.send('INVITE', { toTag, cseq: 2, body: sdp })
    const second = await called.application.request('INVITE')
    await called.application.respond(second.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200)
    called.clock.advance(600)
    const repeated = [await called.alice.response(200), await called.alice.response(200)].map(
      ({ message }) => message.cseq,
    )
    expect(new Set(repeated)).toEqual(new Set([1, 2]))
    called.send('ACK', { toTag, cseq: 2 })
    expect((await called.application.request('ACK')).transactionId).toBe(second.transactionId)
    called.send('ACK', { toTag, cseq: 1 })
    expect((await called.application.request('ACK')).transactionId).toBe(first.transactionId)
    called.clock.advance(40_000)
    expect(called.gauges['dialogs']).toBe(1)
  })

  it('BYE frees the dialog, and what follows gets 481 (RFC 3261 §15.1.2)', async () => {
    const { toTag } = await establish()
    called.send('BYE', { toTag, cseq: 2 })
    const { transactionId } = await called.application.request('BYE')
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200, 'BYE')
    expect(called.gauges['dialogs']).toBe(0)
    called.send('INFO', { toTag, cseq: 3 })
    await called.alice.response(481, 'INFO')
  })

  it('BYE without any application is answered by the engine, and anything else 503', async () => {
    const { toTag } = await establish()
    called.application.close()
    await expect.poll(() => called.gauges['applications']).toBe(0)
    called.send('INFO', { toTag, cseq: 2 })
    await called.alice.response(503, 'INFO')
    expect(called.gauges['dialogs']).toBe(1)
    called.send('BYE', { toTag, cseq: 3 })
    await called.alice.response(200, 'BYE')
    expect(called.gauges['dialogs']).toBe(0)
  })

  it('goes to another application when the one that had the dialog has left', async () => {
    const { toTag } = await establish()
    const successor = await ApplicationProbe.serving(called.engine.port, ['bye'])
    called.application.close()
    await expect.poll(() => called.gauges['applications']).toBe(1)
    called.send('BYE', { toTag, cseq: 2 })
    const { dialogId } = await successor.request('BYE')
    expect(dialogId).toBe('call;from-tag=a-tag')
    successor.close()
  })

  it('PRACK, UPDATE and BYE without a dialog get 481, an unknown method 501 with Allow (RFC 3261 §8.2.1)', async () => {
    for (const method of ['PRACK', 'UPDATE', 'BYE']) {
      called.send(method, { callId: `no-dialog-${method}` })
      await called.alice.response(481, method)
    }
    called.send('DANCE', { callId: 'dance' })
    const { message } = await called.alice.response(501)
    expect(message.values('Allow')).toContain('INVITE')
    called.send('PUBLISH', { callId: 'publish' })
    expect((await called.alice.response(405)).message.values('Allow')).toContain('OPTIONS')
  })
})

describe('a request other than INVITE', () => {
  it('gets 100 after 3.5 s and nothing at all after 32 s (RFC 4320 §4.1, §4.2)', async () => {
    called.send('OPTIONS')
    const { transactionId } = await called.application.request('OPTIONS')
    called.clock.advance(3400)
    expect(called.alice.arrived).toHaveLength(0)
    called.clock.advance(150)
    await called.alice.response(100)
    called.clock.advance(29_000)
    expect(called.gauges['serverTransactions']).toBe(0)
    const late = await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(late.tokens[0]).toBe('NOK')
  })

  it('is never answered 408 or 18x (RFC 4320 §4)', async () => {
    called.send('OPTIONS')
    const { transactionId } = await called.application.request('OPTIONS')
    expect((await called.application.respond(transactionId, 'SIP/2.0 408 Timeout\r\n\r\n')).tokens[0]).toBe('NOK')
    expect((await called.application.respond(transactionId, 'SIP/2.0 180 Ringing\r\n\r\n')).tokens[0]).toBe('NOK')
    expect((await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')).tokens[0]).toBe('OK')
    await called.alice.response(200)
  })

  it('that comes again gets its answer again, and reaches the application once (RFC 3261 §17.2.2)', async () => {
    const branch = 'z9hG4bK-options'
    called.send('OPTIONS', { branch })
    const { transactionId } = await called.application.request('OPTIONS')
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200)
    called.send('OPTIONS', { branch })
    await called.alice.response(200)
    expect(await called.application.untaken()).toEqual([])
    called.clock.advance(32_100)
    expect(called.gauges['serverTransactions']).toBe(0)
  })
})
