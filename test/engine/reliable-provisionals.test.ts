import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Called, type RequestOptions } from './called.ts'
import { Calling } from './calling.ts'
import { type Arrival, answerWith, sdp } from './sip-peer.ts'

const supported = ['Supported: 100rel']
const reliable183 = `SIP/2.0 183 Session Progress\r\nRequire: 100rel\r\n\r\n`
const described183 = `SIP/2.0 183 Session Progress\r\nRequire: 100rel\r\nContent-Type: application/sdp\r\n\r\n${sdp}`
const rseqOf = ({ message }: { message: Arrival['message'] }) => Number(message.get('RSeq'))

describe('an INVITE from the network', () => {
  let called: Called

  beforeEach(async () => {
    called = await Called.begin(['invite', 'ack', 'bye', 'prack'])
  })

  afterEach(() => called.end())

  const invite = (headers: readonly string[] = supported) => called.invite({ headers })

  function prack({ message }: Arrival, options: RequestOptions & { rack?: string } = {}): void {
    const { rack = `${message.get('RSeq')} ${message.cseq} INVITE`, ...others } = options
    called.send('PRACK', { toTag: message.toTag, cseq: 2, headers: [`RAck: ${rack}`], ...others })
  }

  /** Sends and answers a PRACK. */
  async function acknowledge(arrival: Arrival, options: RequestOptions = {}): Promise<void> {
    prack(arrival, options)
    const { transactionId } = await called.application.request('PRACK')
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200, 'PRACK')
  }

  it('gets a 183 with RSeq and Require again and again until its PRACK comes, which the application answers (RFC 3262 §3)', async () => {
    const { transactionId } = await invite()
    const { text } = await called.application.respond(transactionId, `${reliable183.slice(0, -2)}RSeq: 77\r\n\r\n`)
    const first = await called.alice.response(183)
    expect(text).toContain(`RSeq: ${first.message.get('RSeq')}\r\n`)
    expect(first.message.values('Require')).toEqual(['100rel'])
    expect(rseqOf(first)).toBeGreaterThanOrEqual(1)
    expect(rseqOf(first)).toBeLessThan(2 ** 31)
    called.clock.advance(510)
    expect((await called.alice.response(183)).message.text).toBe(first.message.text)
    prack(first)
    const delivered = await called.application.request('PRACK')
    expect(delivered.dialogId).toBe('call;from-tag=a-tag')
    called.clock.advance(20_000)
    await called.application.respond(delivered.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200, 'PRACK')
    expect(called.alice.arrived.filter(({ message }) => message.status === 183)).toHaveLength(2)
  })

  it('without 100rel gets none: the order is refused (RFC 3262 §3)', async () => {
    const { transactionId } = await invite([])
    const { tokens } = await called.application.respond(transactionId, reliable183)
    expect(tokens).toEqual(['NOK', 'Remote endpoint does not support 100rel'])
    await called.application.respond(transactionId, 'SIP/2.0 180 Ringing\r\n\r\n')
    expect((await called.alice.response(180)).message.has('RSeq')).toBe(false)
  })

  it('that requires 100rel gets every provisional response reliably but 100, whatever the application says (RFC 3262 §3)', async () => {
    const { transactionId } = await invite(['Require: 100rel'])
    expect((await called.alice.response(100)).message.has('RSeq')).toBe(false)
    await called.application.respond(transactionId, 'SIP/2.0 180 Ringing\r\n\r\n')
    const { message } = await called.alice.response(180)
    expect([message.values('Require'), message.has('RSeq')]).toEqual([['100rel'], true])
  })

  it('gets the second reliable response after the PRACK of the first, with the next RSeq (RFC 3262 §3)', async () => {
    const { transactionId } = await invite()
    await called.application.respond(transactionId, reliable183)
    const first = await called.alice.response(183)
    const second = called.application.respond(transactionId, reliable183.replace('183 Session Progress', '180 Ringing'))
    await called.application.command('ping')
    expect(called.alice.arrived.some(({ message }) => message.status === 180)).toBe(false)
    await acknowledge(first)
    expect(rseqOf(await called.alice.response(180))).toBe(rseqOf(first) + 1)
    expect((await second).tokens[0]).toBe('OK')
  })

  it('gets 200 only after the PRACK of a 183 with a description (RFC 3262 §3, §5)', async () => {
    const { transactionId } = await invite()
    await called.application.respond(transactionId, described183)
    const progress = await called.alice.response(183)
    const answered = called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.application.command('ping')
    expect(called.alice.arrived.some(({ message }) => message.status === 200)).toBe(false)
    await acknowledge(progress)
    const ok = await called.alice.response(200, 'INVITE')
    expect((await answered).tokens[8]).toBe('call;from-tag=a-tag')
    called.send('ACK', { toTag: ok.message.toTag })
    expect((await called.application.request('ACK')).transactionId).toBe(transactionId)
  })

  it.each([
    ['no such RSeq', '9 1 INVITE', 481],
    ['another method', undefined, 481],
    ['nothing that can be read', 'nine', 481],
  ])('a PRACK of %s gets 481 (RFC 3262 §3)', async (_what, rack, status) => {
    const { transactionId } = await invite()
    await called.application.respond(transactionId, reliable183)
    const progress = await called.alice.response(183)
    prack(progress, { rack: rack ?? `${progress.message.get('RSeq')} 1 UPDATE` })
    await called.alice.response(status, 'PRACK')
    expect(await called.application.untaken()).toEqual([])
    await acknowledge(progress, { cseq: 3 })
  })

  it('whose 183 is never acknowledged gets 504 after 64*T1, and the application a CANCEL (RFC 3262 §3)', async () => {
    const { transactionId } = await invite()
    await called.application.respond(transactionId, described183)
    await called.alice.response(183)
    const answered = called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.application.command('ping')
    called.clock.advance(32_010)
    await called.alice.response(504)
    expect((await answered).tokens).toEqual(['NOK', 'Response not sent due to unknown transaction'])
    const cancel = await called.application.request('CANCEL')
    expect([cancel.transactionId, cancel.message.get('Reason')]).toEqual([
      transactionId,
      'SIP;cause=504;text="No PRACK"',
    ])
    expect(called.gauges['dialogs']).toBe(0)
    expect(called.counters['pracks_missing']).toBe(1)
  })

  it('that is cancelled while its 200 waits for a PRACK gets 487, and the 200 is refused (RFC 3261 §9.2)', async () => {
    called.send('INVITE', { body: sdp, headers: supported, branch: 'z9hG4bK-cancelled' })
    const { transactionId } = await called.application.request('INVITE')
    await called.application.respond(transactionId, described183)
    await called.alice.response(183)
    const answered = called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.application.command('ping')
    called.send('CANCEL', { branch: 'z9hG4bK-cancelled', contact: false })
    await called.alice.response(487, 'INVITE')
    expect((await answered).tokens[0]).toBe('NOK')
    await called.application.request('CANCEL')
  })

  it('whose caller hangs up while its 200 waits for a PRACK gets 487 (RFC 3261 §15.1.2)', async () => {
    const { transactionId } = await invite()
    await called.application.respond(transactionId, described183)
    const { message } = await called.alice.response(183)
    const answered = called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.application.command('ping')
    called.send('BYE', { toTag: message.toTag, cseq: 2 })
    await called.alice.response(487, 'INVITE')
    expect((await answered).tokens[0]).toBe('NOK')
    await called.application.request('BYE')
  })

  it('that is refused before the PRACK comes: the PRACK gets 200 all the same, once (RFC 3262 §3)', async () => {
    const { transactionId } = await invite()
    await called.application.respond(transactionId, reliable183)
    const progress = await called.alice.response(183)
    await called.application.respond(transactionId, 'SIP/2.0 486 Busy Here\r\n\r\n')
    await called.alice.response(486)
    prack(progress)
    await called.alice.response(200, 'PRACK')
    prack(progress, { cseq: 3 })
    await called.alice.response(481, 'PRACK')
    expect(await called.application.untaken()).toEqual([])
  })
})

describe('an INVITE of the application', () => {
  let calling: Calling

  beforeEach(async () => {
    calling = await Calling.begin()
  })

  afterEach(() => calling.end())

  function progress(invite: Arrival, rseq: number, options: { toTag?: string; status?: number } = {}): void {
    const { toTag = 'bob', status = 183 } = options
    const reliable = [
      ['Require', '100rel'],
      ['RSeq', String(rseq)],
    ] as const
    answerWith(invite, { status, toTag, headers: [calling.contact(), ...reliable] })
  }

  async function call(): Promise<Arrival> {
    await calling.send('INVITE', { headers: ['supported: 100rel'] })
    return calling.bob.request('INVITE')
  }

  const prack = (dialogId: string, rack: string, headers: readonly string[] = []) =>
    calling.send('PRACK', { dialogId, headers: [`rack: ${rack}`, ...headers] })

  it('has its reliable response acknowledged in the early dialog, with a CSeq of its own (RFC 3262 §4)', async () => {
    const invite = await call()
    progress(invite, 100)
    const { dialogId } = await calling.application.response(183)
    await prack(dialogId, '100 1 INVITE')
    const { message } = await calling.bob.request('PRACK')
    expect([message.get('RAck'), message.cseq, message.toTag, message.uri]).toEqual([
      '100 1 INVITE',
      2,
      'bob',
      `sip:bob@${calling.bob.hostPort}`,
    ])
  })

  it('tells the application of each once, in their order (RFC 3262 §4)', async () => {
    const invite = await call()
    progress(invite, 100)
    progress(invite, 100)
    progress(invite, 102)
    progress(invite, 101, { status: 180 })
    progress(invite, 102, { status: 181 })
    const told = [183, 180, 181].map(async (status) => (await calling.application.response(status)).message)
    expect((await Promise.all(told)).map((message) => message.get('RSeq'))).toEqual(['100', '101', '102'])
    expect(await calling.application.untaken()).toEqual([])
  })

  it('counts each fork by itself, and sends the PRACK to the one that is meant (RFC 3262 §4)', async () => {
    const invite = await call()
    progress(invite, 100, { toTag: 'b1' })
    progress(invite, 7, { toTag: 'b2' })
    const { dialogId } = await calling.application.response(183)
    await calling.application.response(183)
    await prack(dialogId, '100 1 INVITE')
    expect((await calling.bob.request('PRACK')).message.toTag).toBe('b1')
    await prack(dialogId, '7 1 INVITE')
    expect((await calling.bob.request('PRACK')).message.toTag).toBe('b2')
  })

  it('sends the PRACK to the fork that its To names where both have the same RSeq', async () => {
    const invite = await call()
    progress(invite, 1, { toTag: 'b1' })
    progress(invite, 1, { toTag: 'b2' })
    const { dialogId } = await calling.application.response(183)
    await calling.application.response(183)
    await prack(dialogId, '1 1 INVITE', ['to: <sip:bob@localhost>;tag=b2'])
    expect((await calling.bob.request('PRACK')).message.toTag).toBe('b2')
    await prack(dialogId, '1 1 INVITE', ['to: <sip:bob@localhost>;tag=b1'])
    expect((await calling.bob.request('PRACK')).message.toTag).toBe('b1')
  })

  it('has the PRACK of a response that never came refused, and one that was challenged sent again', async () => {
    progress(await call(), 100)
    const { dialogId } = await calling.application.response(183)
    expect((await prack(dialogId, '101 1 INVITE')).tokens[0]).toBe('NOK')
    await prack(dialogId, '100 1 INVITE')
    answerWith(await calling.bob.request('PRACK'), { status: 407 })
    await calling.application.response(407)
    await prack(dialogId, '100 1 INVITE', ['proxy-authorization: Digest username="a"'])
    expect((await calling.bob.request('PRACK')).message.cseq).toBe(3)
  })

  it('keeps the dialog when the PRACK gets 481, which speaks of the response alone (RFC 3262 §3)', async () => {
    const invite = await call()
    progress(invite, 100)
    const { dialogId } = await calling.application.response(183)
    await prack(dialogId, '100 1 INVITE')
    answerWith(await calling.bob.request('PRACK'), { status: 481 })
    await calling.application.response(481)
    answerWith(invite, { status: 200, toTag: 'bob', headers: [calling.contact()] })
    await calling.application.response(200)
    expect((await calling.send('ACK', { dialogId })).tokens[0]).toBe('OK')
  })
})
