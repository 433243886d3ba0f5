import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { createScenario, farSdp, type Scenario, sdp } from './testing/scenario.ts'
import { allow, aloneOnB, call, expires, seconds, supported, timerFields } from './testing/timed-call.ts'

const legs = ({ calls }: Scenario) => [calls.list()[0]?.legA.session, calls.list()[0]?.legB?.session]

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
    expect(again.header('From')).toBe('"Alice" <sip:1000@203.0.113.1>;tag=local')
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
    ['20', 20],
    ['4294967295', 600],
    ['99999999999999999999', 600],
  ])('sends one that got 503 again after Retry-After %s, ten minutes at most: %i s', (retryAfter, wait) => {
    const { sip, clock } = aloneOnB()
    clock.advance(seconds(900))
    sip.last('INVITE').respond(503, { headers: [['Retry-After', retryAfter]] })
    clock.advance(seconds(wait) - 1)
    expect(sip.all('INVITE')).toHaveLength(2)
    clock.advance(1)
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it.each(['20', '900'])('has a last try before the session expires, whatever Retry-After %s wants', (retryAfter) => {
    const timer = { expiresSeconds: 90, minSeSeconds: 90, alwaysRequest: true }
    const { sip, clock, ended } = call([], expires('90;refresher=uac'), { timer })
    clock.advance(seconds(45))
    sip.last('INVITE').respond(503, { headers: [['Retry-After', retryAfter]] })
    // The session expires at 60 s (RFC 4028 section 10).
    clock.advance(seconds(10))
    expect(sip.all('INVITE')).toHaveLength(3)
    sip.last('INVITE').respond(200, { body: farSdp('5000'), headers: expires('90;refresher=uac') })
    clock.advance(seconds(20))
    expect(ended).toEqual([])
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

describe('a refresh whose answer changes the description', () => {
  it.each(['Block', 'PassThroughMediaChange'] as const)('is nothing to the other leg with %s', (mode) => {
    const { sip, clock } = aloneOnB({ sip: { midcall: { mode } } })
    clock.advance(seconds(900))
    const refresh = sip.last('INVITE')
    refresh.respond(200, { body: farSdp('5008', 2), headers: expires('1800;refresher=uac') })
    expect(sip.last('INVITE')).toBe(refresh)
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

  it('refreshes of both sides that are answered at once hold nothing up once both ACKs are there', () => {
    const both = [...supported, ...expires('1800;refresher=uac')]
    const { sip, a, b, fromA, fromB, ack } = call([...supported, ...expires('1800')], expires('1800;refresher=uac'), {
      timer,
    })
    const ofA = fromA(a, 'INVITE', { body: sdp('4000'), headers: both })
    const ofB = fromB(b, 'INVITE', { body: farSdp('5000'), headers: both })
    expect([ofA.statuses, ofB.statuses]).toEqual([[200], [200]])
    fromA(a, 'INFO')
    sip.receive({ method: 'ACK', dialogId: b.dialogId, transactionId: ofB.transactionId })
    expect(sip.all('INFO')).toEqual([])
    ack(ofA)
    expect(sip.all('INFO')).toHaveLength(1)
  })

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
