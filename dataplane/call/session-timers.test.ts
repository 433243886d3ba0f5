import { describe, expect, it } from 'vitest'
import { builtInBehaviour, type ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { ResolvedSessionTimer } from '#api/session-behaviour.ts'
import type { FakeIncoming, FakeOutgoing } from '../sip/fake-sip-port.ts'
import { type HeaderList, SipPortError } from '../sip/port.ts'
import { createScenario, farSdp, type Scenario, sdp } from './testing/scenario.ts'

const allow: HeaderList = [['Allow', 'INVITE, ACK, BYE, CANCEL, UPDATE']]
const supported: HeaderList = [['Supported', 'timer']]
const expires = (value: string): HeaderList => [['Session-Expires', value]]

interface Up extends Scenario {
  readonly a: FakeIncoming
  readonly b: FakeOutgoing
}

/** A call that is up: what the caller asks, and what the callee answers. */
function call(
  caller: HeaderList,
  callee: HeaderList,
  options: { timer?: Partial<ResolvedSessionTimer>; sip?: Partial<ResolvedSipBehaviour> } = {},
): Up {
  const sessionTimer = { ...builtInBehaviour.sessionTimer, ...options.timer }
  const scenario = createScenario({ sip: { sessionTimer, ...options.sip }, targets: 1 })
  const a = scenario.invite({ headers: caller })
  const b = scenario.sip.last('INVITE')
  b.respond(200, { body: farSdp('5000'), headers: callee })
  scenario.ack(a)
  return { ...scenario, a, b }
}

const timerFields = (headers: HeaderList = []) =>
  Object.fromEntries(headers.filter(([name]) => ['Session-Expires', 'Min-SE', 'Require', 'Supported'].includes(name)))
const seconds = (count: number) => count * 1000
const legs = ({ calls }: Scenario) => [calls.list()[0]?.legA.session, calls.list()[0]?.legB?.session]

/** The caller ignores timers, the callee leaves the refreshes to us (R6 of feature item 26). */
const aloneOnB = (options: Parameters<typeof call>[2] = {}, callee: HeaderList = []) =>
  call([], [...expires('1800;refresher=uac'), ['Require', 'timer'], ...callee], {
    ...options,
    timer: { alwaysRequest: true, ...options.timer },
  })

describe('422 (RFC 4028 section 6)', () => {
  it('goes to a caller whose interval is too short, and no call is made (feature item 5, check 1)', () => {
    const { invite, sip, calls } = createScenario()
    const a = invite({ headers: [...supported, ...expires('600')] })
    expect(a.lastAnswer).toEqual({ status: 422, headers: [['Min-SE', '1800']] })
    expect([sip.sent, calls.count]).toEqual([[], 0])
  })

  it('of the callee is met by a second INVITE of the same call with its Min-SE (feature item 5, check 2)', () => {
    const { invite, sip } = createScenario({ targets: 1 })
    const a = invite({ headers: [...supported, ...expires('1800')] })
    sip.last('INVITE').respond(422, { headers: [['Min-SE', '3600']] })
    const again = sip.last('INVITE')
    expect(sip.all('INVITE')).toHaveLength(2)
    expect(timerFields(again.request.headers)).toEqual({
      'Session-Expires': '3600',
      'Min-SE': '3600',
      Supported: 'timer',
    })
    expect(again.header('Call-ID')).toBe('fake-call-id')
    expect(again.header('CSeq')).toBe('2 INVITE')
    expect(again.header('From')).toBe('<sip:1000@192.0.2.1>;tag=local')
    again.respond(200, { body: farSdp('5000'), headers: expires('3600;refresher=uas') })
    expect(timerFields(a.lastAnswer.headers)).toMatchObject({ 'Session-Expires': '1800;refresher=uas' })
  })

  it.each([
    ['without Min-SE', []],
    ['that wants no more than was asked', [['Min-SE', '1800']]],
    ['that wants more than a day', [['Min-SE', '86401']]],
  ] as const)('of the callee %s gets the caller 500', (_case, headers) => {
    const { invite, sip } = createScenario({ targets: 1 })
    const a = invite({ headers: [...supported, ...expires('1800')] })
    sip.last('INVITE').respond(422, { headers })
    expect(a.statuses).toEqual([500])
  })

  it('that grows every time comes to an end', () => {
    const { invite, sip } = createScenario({ targets: 1 })
    const a = invite({ headers: [...supported, ...expires('1800')] })
    for (let minimum = 2000; a.statuses.length === 0; minimum += 100) {
      sip.last('INVITE').respond(422, { headers: [['Min-SE', String(minimum)]] })
    }
    expect([a.statuses, sip.all('INVITE').length]).toEqual([[500], 9])
  })

  it('answers a re-INVITE with too short an interval, and meets one from the other side', () => {
    const { a, fromA, sip } = call([...supported, ...expires('1800;refresher=uac')], expires('1800;refresher=uac'))
    const short = fromA(a, 'INVITE', { body: sdp('4000'), headers: [...supported, ...expires('300;refresher=uac')] })
    expect(short.lastAnswer).toEqual({ status: 422, headers: [['Min-SE', '1800']] })
    const again = fromA(a, 'INVITE', { body: sdp('4000'), headers: [...supported, ...expires('1800;refresher=uac')] })
    sip.last('INVITE').respond(422, { headers: [['Min-SE', '2000']] })
    expect(sip.last('INVITE').header('Session-Expires')).toBe('2000;refresher=uac')
    sip.last('INVITE').respond(200, { body: farSdp('5000'), headers: expires('2000;refresher=uac') })
    expect(again.lastAnswer.status).toBe(200)
  })
})

describe('what each side is told', () => {
  it('alwaysRequest asks the callee; a caller without timers hears nothing (feature item 5, check 3)', () => {
    const { a, b } = aloneOnB()
    expect(timerFields(b.request.headers)).toEqual({ 'Session-Expires': '1800', 'Min-SE': '1800', Supported: 'timer' })
    expect(timerFields(a.lastAnswer.headers)).toEqual({ Supported: 'timer' })
  })

  it('Require: timer goes into no INVITE, whatever the caller requires', () => {
    const { b } = call([['Require', 'timer'], ...expires('1800;refresher=uac')], expires('1800;refresher=uac'))
    expect(b.header('Require')).toBeUndefined()
    expect(timerFields(b.request.headers)).toMatchObject({ Supported: 'timer' })
  })

  it('Disabled: a caller that requires timers gets 420, any other one hears nothing of them', () => {
    const sessionTimer = { ...builtInBehaviour.sessionTimer, mode: 'Disabled' } as const
    const { invite, sip } = createScenario({ sip: { sessionTimer }, targets: 1 })
    expect(invite({ headers: [['Require', 'timer']] }).lastAnswer).toEqual({
      status: 420,
      headers: [['Unsupported', 'timer']],
    })
    invite({ headers: [...supported, ...expires('600')] })
    expect(timerFields(sip.last('INVITE').request.headers)).toEqual({})
  })

  it('LegByLeg: the caller has its own interval and refresher (feature item 5, check 7)', () => {
    const up = call([...supported, ...expires('3600')], expires('2400;refresher=uas'), { timer: { mode: 'LegByLeg' } })
    expect(timerFields(up.b.request.headers)).toMatchObject({ 'Session-Expires': '1800' })
    expect(timerFields(up.a.lastAnswer.headers)).toMatchObject({
      'Session-Expires': '1800;refresher=uac',
      Require: 'timer',
    })
    expect(legs(up)).toMatchObject([
      { refresher: 'PeerA', intervalSeconds: 1800 },
      { refresher: 'PeerB', intervalSeconds: 2400 },
    ])
  })
})

describe('the fleet as refresher', () => {
  it('refreshes the one leg at half the interval, and the other hears nothing (feature item 5, check 4; item 26, check 4)', () => {
    const up = aloneOnB()
    const { sip, clock, b, calls } = up
    expect(legs(up)).toMatchObject([
      { refresher: undefined, because: 'none agreed' },
      { refresher: 'Sbc', intervalSeconds: 1800 },
    ])
    clock.advance(seconds(855))
    expect(sip.all('INVITE')).toHaveLength(1)
    clock.advance(seconds(45))
    const refresh = sip.last('INVITE')
    expect(refresh.request.dialogId).toBe(b.dialogId)
    expect(timerFields(refresh.request.headers)).toEqual({
      'Session-Expires': '1800;refresher=uac',
      'Min-SE': '1800',
      Supported: 'timer',
    })
    refresh.respond(200, { body: farSdp('5000'), headers: [...expires('1800;refresher=uac'), ['Require', 'timer']] })
    expect(refresh.acks).toHaveLength(1)
    clock.advance(seconds(1000))
    expect(sip.all('INVITE')).toHaveLength(3)
    expect(calls.list()[0]?.state).toBe('Up')
  })

  it('repeats the description byte for byte, o= included (feature item 5, check 6)', () => {
    const { sip, clock, b } = aloneOnB()
    clock.advance(seconds(900))
    expect(sip.last('INVITE').request.body?.content).toBe(b.request.body?.content)
  })

  it('uses UPDATE without a description where the peer allows it, and re-INVITE when it does not after all', () => {
    const { sip, clock } = aloneOnB({}, allow)
    clock.advance(seconds(900))
    const update = sip.last('UPDATE')
    expect(update.request.body).toBeUndefined()
    expect(timerFields(update.request.headers)).toMatchObject({ 'Session-Expires': '1800;refresher=uac' })
    update.respond(405)
    expect(sip.all('INVITE')).toHaveLength(2)
  })

  it.each([
    ['ReInvite', 'INVITE'],
    ['Update', 'UPDATE'],
  ] as const)('method %s sends %s', (method, sent) => {
    const { sip, clock } = aloneOnB({ timer: { method } }, allow)
    const before = sip.all(sent).length
    clock.advance(seconds(900))
    expect(sip.all(sent)).toHaveLength(before + 1)
  })

  it('refreshes both legs where takeRefresherRole is Always, whatever they know', () => {
    const { sip, clock, a, b } = call([], [], { timer: { takeRefresherRole: 'Always' } })
    clock.advance(seconds(900))
    // One after the other: the requests of a call go in one queue.
    expect(sip.last('INVITE').request.dialogId).toBe(a.openedDialog)
    sip.last('INVITE').respond(200, { body: sdp('4000') })
    expect(sip.last('INVITE').request.dialogId).toBe(b.dialogId)
  })

  it('takes the role towards the caller when the callee knows no timers (feature item 26, check 7)', () => {
    const { a, sip, clock } = call([...supported, ...expires('1800;refresher=uas')], [])
    expect(timerFields(a.lastAnswer.headers)).toMatchObject({ 'Session-Expires': '1800;refresher=uas' })
    clock.advance(seconds(900))
    expect(sip.last('INVITE').request.dialogId).toBe(a.openedDialog)
    expect(sip.last('INVITE').header('Session-Expires')).toBe('1800;refresher=uac')
  })

  it('goes on when the answer to a refresh leaves the timer out', () => {
    const { sip, clock } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    clock.advance(seconds(900))
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it('asks for longer after a 422 to its refresh', () => {
    const { sip, clock } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(422, { headers: [['Min-SE', '2000']] })
    expect(sip.last('INVITE').header('Session-Expires')).toBe('2000;refresher=uac')
  })

  it('passes a description on that the peer changes in its answer', () => {
    const { sip, clock, a } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(200, { body: farSdp('5008', 2), headers: expires('1800;refresher=uac') })
    expect(sip.last('INVITE').request.dialogId).toBe(a.openedDialog)
    expect(sip.last('INVITE').request.body?.content).toContain('m=audio 5008')
  })
})

describe('a session that is not refreshed', () => {
  it.each([
    ['the caller', '1800;refresher=uac', 'A'],
    ['the callee', '1800;refresher=uas', 'A'],
  ] as const)('by %s ends with BYE to both 32 s before its end (feature item 5, check 5)', (_who, value, leg) => {
    const { clock, sip, a, b, ended } = call([...supported, ...expires('1800')], expires(value))
    clock.advance(seconds(1767))
    expect(sip.all('BYE')).toEqual([])
    clock.advance(seconds(1))
    expect(sip.all('BYE').map(({ request }) => request.dialogId)).toEqual([a.openedDialog, b.dialogId])
    for (const bye of sip.all('BYE')) expect(bye.header('Reason')).toBe('SIP;cause=408;text="Session timer expired"')
    expect(ended).toEqual([{ kind: 'Expired', leg }])
  })

  it('is kept up by the refreshes of the peer, which reach the other side with the role (feature item 8, check 1)', () => {
    const { clock, sip, a, fromA, ack, b } = call(
      [...supported, ...expires('1800;refresher=uac')],
      expires('1800;refresher=uac'),
    )
    for (let turn = 0; turn < 3; turn++) {
      clock.advance(seconds(900))
      const refresh = fromA(a, 'INVITE', {
        body: sdp('4000'),
        headers: [...supported, ...expires('1800;refresher=uac')],
      })
      const onB = sip.last('INVITE')
      expect(onB.header('Session-Expires')).toBe('1800;refresher=uac')
      expect(onB.request.body?.content).toBe(b.request.body?.content)
      onB.respond(200, { body: farSdp('5000'), headers: [...expires('1800;refresher=uac'), ['Require', 'timer']] })
      expect(timerFields(refresh.lastAnswer.headers)).toMatchObject({ 'Session-Expires': '1800;refresher=uac' })
      ack(refresh)
    }
    clock.advance(seconds(1767))
    expect(sip.all('BYE')).toEqual([])
    clock.advance(seconds(1))
    expect(sip.all('BYE')).toHaveLength(2)
  })

  it('leaves no timer behind', () => {
    const { clock, fromA, a, sip } = aloneOnB()
    fromA(a, 'BYE')
    sip.last('BYE').respond(200)
    expect(clock.pending).toBe(0)
  })

  it('whose refreshes are refused all the time ends, too', () => {
    const { clock, sip, ended } = aloneOnB()
    for (let passed = 0; passed < 1768 && ended.length === 0; passed++) {
      clock.advance(seconds(1))
      const last = sip.last('INVITE')
      if (passed > 850 && last.acks.length === 0) last.respond(500)
    }
    expect(ended).toEqual([{ kind: 'Expired', leg: 'B' }])
  })
})

describe('races of a refresh of our own', () => {
  it('with a re-INVITE of the same peer: 491 for that one (feature item 26 (d))', () => {
    const { clock, sip, b, fromB } = aloneOnB()
    clock.advance(seconds(900))
    const own = sip.last('INVITE')
    expect(fromB(b, 'INVITE', { body: farSdp('5002', 2) }).statuses).toEqual([491])
    own.respond(200, { body: farSdp('5000'), headers: expires('1800;refresher=uac') })
    fromB(b, 'INVITE', { body: farSdp('5002', 2) })
    expect(sip.last('INVITE')).not.toBe(own)
  })

  it('with a re-INVITE of the other peer: it waits, and is carried once', () => {
    const { clock, sip, a, fromA, b } = aloneOnB()
    clock.advance(seconds(900))
    const own = sip.last('INVITE')
    const hold = fromA(a, 'INVITE', { body: sdp('4002', 2) })
    expect(sip.last('INVITE')).toBe(own)
    own.respond(200, { body: farSdp('5000'), headers: expires('1800;refresher=uac') })
    const carried = sip.last('INVITE')
    expect([carried.request.dialogId, carried.request.body?.content.includes('m=audio 4002')]).toEqual([
      b.dialogId,
      true,
    ])
    expect(carried.header('Session-Expires')).toBe('1800;refresher=uac')
    carried.respond(200, { body: farSdp('5002', 2), headers: expires('1800;refresher=uac') })
    expect(hold.statuses).toEqual([200])
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it('with a re-INVITE of a peer that is under way: it waits for that, which refreshes as well', () => {
    const { clock, sip, a, fromA, ack } = aloneOnB()
    clock.advance(seconds(870))
    const hold = fromA(a, 'INVITE', { body: sdp('4002', 2) })
    clock.advance(seconds(30))
    expect(sip.all('INVITE')).toHaveLength(2)
    sip.last('INVITE').respond(200, { body: farSdp('5002', 2), headers: expires('1800;refresher=uac') })
    ack(hold)
    clock.advance(seconds(800))
    expect(sip.all('INVITE')).toHaveLength(2)
    clock.advance(seconds(100))
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it('491: it tries again after 2.1 to 4 s on the leg whose Call-ID is ours (RFC 3261 section 14.1)', () => {
    const { clock, sip } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(491)
    clock.advance(2_099)
    expect(sip.all('INVITE')).toHaveLength(2)
    clock.advance(1_901)
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it('491: a refresh of the peer that comes meanwhile makes it superfluous', () => {
    const { clock, sip, b, fromB, ack } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(491)
    const refresh = fromB(b, 'INVITE', {
      body: farSdp('5000'),
      headers: [...supported, ...expires('1800;refresher=uas')],
    })
    sip.last('INVITE').respond(200, { body: sdp('4000') })
    ack(refresh)
    const count = sip.all('INVITE').length
    clock.advance(seconds(800))
    expect(sip.all('INVITE')).toHaveLength(count)
  })

  it('with BYE: what is under way is acknowledged, and nothing comes after', () => {
    const { clock, sip, a, fromA, calls } = aloneOnB()
    clock.advance(seconds(900))
    const own = sip.last('INVITE')
    fromA(a, 'BYE')
    own.respond(200, { body: farSdp('5000') })
    expect(own.acks).toHaveLength(1)
    sip.last('BYE').respond(200)
    expect([calls.count, clock.pending]).toEqual([0, 0])
  })

  it.each([
    [481, ['A']],
    [408, ['A', 'B']],
  ] as const)('%i to it: BYE to %j, with the cause', (status, sides) => {
    const { clock, sip, a, b, ended } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(status, { local: status === 408 })
    const dialogs = { A: a.openedDialog, B: b.dialogId }
    expect(sip.all('BYE').map(({ request }) => request.dialogId)).toEqual(sides.map((side) => dialogs[side]))
    expect(sip.all('BYE')[0]?.header('Reason')).toContain(`SIP;cause=${status}`)
    expect(ended).toEqual([{ kind: 'Lost', leg: 'B' }])
  })

  it('that the SIP server cannot send for an INVITE of the peer waits for its end', () => {
    const { clock, sip } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').fail(new SipPortError('InviteInProgress', 'another INVITE is in progress'))
    clock.advance(seconds(2))
    expect(sip.all('INVITE')).toHaveLength(3)
  })
})

describe('leg by leg', () => {
  const timer = { mode: 'LegByLeg' } as const

  it.each([
    ['INVITE', sdp('4000')],
    ['UPDATE', undefined],
  ] as const)(
    'a refresh by %s is answered here, and the other side hears nothing (feature item 8, check 2)',
    (method, body) => {
      const { sip, a, fromA, ack, clock } = call([...supported, ...expires('1800')], [], { timer })
      const before = sip.sent.length
      clock.advance(seconds(900))
      const headers = [...supported, ...expires('1800;refresher=uac')]
      const refresh = fromA(a, method, { headers, ...(body !== undefined && { body }) })
      expect(refresh.lastAnswer.status).toBe(200)
      expect(timerFields(refresh.lastAnswer.headers)).toEqual({
        'Session-Expires': '1800;refresher=uac',
        Require: 'timer',
        Supported: 'timer',
      })
      const first = a.answers.find(({ status }) => status === 200)?.body
      expect(refresh.lastAnswer.body).toEqual(method === 'INVITE' ? first : undefined)
      expect(sip.sent).toHaveLength(before)
      ack(refresh)
      clock.advance(seconds(1767))
      expect(sip.all('BYE')).toEqual([])
      clock.advance(seconds(1))
      expect(sip.all('BYE')).toHaveLength(2)
    },
  )

  it('an offer that changes something goes to the other side, with the timer of that leg', () => {
    const { sip, a, fromA } = call([...supported, ...expires('1800')], expires('3600;refresher=uas'), { timer })
    fromA(a, 'INVITE', { body: sdp('4002', 2), headers: [...supported, ...expires('1800;refresher=uac')] })
    expect(sip.last('INVITE').header('Session-Expires')).toBe('3600;refresher=uas')
  })
})

describe('what is shown of a call', () => {
  it('who refreshes each leg, when next, the deadline, and why', () => {
    const up = aloneOnB()
    const start = up.clock.wallTime()
    const [onA, onB] = legs(up)
    expect(onA).toEqual({
      refresher: undefined,
      intervalSeconds: undefined,
      nextRefreshAt: undefined,
      deadlineAt: undefined,
      because: 'none agreed',
    })
    expect(onB).toEqual({
      refresher: 'Sbc',
      intervalSeconds: 1800,
      nextRefreshAt: start + 877_500,
      deadlineAt: start + 1_768_000,
      because: 'PeerB named our side in its answer, and PeerA does not refresh this leg',
    })
  })
})
