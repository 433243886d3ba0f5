import { afterEach, describe, expect, it } from 'vitest'
import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import { type Arrival, sdp } from '../engine/sip-peer.ts'
import { agreeEarly, answer, Bridge, Party, reliable } from './bridge.ts'

const open: Bridge[] = []

afterEach(async () => {
  for (const bridge of open.splice(0)) await bridge.end()
})

const farSdp = sdp.replaceAll('4000', '5000')
const otherSdp = sdp.replaceAll('4000', '6000')
const changed = sdp.replace('m=audio 4000', 'm=audio 4002')
const supports = ['Supported: 100rel', 'Allow: INVITE, ACK, CANCEL, BYE, UPDATE, PRACK']

async function begin(options: { sip?: Partial<ResolvedSipBehaviour>; targets?: number } = {}) {
  const bridge = await Bridge.begin(options)
  open.push(bridge)
  const a = new Party({
    peer: bridge.pbx,
    port: bridge.portOf('inside'),
    callId: `near-${Math.random()}`,
    localTag: 'near-tag',
    target: bridge.uriOf('inside', '2000'),
  })
  return { bridge, a }
}

async function invited(options: { headers?: readonly string[]; body?: string; targets?: number } = {}) {
  const { headers = supports, body = sdp, targets = 1 } = options
  const { bridge, a } = await begin({ targets })
  a.invite({ headers, ...(body !== '' && { body }) })
  const invite = await bridge.carrier.request('INVITE')
  return { bridge, a, invite, b: Party.called(invite, bridge.carrier, bridge.portOf('outside'), 'callee') }
}

/** The call is answered by the callee and acknowledged by both, and ends with a BYE of the caller. */
async function complete(bridge: Bridge, a: Party): Promise<void> {
  a.learn(await bridge.pbx.response(200, 'INVITE'))
  a.send('ACK', { cseq: 1 })
  await bridge.carrier.request('ACK')
  a.send('BYE')
  answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
  await bridge.noCalls()
}

/** The UPDATE that tells the caller of another answer, and the 183 it came with; nobody says which is first. */
async function updateAndProgress(bridge: Bridge): Promise<{ update: Arrival; progress: Arrival }> {
  const either = () => bridge.pbx.next(({ status, method }) => status === 183 || (status === 0 && method === 'UPDATE'))
  const [one, other] = [await either(), await either()]
  return one.message.status === 0 ? { update: one, progress: other } : { update: other, progress: one }
}

describe('reliable provisional answers through a call (RFC 3262)', () => {
  it('section 3: more than the caller acknowledges do not wait for it, and the 200 has what it was not told', async () => {
    const { bridge, a, invite } = await invited()
    for (let rseq = 1; rseq <= 17; rseq++) answer(invite, bridge.carrier, 180, { headers: reliable(rseq) })
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable(18) })
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.get('RAck')).toBe(`18 ${invite.message.cseq} INVITE`)
    answer(prack, bridge.carrier, 200)
    answer(invite, bridge.carrier, 200)
    const success = await bridge.pbx.response(200, 'INVITE')
    expect(success.message.body).toContain('m=audio 5000')
    a.learn(success)
    a.send('ACK', { cseq: 1 })
    await bridge.carrier.request('ACK')
    a.send('BYE')
    answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await bridge.noCalls()
  })

  it('feature item 6, check 5: to a caller without 100rel a plain 183, acknowledged from here', async () => {
    const { bridge, a, invite } = await invited({ headers: [] })
    expect(invite.message.values('Supported')).toContain('100rel')
    expect(invite.message.values('Allow')).toContain('PRACK')
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable(17) })
    const prack = await bridge.carrier.request('PRACK')
    expect([prack.message.get('RAck'), prack.message.body]).toEqual([`17 ${invite.message.cseq} INVITE`, ''])
    answer(prack, bridge.carrier, 200)
    const { message } = await bridge.pbx.response(183, 'INVITE')
    expect([message.has('Require'), message.has('RSeq'), message.body]).toEqual([
      false,
      false,
      expect.stringContaining('m=audio 5000'),
    ])
    answer(invite, bridge.carrier, 200)
    const ok = await bridge.pbx.response(200, 'INVITE')
    expect(ok.message.body).toBe(message.body)
    a.learn(ok)
    a.send('ACK', { cseq: 1 })
    await bridge.carrier.request('ACK')
  })

  it('section 3: from end to end, each leg with an RSeq of its own', async () => {
    const { bridge, a, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable(17) })
    const progress = await bridge.pbx.response(183, 'INVITE')
    expect(progress.message.values('Require')).toEqual(['100rel'])
    a.learn(progress)
    a.prack(progress)
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.get('RAck')).toBe(`17 ${invite.message.cseq} INVITE`)
    answer(prack, bridge.carrier, 200)
    await bridge.pbx.response(200, 'PRACK')
    answer(invite, bridge.carrier, 200)
    await complete(bridge, a)
  })

  it('section 3: a 200 with an answer before it waits for the PRACK of that', async () => {
    const { bridge, a, invite } = await invited({ headers: ['Require: 100rel'] })
    answer(invite, bridge.carrier, 183, { body: farSdp })
    const progress = await bridge.pbx.response(183, 'INVITE')
    answer(invite, bridge.carrier, 200, { body: farSdp })
    await bridge.carrier.request('ACK')
    expect(bridge.pbx.arrived.some(({ message }) => message.status === 200)).toBe(false)
    a.learn(progress)
    a.prack(progress)
    await bridge.pbx.response(200, 'PRACK')
    a.learn(await bridge.pbx.response(200, 'INVITE'))
    a.send('ACK', { cseq: 1 })
    a.send('BYE')
    answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await bridge.noCalls()
  })

  it('section 3: a caller that never acknowledges gets 504, and the callee CANCEL with the cause', async () => {
    const { bridge, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable() })
    await bridge.pbx.response(183, 'INVITE')
    bridge.clock.advance(32_010)
    await bridge.pbx.response(504, 'INVITE')
    const cancel = await bridge.carrier.request('CANCEL')
    expect(cancel.message.get('Reason')).toBe('SIP;cause=504;text="No PRACK"')
    answer(cancel, bridge.carrier, 200)
    answer(invite, bridge.carrier, 487)
    await bridge.noCalls()
  })

  it('section 5: an offer in the reliable answer to an INVITE without one, and its answer in PRACK', async () => {
    const { bridge, a, invite } = await invited({ body: '' })
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable() })
    const progress = await bridge.pbx.response(183, 'INVITE')
    expect(progress.message.body).toContain('m=audio 5000')
    a.learn(progress)
    a.prack(progress, { body: sdp })
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.body).toContain('m=audio 4000')
    answer(prack, bridge.carrier, 200)
    answer(invite, bridge.carrier, 200)
    await complete(bridge, a)
  })

  it('section 5: an offer in PRACK, and its answer in the 200 to it', async () => {
    const { bridge, a, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable() })
    const progress = await bridge.pbx.response(183, 'INVITE')
    a.learn(progress)
    a.prack(progress, { body: changed })
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.body).toContain('m=audio 4002')
    answer(prack, bridge.carrier, 200, { body: otherSdp })
    expect((await bridge.pbx.response(200, 'PRACK')).message.body).toContain('m=audio 6000')
    answer(invite, bridge.carrier, 200)
    await complete(bridge, a)
  })

  it('RFC 3311 section 5.1: an UPDATE of the callee after it, to the caller and back', async () => {
    const { bridge, a, invite, b } = await invited()
    await agreeEarly(bridge, a, invite, { body: farSdp })
    b.send('UPDATE', { body: otherSdp })
    const update = await bridge.pbx.request('UPDATE')
    expect(update.message.body).toContain('m=audio 6000')
    answer(update, bridge.pbx, 200, { body: sdp })
    expect((await bridge.carrier.response(200, 'UPDATE')).message.body).toContain('m=audio 4000')
    answer(invite, bridge.carrier, 200)
    await complete(bridge, a)
  })

  it('RFC 3311 section 5.2: an UPDATE with an offer before the PRACK gets 500 with Retry-After', async () => {
    const { bridge, a, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable() })
    a.learn(await bridge.pbx.response(183, 'INVITE'))
    a.send('UPDATE', { body: changed })
    expect((await bridge.pbx.response(500, 'UPDATE')).message.has('Retry-After')).toBe(true)
  })

  it('section 4, feature item 1, check 7: two forks, one To tag for the caller, which hears of the second by UPDATE', async () => {
    const { bridge, a, invite } = await invited()
    const first = await agreeEarly(bridge, a, invite, { body: farSdp })
    answer(invite, bridge.carrier, 183, { body: otherSdp, headers: reliable(90), tag: 'fork-2' })
    const { progress: second, update } = await updateAndProgress(bridge)
    expect([second.message.toTag, second.message.body]).toEqual([first.message.toTag, ''])
    a.prack(second)
    const prack = await bridge.carrier.request('PRACK')
    expect([prack.message.toTag, prack.message.get('RAck')]).toEqual(['fork-2', `90 ${invite.message.cseq} INVITE`])
    answer(prack, bridge.carrier, 200)
    expect(update.message.body).toContain('m=audio 6000')
    answer(update, bridge.pbx, 200, { body: sdp })
    answer(invite, bridge.carrier, 200, { tag: 'fork-2' })
    const ok = await bridge.pbx.response(200, 'INVITE')
    expect(ok.message.toTag).toBe(first.message.toTag)
  })

  it('the next target after a reliable answer: the caller hears of it in the same dialog', async () => {
    const { bridge, a, invite } = await invited({ targets: 2 })
    const first = await agreeEarly(bridge, a, invite, { body: farSdp })
    answer(invite, bridge.carrier, 503)
    const [, next] = bridge.carriers
    if (next === undefined) throw new Error('no second target')
    const again = await next.request('INVITE')
    answer(again, next, 183, { body: otherSdp, headers: reliable(5), tag: 'next' })
    const { progress, update } = await updateAndProgress(bridge)
    expect([update.message.body, progress.message.toTag]).toEqual([
      expect.stringContaining('m=audio 6000'),
      first.message.toTag,
    ])
    answer(update, bridge.pbx, 200, { body: sdp })
    a.prack(progress)
    answer(await next.request('PRACK'), next, 200)
    answer(again, next, 200, { tag: 'next' })
    a.learn(await bridge.pbx.response(200, 'INVITE'))
    a.send('ACK', { cseq: 1 })
    await next.request('ACK')
  })

  it('a CANCEL that crosses with the PRACK: 487, and the callee is cancelled (RFC 3261 section 9)', async () => {
    const { bridge, a, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: farSdp, headers: reliable() })
    const progress = await bridge.pbx.response(183, 'INVITE')
    const branch = bridge.pbx.arrived[0]?.message.branch ?? ''
    a.send('CANCEL', { branch, contact: false })
    await bridge.pbx.response(487, 'INVITE')
    a.learn(progress)
    a.prack(progress)
    expect((await bridge.pbx.next(({ method, status }) => method === 'PRACK' && status > 0)).message.status).toBe(200)
    const cancel = await bridge.carrier.request('CANCEL')
    answer(cancel, bridge.carrier, 200)
    answer(invite, bridge.carrier, 487)
    await bridge.noCalls()
  })

  it.each([
    ['Disabled', ['Require: 100rel'], 420, 'Unsupported'],
    ['Require', [], 421, 'Require'],
  ] as const)('reliable1xx %s refuses a caller with %j by %i', async (reliable1xx, headers, status, header) => {
    const { bridge, a } = await begin({ sip: { reliable1xx } })
    a.invite({ body: sdp, headers })
    expect((await bridge.pbx.response(status, 'INVITE')).message.get(header)).toBe('100rel')
  })
})
