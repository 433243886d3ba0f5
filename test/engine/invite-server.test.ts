import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe, type Delivered } from './application.ts'
import { requestText, sdp, SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

type Options = Partial<Parameters<typeof requestText>[1]>

let clock: ManualClock
let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let alice: SipPeer

beforeEach(async () => {
  clock = new ManualClock()
  engine = await start({ clock })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options', 'ack', 'bye', 'update', 'info'])
  alice = await SipPeer.udp()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await alice.close()
})

function send(method: string, options: Options = {}): void {
  const uri = `sip:bob@127.0.0.1:${engine.udp.port}`
  alice.send(requestText(alice, { method, uri, callId: 'call', ...options }), engine.udp.port)
}

/** Sends an INVITE and waits until the application has it. */
async function invite(options: Options = {}): Promise<Delivered> {
  send('INVITE', { body: sdp, ...options })
  return application.request('INVITE')
}

function gauges(): Record<string, number> {
  return engine.engine.gauges()
}

describe('an INVITE from the network', () => {
  it('gets 100 at once and reaches the application with the address it came in on (RFC 3261 §17.2.1)', async () => {
    const { tokens, message, dialogId } = await invite()
    await alice.response(100)
    expect(tokens.slice(1, 3)).toEqual(['sip', 'network'])
    expect(tokens.slice(4, 7)).toEqual(['udp', '127.0.0.1', String(alice.port)])
    expect(tokens.slice(10)).toEqual(['127.0.0.1', String(engine.udp.port)])
    expect(dialogId).toBe('')
    expect(message.body).toBe(sdp)
  })

  it('that comes again gets the last provisional response again, and reaches the application once (RFC 3261 §17.2.1)', async () => {
    const branch = 'z9hG4bK-again'
    const { transactionId } = await invite({ branch })
    await alice.response(100)
    await application.respond(transactionId, 'SIP/2.0 180 Ringing\r\n\r\n')
    await alice.response(180)
    send('INVITE', { branch, body: sdp })
    await alice.response(180)
    expect(await application.untaken()).toEqual([])
    expect(gauges()['serverTransactions']).toBe(1)
  })

  it('is answered 200 again and again, doubling from T1 to T2, until the ACK comes (RFC 3261 §13.3.1.4)', async () => {
    const { transactionId } = await invite()
    const { tokens } = await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(tokens[8]).toBe('call;from-tag=a-tag')
    const { message } = await alice.response(200)
    for (const wait of [500, 1000, 2000, 4000, 4000]) {
      clock.advance(wait - 20)
      const before = alice.arrived.length
      clock.advance(30)
      expect((await alice.response(200)).message.toTag).toBe(message.toTag)
      expect(alice.arrived).toHaveLength(before + 1)
    }
    send('ACK', { toTag: message.toTag })
    const ack = await application.request('ACK')
    expect(ack.transactionId).toBe(transactionId)
    expect(ack.dialogId).toBe('call;from-tag=a-tag')
    const repeated = engine.engine.counters['retransmitted']
    clock.advance(20_000)
    expect(engine.engine.counters['retransmitted']).toBe(repeated)
    // The ACK has no key of its own: another copy of it is nobody's.
    send('ACK', { toTag: message.toTag })
    send('OPTIONS', { callId: 'later' })
    await application.request('OPTIONS')
    expect(await application.untaken()).toEqual([])
  })

  it('whose 200 is never acknowledged is ended by a BYE, and the application is told (RFC 3261 §13.3.1.4)', async () => {
    const { transactionId } = await invite()
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    clock.advance(32_100)
    const bye = await alice.request('BYE')
    expect(bye.message.get('Reason')).toBe('SIP;cause=200;text="ACK timeout"')
    const notice = await application.request('BYE')
    expect(notice.origin).toBe('application')
    expect(notice.transactionId).toBe('unsolicited')
    expect(notice.dialogId).toBe('call;from-tag=a-tag')
    expect(gauges()['dialogs']).toBe(0)
  })

  it('that is answered 486 repeats it until the ACK, which ends there (RFC 3261 §17.2.1, Timers G, H and I)', async () => {
    const branch = 'z9hG4bK-busy'
    const { transactionId } = await invite({ branch })
    await application.respond(transactionId, 'SIP/2.0 486 Busy Here\r\n\r\n')
    const { message } = await alice.response(486)
    clock.advance(510)
    await alice.response(486)
    send('ACK', { branch, toTag: message.toTag, contact: false })
    send('OPTIONS', { callId: 'later' })
    const options = await application.request('OPTIONS')
    expect(await application.untaken()).toEqual([])
    const count = engine.engine.counters['retransmitted']
    clock.advance(4000)
    expect(engine.engine.counters['retransmitted']).toBe(count)
    await application.respond(options.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    clock.advance(33_000)
    expect(gauges()).toMatchObject({ serverTransactions: 0, dialogs: 0 })
  })

  it('keeps the tag the application chose in every answer, and makes it the local tag of the dialog', async () => {
    const { transactionId, message } = await invite()
    const to = `To: ${message.get('To')};tag=chosen\r\n`
    await application.respond(transactionId, `SIP/2.0 183 Session Progress\r\n${to}\r\n`)
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await alice.response(183)).message.toTag).toBe('chosen')
    expect((await alice.response(200)).message.toTag).toBe('chosen')
    expect(gauges()['dialogs']).toBe(1)
  })

  it('copies Record-Route, ignores that of the application, and its Via and Content-Length too (RFC 3261 §12.1.1)', async () => {
    const { transactionId } = await invite({ headers: ['Record-Route: <sip:p1.example;lr>, <sip:p2.example;lr>'] })
    await application.respond(
      transactionId,
      'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP evil\r\nRecord-Route: <sip:evil>\r\nContent-Length: 99\r\nX-Ours: yes\r\n\r\nv=0\r\n',
    )
    const { message } = await alice.response(200)
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
    const { transactionId } = await invite({ branch })
    send('CANCEL', { branch, contact: false })
    const ok = await alice.response(200, 'CANCEL')
    const terminated = await alice.response(487, 'INVITE')
    expect(ok.message.toTag).toBe(terminated.message.toTag)
    const cancel = await application.request('CANCEL')
    expect(cancel.transactionId).toBe(transactionId)
    const late = await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(late.tokens).toEqual(['NOK', 'Response not sent due to unknown transaction'])
  })

  it('cancelled while it rings keeps the tag the application chose, in the 200 to CANCEL too (RFC 3261 §9.2)', async () => {
    const branch = 'z9hG4bK-cancel-ringing'
    const { transactionId } = await invite({ branch })
    await application.respond(transactionId, 'SIP/2.0 180 Ringing\r\nTo: <sip:bob@example.com>;tag=chosen\r\n\r\n')
    await alice.response(180)
    send('CANCEL', { branch, contact: false })
    expect((await alice.response(200, 'CANCEL')).message.toTag).toBe('chosen')
    expect((await alice.response(487, 'INVITE')).message.toTag).toBe('chosen')
  })

  it('is not cancelled by a CANCEL that has its Call-ID but not its branch (RFC 3261 §9.2)', async () => {
    await invite()
    send('CANCEL', { branch: 'z9hG4bK-of-somebody-else', contact: false })
    await alice.response(481, 'CANCEL')
    expect(await application.untaken()).toEqual([])
  })

  it('after its 200 is not cancelled any more (RFC 3261 §9.2)', async () => {
    const branch = 'z9hG4bK-late-cancel'
    const { transactionId } = await invite({ branch })
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { message } = await alice.response(200, 'INVITE')
    send('CANCEL', { branch, contact: false })
    expect((await alice.response(200, 'CANCEL')).message.toTag).toBe(message.toTag)
    expect(await application.untaken()).toEqual([])
    expect(gauges()['dialogs']).toBe(1)
  })

  it.each<[title: string, options: Options, status: number, check: [name: string, value: string] | undefined]>([
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
    send('INVITE', { ...options, body: sdp })
    const { message } = await alice.response(status)
    expect(message.toTag).not.toBe('')
    if (check !== undefined) expect(message.get(check[0])).toBe(check[1])
    expect(await application.untaken()).toEqual([])
  })

  it('without any application is answered 503 with Retry-After (RFC 3261 §21.5.4)', async () => {
    application.close()
    await expect.poll(() => engine.engine.gauges()['applications']).toBe(0)
    send('INVITE', { body: sdp })
    expect((await alice.response(503)).message.get('Retry-After')).toBe('5')
  })

  it('that the application leaves unanswered when it goes is answered 503', async () => {
    await invite()
    application.close()
    await alice.response(503)
    expect(gauges()['dialogs']).toBe(0)
  })
})

describe('a request in a dialog', () => {
  async function establish(): Promise<{ toTag: string; inviteId: string }> {
    const { transactionId } = await invite()
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { message } = await alice.response(200)
    send('ACK', { toTag: message.toTag })
    await application.request('ACK')
    return { toTag: message.toTag, inviteId: transactionId }
  }

  it('comes with the dialog id and without a local address', async () => {
    const { toTag } = await establish()
    send('INFO', { toTag, cseq: 2 })
    const { tokens, dialogId } = await application.request('INFO')
    expect(dialogId).toBe('call;from-tag=a-tag')
    expect(tokens).toHaveLength(11)
  })

  it('with a lower CSeq than the last is out of order and gets 500 (RFC 3261 §12.2.2)', async () => {
    const { toTag } = await establish()
    send('INFO', { toTag, cseq: 5 })
    await application.request('INFO')
    send('INFO', { toTag, cseq: 4 })
    await alice.response(500)
    expect(await application.untaken()).toEqual([])
  })

  it('INVITE while one is being answered gets 500 with Retry-After of 0 to 10 (RFC 3261 §14.2)', async () => {
    const { toTag } = await establish()
    send('INVITE', { toTag, cseq: 2, body: sdp })
    await application.request('INVITE')
    send('INVITE', { toTag, cseq: 3, body: sdp })
    const { message } = await alice.response(500)
    expect(Number(message.get('Retry-After'))).toBeGreaterThanOrEqual(0)
    expect(Number(message.get('Retry-After'))).toBeLessThanOrEqual(10)
  })

  it('INVITE while ours is under way gets 491 (RFC 3261 §14.2)', async () => {
    const { toTag } = await establish()
    const sent = await application.command('sip||call;from-tag=a-tag', 'INVITE sip:placeholder SIP/2.0\r\n\r\n')
    expect(sent.tokens[0]).toBe('OK')
    await alice.request('INVITE')
    send('INVITE', { toTag, cseq: 2, body: sdp })
    await alice.response(491)
  })

  it('UPDATE while one is being answered gets 500 with Retry-After (RFC 3311 §5.2)', async () => {
    const { toTag } = await establish()
    send('UPDATE', { toTag, cseq: 2 })
    await application.request('UPDATE')
    send('UPDATE', { toTag, cseq: 3 })
    expect((await alice.response(500)).message.has('Retry-After')).toBe(true)
  })

  it('INVITE that is pending when its peer says BYE gets 487, before the BYE its 200 (RFC 3261 §15.1.2)', async () => {
    const { toTag } = await establish()
    send('INVITE', { toTag, cseq: 2, body: sdp })
    const { transactionId } = await application.request('INVITE')
    send('BYE', { toTag, cseq: 3 })
    expect((await alice.response(487)).message.cseq).toBe(2)
    const bye = await application.request('BYE')
    const late = await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(late.tokens.slice(0, 2)).toEqual(['NOK', 'Response not sent due to unknown transaction'])
    await application.respond(bye.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200, 'BYE')
  })

  it('INVITE that is pending when the ACK of the one before is given up gets 487 at once (RFC 3261 §13.3.1.4)', async () => {
    const { toTag } = await establish()
    send('INVITE', { toTag, cseq: 2, body: sdp })
    const { transactionId } = await application.request('INVITE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    send('INVITE', { toTag, cseq: 3, body: sdp })
    await application.request('INVITE')
    clock.advance(32_100)
    expect((await alice.response(487)).message.cseq).toBe(3)
    await alice.request('BYE')
  })

  it('INVITE that comes before the ACK of the last one: both 200 are repeated, and each ACK arrives (RFC 3261 §13.3.1.4)', async () => {
    const first = await invite()
    await application.respond(first.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    const { toTag } = (await alice.response(200)).message
    send('INVITE', { toTag, cseq: 2, body: sdp })
    const second = await application.request('INVITE')
    await application.respond(second.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    clock.advance(600)
    const repeated = [await alice.response(200), await alice.response(200)].map(({ message }) => message.cseq)
    expect(new Set(repeated)).toEqual(new Set([1, 2]))
    send('ACK', { toTag, cseq: 2 })
    expect((await application.request('ACK')).transactionId).toBe(second.transactionId)
    send('ACK', { toTag, cseq: 1 })
    expect((await application.request('ACK')).transactionId).toBe(first.transactionId)
    clock.advance(40_000)
    expect(gauges()['dialogs']).toBe(1)
  })

  it('BYE frees the dialog, and what follows gets 481 (RFC 3261 §15.1.2)', async () => {
    const { toTag } = await establish()
    send('BYE', { toTag, cseq: 2 })
    const { transactionId } = await application.request('BYE')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200, 'BYE')
    expect(gauges()['dialogs']).toBe(0)
    send('INFO', { toTag, cseq: 3 })
    await alice.response(481, 'INFO')
  })

  it('BYE without any application is answered by the engine, and anything else 503', async () => {
    const { toTag } = await establish()
    application.close()
    await expect.poll(() => engine.engine.gauges()['applications']).toBe(0)
    send('INFO', { toTag, cseq: 2 })
    await alice.response(503, 'INFO')
    expect(gauges()['dialogs']).toBe(1)
    send('BYE', { toTag, cseq: 3 })
    await alice.response(200, 'BYE')
    expect(gauges()['dialogs']).toBe(0)
  })

  it('goes to another application when the one that had the dialog has left', async () => {
    const { toTag } = await establish()
    const successor = await ApplicationProbe.serving(engine.port, ['bye'])
    application.close()
    await expect.poll(() => engine.engine.gauges()['applications']).toBe(1)
    send('BYE', { toTag, cseq: 2 })
    const { dialogId } = await successor.request('BYE')
    expect(dialogId).toBe('call;from-tag=a-tag')
    successor.close()
  })

  it('PRACK, UPDATE and BYE without a dialog get 481, an unknown method 501 with Allow (RFC 3261 §8.2.1)', async () => {
    for (const method of ['PRACK', 'UPDATE', 'BYE']) {
      send(method, { callId: `no-dialog-${method}` })
      await alice.response(481, method)
    }
    send('DANCE', { callId: 'dance' })
    const { message } = await alice.response(501)
    expect(message.values('Allow')).toContain('INVITE')
    send('PUBLISH', { callId: 'publish' })
    expect((await alice.response(405)).message.values('Allow')).toContain('OPTIONS')
  })
})

describe('a request other than INVITE', () => {
  it('gets 100 after 3.5 s and nothing at all after 32 s (RFC 4320 §4.1, §4.2)', async () => {
    send('OPTIONS')
    const { transactionId } = await application.request('OPTIONS')
    clock.advance(3400)
    expect(alice.arrived).toHaveLength(0)
    clock.advance(150)
    await alice.response(100)
    clock.advance(29_000)
    expect(gauges()['serverTransactions']).toBe(0)
    const late = await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect(late.tokens[0]).toBe('NOK')
  })

  it('is never answered 408 or 18x (RFC 4320 §4)', async () => {
    send('OPTIONS')
    const { transactionId } = await application.request('OPTIONS')
    expect((await application.respond(transactionId, 'SIP/2.0 408 Timeout\r\n\r\n')).tokens[0]).toBe('NOK')
    expect((await application.respond(transactionId, 'SIP/2.0 180 Ringing\r\n\r\n')).tokens[0]).toBe('NOK')
    expect((await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')).tokens[0]).toBe('OK')
    await alice.response(200)
  })

  it('that comes again gets its answer again, and reaches the application once (RFC 3261 §17.2.2)', async () => {
    const branch = 'z9hG4bK-options'
    send('OPTIONS', { branch })
    const { transactionId } = await application.request('OPTIONS')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    send('OPTIONS', { branch })
    await alice.response(200)
    expect(await application.untaken()).toEqual([])
    clock.advance(32_100)
    expect(gauges()['serverTransactions']).toBe(0)
  })
})
