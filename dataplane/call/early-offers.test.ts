import { describe, expect, it } from 'vitest'
import type { FakeIncoming } from '../sip/fake-sip-port.ts'
import { agreeEarly, prack, reliable, supports } from './testing/reliable-call.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

const knowsUpdate = [['Allow', 'INVITE, ACK, CANCEL, BYE, UPDATE, PRACK']] as const

const isReliable = ({ headers = [] }: FakeIncoming['answers'][number]) =>
  headers.some(([name, value]) => name === 'Require' && value === '100rel')
/** Provisional and final answers that the caller got, with an R where they are reliable and a D where they describe. */
const told = ({ answers }: FakeIncoming) =>
  answers.map((answer) => `${answer.status}${isReliable(answer) ? 'R' : ''}${answer.body === undefined ? '' : 'D'}`)

describe('an offer in PRACK (RFC 3262 section 5)', () => {
  it('goes to the callee in PRACK, and the answer comes back in the 200', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(183, { body: farSdp('5000'), headers: reliable() })
    const request = prack(scenario, a, sdp('4002', 2))
    expect(request.statuses).toEqual([])
    const onB = sip.last('PRACK')
    expect(onB.request.body?.content).toContain('m=audio 4002')
    onB.respond(200, { body: farSdp('5002', 2) })
    expect(request.lastAnswer).toMatchObject({
      status: 200,
      body: { content: expect.stringContaining('m=audio 5002') },
    })
    expect(request.lastAnswer.headers?.some(([name]) => name === 'Contact')).toBe(false)
  })

  it.each([
    [488, 488],
    [481, 500],
    [408, 500],
  ])('that the callee refuses with %i is refused with %i', (status, expected) => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(183, { body: farSdp('5000'), headers: reliable() })
    const request = prack(scenario, a, sdp('4002', 2))
    sip.last('PRACK').respond(status)
    expect(request.statuses).toEqual([expected])
  })

  it('meanwhile another offer of the callee gets 491 (RFC 3311 section 5.2)', () => {
    const scenario = createScenario()
    const { sip, invite, fromB } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    prack(scenario, a, sdp('4002', 2))
    expect(fromB(b, 'UPDATE', { body: farSdp('5004', 3) }).statuses).toEqual([491])
    sip.last('PRACK').respond(200, { body: farSdp('5002', 2) })
    fromB(b, 'UPDATE', { body: farSdp('5004', 3) })
    expect(sip.all('UPDATE')).toHaveLength(1)
  })

  it('with update.early Block gets 488 where media goes around, and the callee a PRACK without', () => {
    const scenario = createScenario({ sip: { update: { early: 'Block' } } })
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(183, { body: farSdp('5000'), headers: reliable() })
    expect(prack(scenario, a, sdp('4002', 2)).statuses).toEqual([488])
    expect(sip.last('PRACK').request.body).toBeUndefined()
  })

  it('that is no session description gets 415, and the callee a PRACK without', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(183, { body: farSdp('5000'), headers: reliable() })
    expect(prack(scenario, a, { content: 'x', type: 'text/plain' }).statuses).toEqual([415])
    expect(sip.last('PRACK').request.body).toBeUndefined()
  })
})

describe('an UPDATE before the call is answered (RFC 3311 section 5)', () => {
  it('with an offer needs the PRACK of the first answer: 500 with Retry-After before', () => {
    const scenario = createScenario()
    const { sip, invite, fromA } = scenario
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(183, { body: farSdp('5000'), headers: reliable() })
    expect(fromA(a, 'UPDATE', { body: sdp('4002', 2) }).lastAnswer).toEqual({
      status: 500,
      headers: [['Retry-After', '5']],
    })
    prack(scenario, a)
    fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    expect(sip.all('UPDATE')).toHaveLength(1)
  })

  it('with an offer of the callee gets 488 where the caller has no answer that holds', () => {
    const { sip, invite, fromB } = createScenario()
    invite()
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    expect(fromB(b, 'UPDATE', { body: farSdp('5002', 2) }).statuses).toEqual([488])
    expect(sip.all('UPDATE')).toEqual([])
  })

  it('changes what both have agreed on, and the 200 of the INVITE does not change it back', () => {
    const scenario = createScenario()
    const { sip, fromB, ack } = scenario
    const { a, b } = agreeEarly(scenario, { ofA: knowsUpdate })
    const update = fromB(b, 'UPDATE', { body: farSdp('5002', 2) })
    sip.last('UPDATE').respond(200, { body: sdp('4000', 2) })
    expect(update.statuses).toEqual([200])
    b.respond(200, { body: farSdp('5000') })
    ack(a)
    expect([told(a), sip.all('INVITE')]).toEqual([['183RD', '200'], [b]])
  })
})

describe('another answer after one that holds', () => {
  it('of a fork is offered to the caller in an UPDATE (feature item 1, check 7), and it sees one To tag', () => {
    const scenario = createScenario()
    const { sip } = scenario
    const { a, b } = agreeEarly(scenario, { ofA: knowsUpdate })
    b.respond(183, { body: farSdp('6000'), headers: reliable(50), toTag: 'b2' })
    const update = sip.last('UPDATE')
    expect([update.request.dialogId, update.request.body?.content]).toEqual([
      a.openedDialog,
      expect.stringContaining('m=audio 6000'),
    ])
    expect(told(a)).toEqual(['183RD', '183R'])
    update.respond(200, { body: sdp('4000', 2) })
    prack(scenario, a)
    expect(sip.last('PRACK').request).toMatchObject({ fork: 'b2', headers: [['RAck', '50 1 INVITE'], {}, {}] })
    b.respond(200, { toTag: 'b2' })
    expect(new Set(a.answers.map(({ toTag }) => toTag)).size).toBe(1)
    expect(sip.all('INVITE')).toEqual([b])
  })

  it('of the fork that answers in the end is offered again when the call is up', () => {
    const scenario = createScenario()
    const { sip, ack } = scenario
    const { a, b } = agreeEarly(scenario)
    b.respond(183, { body: farSdp('6000'), headers: reliable(50), toTag: 'b2' })
    prack(scenario, a)
    b.respond(200, { toTag: 'b2' })
    ack(a)
    expect([sip.all('UPDATE'), sip.last('INVITE').request.body?.content]).toEqual([
      [],
      expect.stringContaining('m=audio 6000'),
    ])
  })

  it('of a fork that is left again is forgotten', () => {
    const scenario = createScenario()
    const { sip, ack } = scenario
    const { a, b } = agreeEarly(scenario)
    b.respond(183, { body: farSdp('6000'), headers: reliable(50), toTag: 'b2' })
    prack(scenario, a)
    b.respond(200)
    ack(a)
    expect(sip.all('INVITE')).toEqual([b])
  })

  it('of the next target is offered in an UPDATE, and the PRACK of the one before goes nowhere', () => {
    const scenario = createScenario()
    const { sip, ack } = scenario
    const { a, b } = agreeEarly(scenario, { ofA: knowsUpdate })
    b.respond(180, { headers: reliable(2) })
    b.respond(503)
    const next = sip.last('INVITE')
    expect(prack(scenario, a).statuses).toEqual([200])
    next.respond(183, { body: farSdp('7000'), headers: reliable(20) })
    sip.last('UPDATE').respond(200, { body: sdp('4000', 2) })
    prack(scenario, a)
    expect(sip.last('PRACK').request).toMatchObject({
      dialogId: next.dialogId,
      headers: [['RAck', '20 1 INVITE'], {}, {}],
    })
    next.respond(200)
    ack(a)
    expect(told(a)).toEqual(['183RD', '180R', '183R', '200'])
    expect(sip.all('INVITE')).toHaveLength(2)
  })

  it('of the next target, to a caller without UPDATE, is a re-INVITE when the call is up', () => {
    const scenario = createScenario()
    const { sip, ack } = scenario
    const { a, b } = agreeEarly(scenario)
    b.respond(503)
    sip.last('INVITE').respond(200, { body: farSdp('7000') })
    expect(told(a)).toEqual(['183RD', '200'])
    ack(a)
    expect(sip.last('INVITE').request).toMatchObject({
      dialogId: a.openedDialog,
      body: { content: expect.stringContaining('m=audio 7000') },
    })
  })

  it.each([491, 500])('whose UPDATE gets %i is offered when the call is up', (status) => {
    const scenario = createScenario()
    const { sip, ack } = scenario
    const { a, b } = agreeEarly(scenario, { ofA: knowsUpdate })
    b.respond(183, { body: farSdp('6000'), headers: reliable(50), toTag: 'b2' })
    sip.last('UPDATE').respond(status)
    b.respond(200, { toTag: 'b2' })
    ack(a)
    const versions = [sip.last('UPDATE'), sip.last('INVITE')].map(
      ({ request }) => /o=- \d+ (\d+)/.exec(request.body?.content ?? '')?.[1],
    )
    expect(versions).toEqual(['2', '2'])
  })
})

describe('PRACK and the end of a call', () => {
  it('a caller that cancels after a reliable answer cancels the callee, and its PRACK is passed over', () => {
    const scenario = createScenario()
    const { sip, invite, calls } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    a.cancel()
    expect(prack(scenario, a).statuses).toEqual([481])
    expect(b.cancelled).toEqual([])
    b.respond(487)
    expect(calls.count).toBe(0)
  })

  it('an offer in PRACK that is open when the call ends leaves nothing behind', () => {
    const scenario = createScenario()
    const { sip, invite, calls } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    prack(scenario, a, sdp('4002', 2))
    a.cancel()
    b.respond(487)
    expect(calls.count).toBe(1)
    sip.last('PRACK').respond(481)
    expect(calls.count).toBe(0)
  })

  it('a 200 that waits for the PRACK when the caller cancels is taken back (RFC 3262 section 3)', () => {
    const scenario = createScenario()
    const { sip, invite, calls } = scenario
    const a = invite({ headers: supports })
    a.refusesFinal = true
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    b.respond(200)
    expect(b.acks).toHaveLength(1)
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })
})
