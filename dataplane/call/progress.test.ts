import { describe, expect, it } from 'vitest'
import { builtInBehaviour, type Reliable1xx } from '#api/sip-behaviour.ts'
import type { FakeIncoming, FakeOutgoing } from '../sip/fake-sip-port.ts'
import { prack, reliable, requires, supports } from './testing/reliable-call.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

/** Behaviour of the leg to the callee; the caller's is what is built in. */
const callee = (reliable1xx: Reliable1xx) => ({ sip: { reliable1xx }, inbound: builtInBehaviour })
const caller = (reliable1xx: Reliable1xx) => ({ sip: {}, inbound: { ...builtInBehaviour, reliable1xx } })

const of100rel = ({ request }: FakeOutgoing) =>
  request.headers.filter(([, value]) => value.includes('100rel')).map(([name]) => name)
const isReliable = ({ headers = [] }: FakeIncoming['answers'][number]) =>
  headers.some(([name, value]) => name === 'Require' && value === '100rel')
/** Provisional and final answers that the caller got, with an R where they are reliable and a D where they describe. */
const told = ({ answers }: FakeIncoming) =>
  answers.map((answer) => `${answer.status}${isReliable(answer) ? 'R' : ''}${answer.body === undefined ? '' : 'D'}`)
const portsOf = ({ answers }: FakeIncoming) => answers.map(({ body }) => /m=audio (\d+)/.exec(body?.content ?? '')?.[1])

describe('what the INVITE to the callee says of 100rel (feature item 6)', () => {
  it.each([
    ['Supported', [], ['Supported']],
    ['Supported', supports, ['Supported']],
    ['Require', [], ['Require', 'Supported']],
    ['Disabled', supports, []],
    ['Disabled', requires, []],
  ] as const)('reliable1xx %s, caller %j: %j', (mode, headers, expected) => {
    const { sip, invite } = createScenario(callee(mode))
    invite({ headers })
    expect(of100rel(sip.last('INVITE'))).toEqual(expected)
  })

  it('nothing where there is no offer and the caller could not answer one in PRACK (RFC 3262 section 5)', () => {
    const { sip, invite } = createScenario(callee('Require'))
    invite({ body: 'none' })
    expect(of100rel(sip.last('INVITE'))).toEqual([])
    invite({ body: 'none', headers: supports })
    expect(of100rel(sip.last('INVITE'))).toEqual(['Require', 'Supported'])
  })
})

describe('a caller is refused', () => {
  it('with 420 when it requires what is disabled (RFC 3261 section 8.2.2.3)', () => {
    const { sip, invite } = createScenario(caller('Disabled'))
    expect(invite({ headers: requires }).answers).toEqual([{ status: 420, headers: [['Unsupported', '100rel']] }])
    expect(sip.sent).toEqual([])
  })

  it('with 421 when it cannot do what is required (RFC 3261 section 21.4.15)', () => {
    const { sip, invite } = createScenario(caller('Require'))
    expect(invite().answers).toEqual([{ status: 421, headers: [['Require', '100rel']] }])
    expect(invite({ headers: supports }).answers).toEqual([])
    expect(sip.all('INVITE')).toHaveLength(1)
  })

  it.each([420, 421])('with 500 when the callee says %i to what only this fleet wanted', (status) => {
    const { sip, invite } = createScenario(callee('Require'))
    const a = invite()
    sip.last('INVITE').respond(status, { headers: [['Unsupported', '100rel']] })
    expect(a.statuses).toEqual([500])
    expect(a.lastAnswer.headers?.some(([name]) => name === 'Unsupported')).toBe(false)
  })
})

describe('a reliable answer of the callee', () => {
  it('goes to a caller that cannot as a plain one, and is acknowledged from here (feature item 6, check 5)', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable(7) })
    expect(told(a)).toEqual(['183D'])
    const { request } = sip.last('PRACK')
    expect([request.dialogId, request.headers[0], request.body]).toEqual([
      b.dialogId,
      ['RAck', '7 1 INVITE'],
      undefined,
    ])
  })

  it('goes on reliably to a caller that can, and its PRACK back (RFC 3262 section 3)', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable(7) })
    expect([told(a), sip.all('PRACK')]).toEqual([['183RD'], []])
    expect(prack(scenario, a).statuses).toEqual([200])
    expect(sip.last('PRACK').request.headers[0]).toEqual(['RAck', '7 1 INVITE'])
    b.respond(200)
    expect(told(a)).toEqual(['183RD', '200'])
    expect(b.acks).toEqual([{ body: undefined }])
  })

  it('that is no 18x is acknowledged from here, and the caller hears nothing', () => {
    const { sip, invite } = createScenario()
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(199, { headers: reliable(3) })
    expect([told(a), sip.last('PRACK').request.headers[0]]).toEqual([[], ['RAck', '3 1 INVITE']])
  })

  it('is told again in the 200 to a caller that cannot, where the callee does not repeat it (feature item 12, check 6)', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(180, { body: farSdp('5000'), headers: reliable() })
    b.respond(200)
    expect([told(a), portsOf(a)]).toEqual([
      ['180D', '200D'],
      ['5000', '5000'],
    ])
    expect(a.answers[1]?.body).toEqual(a.answers[0]?.body)
  })

  it('does not hold up the 200 to the caller: the PRACK may come later', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    b.respond(180, { headers: reliable(9) })
    b.respond(200, { body: farSdp('5000') })
    expect(told(a)).toEqual(['180R', '200D'])
    expect(prack(scenario, a).statuses).toEqual([200])
    expect(sip.last('PRACK').request.headers[0]).toEqual(['RAck', '9 1 INVITE'])
  })

  it('is acknowledged in the order in which the caller does', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable(1) })
    b.respond(180, { headers: reliable(2) })
    prack(scenario, a)
    prack(scenario, a)
    expect(sip.all('PRACK').map(({ request }) => request.headers[0]?.[1])).toEqual(['1 1 INVITE', '2 1 INVITE'])
  })
})

describe('a reliable answer that the server does not send, since too many wait', () => {
  it('is acknowledged from here, and a later PRACK of the caller is of a later one (RFC 3262 section 3)', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    const acknowledged = () => sip.all('PRACK').map(({ request }) => request.headers[0]?.[1])
    b.respond(180, { headers: reliable(1) })
    a.refusesReliable = true
    b.respond(180, { headers: reliable(2) })
    expect([told(a), acknowledged()]).toEqual([['180R'], ['2 1 INVITE']])
    a.refusesReliable = false
    b.respond(180, { headers: reliable(3) })
    prack(scenario, a)
    prack(scenario, a)
    expect(acknowledged()).toEqual(['2 1 INVITE', '1 1 INVITE', '3 1 INVITE'])
  })

  it('has told the caller nothing: the description comes with the 200', () => {
    const { sip, invite } = createScenario()
    const a = invite({ headers: supports })
    const b = sip.last('INVITE')
    a.refusesReliable = true
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    b.respond(200)
    expect([told(a), portsOf(a)]).toEqual([['200D'], ['5000']])
  })

  it('has no PRACK where the caller would have to answer its offer (RFC 3262 section 5)', () => {
    const { sip, invite, ack } = createScenario()
    const a = invite({ body: 'none', headers: supports })
    const b = sip.last('INVITE')
    a.refusesReliable = true
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    expect(sip.all('PRACK')).toEqual([])
    b.respond(200, { body: farSdp('5000') })
    expect(told(a)).toEqual(['200D'])
    ack(a, sdp('4000'))
    expect(b.acks[0]?.body?.content).toContain('m=audio 4000')
  })
})

describe('a plain answer of the callee', () => {
  it('stays plain to a caller that only can', () => {
    const { sip, invite } = createScenario()
    const a = invite({ headers: supports })
    sip.last('INVITE').respond(183, { body: farSdp('5000') })
    expect(told(a)).toEqual(['183D'])
  })

  it.each([
    ['to a caller that requires it', {}, requires],
    ['where its trunk does', caller('Require'), supports],
  ] as const)('becomes reliable %s, and its PRACK ends here (RFC 3262 section 3)', (_where, options, headers) => {
    const scenario = createScenario(options)
    const { sip, invite } = scenario
    const a = invite({ headers })
    sip.last('INVITE').respond(180)
    expect(told(a)).toEqual(['180R'])
    expect(prack(scenario, a).statuses).toEqual([200])
    expect(sip.all('PRACK')).toEqual([])
  })

  it('with an offer in the PRACK of a caller that requires it: 488, since the callee has agreed on nothing yet', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite({ headers: requires })
    sip.last('INVITE').respond(183, { body: farSdp('5000') })
    expect(prack(scenario, a, sdp('4002', 2)).statuses).toEqual([488])
  })

  it('that is followed by another answer of the same callee is corrected when the call is up', () => {
    const scenario = createScenario()
    const { sip, invite, ack } = scenario
    const a = invite({ headers: requires })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000') })
    prack(scenario, a)
    b.respond(200, { body: farSdp('6000', 2) })
    expect(told(a)).toEqual(['183RD', '200'])
    ack(a)
    const again = sip.last('INVITE')
    expect(again.request.dialogId).toBe(a.openedDialog)
    expect(again.request.body?.content).toContain('m=audio 6000')
  })
})

describe('without an offer in the INVITE (RFC 3262 section 5)', () => {
  it('the reliable answer has it, and PRACK the answer, from end to end', () => {
    const scenario = createScenario()
    const { sip, invite, ack } = scenario
    const a = invite({ body: 'none', headers: supports })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    expect(told(a)).toEqual(['183RD'])
    expect(prack(scenario, a, sdp('4000')).statuses).toEqual([200])
    expect(sip.last('PRACK').request.body?.content).toContain('m=audio 4000')
    b.respond(200)
    expect([told(a), b.acks]).toEqual([['183RD', '200'], [{ body: undefined }]])
    ack(a)
    expect(b.acks).toHaveLength(1)
  })

  it('nothing is sent reliably before there is one, and nothing at all to a caller that requires it', () => {
    for (const [headers, expected] of [
      [supports, ['180']],
      [requires, []],
    ] as const) {
      const { sip, invite } = createScenario()
      const a = invite({ body: 'none', headers })
      sip.last('INVITE').respond(180, { headers: reliable() })
      expect(told(a)).toEqual(expected)
      expect(sip.all('PRACK')).toHaveLength(1)
    }
  })

  it('the offer in a plain answer is none yet: a caller that requires reliable ones gets that of the 200', () => {
    const { sip, invite, ack } = createScenario()
    const a = invite({ body: 'none', headers: requires })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000') })
    b.respond(200, { body: farSdp('5000') })
    expect(told(a)).toEqual(['200D'])
    ack(a, sdp('4000'))
    expect(b.acks[0]?.body?.content).toContain('m=audio 4000')
  })
})
