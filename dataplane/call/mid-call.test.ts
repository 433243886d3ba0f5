import { describe, expect, it } from 'vitest'
import { SipPortError } from '../sip/port.ts'
import { agreeEarly } from './testing/reliable-call.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

describe('a re-INVITE', () => {
  it('of the caller goes to the callee, and its 200 and ACK back and forth', () => {
    const { sip, connect, fromA, ack, calls } = createScenario()
    const { invite, b } = connect()
    const again = fromA(invite, 'INVITE', {
      body: sdp('4002', 2),
      headers: [
        ['Session-Expires', '1800;refresher=uac'],
        ['Supported', 'timer, 100rel'],
      ],
    })
    const onB = sip.last('INVITE')
    expect(onB.request.dialogId).toBe(b.dialogId)
    expect(onB.request.body?.content).toContain('m=audio 4002')
    expect(Object.fromEntries(onB.request.headers)).toMatchObject({
      'Session-Expires': '1800;refresher=uac',
      Supported: 'timer',
      Contact: '<sip:1000@203.0.113.1:5060>',
    })
    onB.respond(200, {
      body: farSdp('5002', 2),
      headers: [
        ['Session-Expires', '1800;refresher=uac'],
        ['Require', 'timer'],
      ],
    })
    expect(onB.acks).toEqual([{ body: undefined }])
    expect(again.lastAnswer.status).toBe(200)
    expect(again.lastAnswer.body?.content).toContain('m=audio 5002')
    expect(again.lastAnswer.headers).toEqual(
      expect.arrayContaining([
        ['Session-Expires', '1800;refresher=uac'],
        ['Require', 'timer'],
      ]),
    )
    ack(again)
    expect(calls.list()[0]?.state).toBe('Up')
  })

  it('of the callee goes to the caller', () => {
    const { sip, connect, fromB } = createScenario()
    const { invite, b } = connect()
    const again = fromB(b, 'INVITE', { body: farSdp('5002', 2) })
    const onA = sip.last('INVITE')
    expect(onA.request.dialogId).toBe(invite.openedDialog)
    onA.respond(200, { body: sdp('4000') })
    expect(again.statuses).toEqual([200])
  })

  it('that changes nothing leaves the version of o= as it is (RFC 4028 section 7.4, feature item 5, check 6)', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    const first = sip.last('INVITE').request.body?.content
    fromA(invite, 'INVITE', { body: sdp('4000') })
    expect(sip.last('INVITE').request.body?.content).toBe(first)
  })

  it('without offer takes the offer of the 200 back and the answer of the ACK there', () => {
    const { sip, connect, fromA, ack } = createScenario()
    const { invite } = connect()
    const again = fromA(invite, 'INVITE')
    const onB = sip.last('INVITE')
    onB.respond(200, { body: farSdp('5002', 2) })
    expect(onB.acks).toEqual([])
    ack(again, sdp('4004', 3))
    expect(onB.acks[0]?.body?.content).toContain('m=audio 4004')
  })

  it.each([488, 491, 403])('that fails with %i leaves the call as it was (RFC 3261 section 14.1)', (status) => {
    const { sip, connect, fromA, calls } = createScenario()
    const { invite } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    sip.last('INVITE').respond(status)
    expect(again.statuses).toEqual([status])
    expect(sip.all('BYE')).toEqual([])
    expect(calls.list()[0]?.state).toBe('Up')
    fromA(invite, 'INVITE', { body: sdp('4004', 3) })
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it.each([
    ['Rejected', 500],
    ['InviteInProgress', 491],
  ] as const)('that cannot be sent (%s) gets %i and leaves the call as it was', (code, status) => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    sip.last('INVITE').fail(new SipPortError(code, 'no'))
    expect(again.statuses).toEqual([status])
    fromA(invite, 'INVITE', { body: sdp('4004', 3) })
    expect(sip.all('INVITE')).toHaveLength(3)
  })

  it.each([
    [481, ['A']],
    [408, ['A', 'B']],
  ])('that fails with %i ends the call, with BYE to %j (RFC 3261 section 12.2.1.2)', (status, sides) => {
    const { sip, connect, fromA, ended } = createScenario()
    const { invite, b } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    sip.last('INVITE').respond(status)
    expect(again.statuses).toEqual([status])
    const dialogs = { A: invite.openedDialog, B: b.dialogId }
    expect(sip.all('BYE').map(({ request }) => request.dialogId)).toEqual(
      sides.map((side) => dialogs[side as 'A' | 'B']),
    )
    expect(ended).toEqual([{ kind: 'Lost', leg: 'B' }])
  })

  it('that meets one of the other side: that one gets 491 (RFC 3261 section 14.2)', () => {
    const { sip, connect, fromA, fromB } = createScenario()
    const { invite, b } = connect()
    const ofA = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    expect(fromB(b, 'INVITE', { body: farSdp('5002', 2) }).statuses).toEqual([491])
    expect(sip.all('INVITE')).toHaveLength(2)
    sip.last('INVITE').respond(200, { body: farSdp('5004', 2) })
    expect(ofA.statuses).toEqual([200])
  })

  it('on top of one of the same side gets 500 with Retry-After (RFC 3261 section 14.2)', () => {
    const { connect, fromA } = createScenario()
    const { invite } = connect()
    fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    const second = fromA(invite, 'INVITE', { body: sdp('4004', 3) })
    expect(second.lastAnswer).toEqual({ status: 500, headers: [['Retry-After', '5']] })
  })

  it('of the callee waits for the ACK of the caller (RFC 3261 section 14.1)', () => {
    const { sip, invite, fromB, ack } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    fromB(b, 'INVITE', { body: farSdp('5002', 2) })
    expect(sip.all('INVITE')).toHaveLength(1)
    ack(a)
    expect(sip.last('INVITE').request.dialogId).toBe(a.openedDialog)
  })

  it('before the call is answered gets 500 from the caller and 491 from the callee', () => {
    const { sip, invite, fromA, fromB } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(183)
    expect(fromA(a, 'INVITE').statuses).toEqual([500])
    expect(fromB(b, 'INVITE').statuses).toEqual([491])
  })

  it('that is cancelled is cancelled on the other side, and the call goes on', () => {
    const { sip, connect, fromA, calls } = createScenario()
    const { invite } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    const onB = sip.last('INVITE')
    onB.trying()
    again.cancel()
    expect(onB.cancelled).toEqual([])
    onB.respond(487)
    expect(calls.list()[0]?.state).toBe('Up')
    fromA(invite, 'INVITE', { body: sdp('4004', 3) })
    expect(sip.last('INVITE')).not.toBe(onB)
  })

  it('whose CANCEL crosses with a 200: the side that took the change is offered what was agreed before', () => {
    const { sip, connect, fromA, calls } = createScenario()
    const { invite, b } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    const onB = sip.last('INVITE')
    again.cancel()
    onB.respond(200, { body: farSdp('5002', 2) })
    expect(onB.acks).toHaveLength(1)
    const back = sip.last('INVITE')
    expect(back.request.dialogId).toBe(b.dialogId)
    expect(back.request.body?.content).toMatch(/o=- \d+ 3 IN IP4 203\.0\.113\.1\r\n[^]*m=audio 4000/)
    back.respond(200, { body: farSdp('5000') })
    expect(back.acks).toHaveLength(1)
    expect(calls.list()[0]?.state).toBe('Up')
  })

  it('whose way back meets another offer is put back a little later', () => {
    const { sip, connect, fromA, clock } = createScenario()
    const { invite } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    again.cancel()
    sip.last('INVITE').respond(200, { body: farSdp('5002', 2) })
    const back = sip.last('INVITE')
    back.respond(491)
    clock.advance(3_050)
    expect(sip.last('INVITE')).not.toBe(back)
    expect(sip.last('INVITE').request.body).toEqual(back.request.body)
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    expect(clock.pending).toBe(0)
  })

  it('whose 200 came too late for the server goes back, too, and holds nothing up', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    again.refusesFinal = true
    sip.last('INVITE').respond(200, { body: farSdp('5002', 2) })
    expect(sip.last('INVITE').request.body?.content).toContain('m=audio 4000')
    fromA(invite, 'INFO')
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    expect(sip.all('INFO')).toHaveLength(1)
  })

  it('whose ACK never comes ends the call, the late offer acknowledged', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite, b } = connect()
    fromA(invite, 'INVITE')
    const onB = sip.last('INVITE')
    onB.respond(200, { body: farSdp('5002', 2) })
    sip.loseDialog(invite.openedDialog)
    expect(onB.acks).toEqual([{ body: undefined }])
    expect(sip.last('BYE').request.dialogId).toBe(b.dialogId)
  })

  it.each([
    ['Require: replaces', { headers: [['Require', 'replaces']] as const, body: sdp('1') }, 420],
    ['a body that is no session description', { body: { content: 'x', type: 'text/plain' } }, 415],
    ['Max-Forwards 0', { headers: [['Max-Forwards', '0']] as const, body: sdp('1') }, 483],
  ])('with %s is refused, and the next one goes through', (_case, options, status) => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    expect(fromA(invite, 'INVITE', options).statuses).toEqual([status])
    fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    expect(sip.all('INVITE')).toHaveLength(2)
  })
})

describe('other requests inside a call', () => {
  it.each(['INFO', 'UPDATE'])('%s goes to the other side, and its answer back, both ways', (method) => {
    const { sip, connect, fromA, fromB } = createScenario()
    const { invite, b } = connect()
    const ofA = fromA(invite, method)
    expect(sip.last(method).request.dialogId).toBe(b.dialogId)
    sip.last(method).respond(200)
    expect(ofA.statuses).toEqual([200])
    const ofB = fromB(b, method)
    expect(sip.last(method).request.dialogId).toBe(invite.openedDialog)
    sip.last(method).respond(488)
    expect(ofB.statuses).toEqual([488])
  })

  it('INFO carries its body byte for byte', () => {
    const { sip, connect, fromA } = createScenario()
    const body = { content: 'Signal= 5\r\nDuration= 160\r\n', type: 'application/dtmf-relay' }
    fromA(connect().invite, 'INFO', { body })
    expect(sip.last('INFO').request.body).toEqual(body)
  })

  it('go one after the other, in order', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    const digits = ['1', '2', '3'].map((digit) =>
      fromA(invite, 'INFO', { body: { content: `Signal=${digit}`, type: 'application/dtmf-relay' } }),
    )
    expect(sip.all('INFO')).toHaveLength(1)
    sip.last('INFO').respond(200)
    sip.last('INFO').respond(200)
    sip.last('INFO').respond(200)
    expect(sip.all('INFO').map(({ request }) => request.body?.content)).toEqual(['Signal=1', 'Signal=2', 'Signal=3'])
    expect(digits.map(({ statuses }) => statuses)).toEqual([[200], [200], [200]])
  })

  it('do not wait for the answer to a re-INVITE', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    fromA(invite, 'INFO')
    expect(sip.all('INFO')).toHaveLength(1)
  })

  it('more than may wait get 500 with Retry-After', () => {
    const { connect, fromA } = createScenario()
    const { invite } = connect()
    const answers = Array.from({ length: 18 }, () => fromA(invite, 'INFO').statuses)
    expect(answers.slice(0, 17).every((statuses) => statuses.length === 0)).toBe(true)
    expect(answers[17]).toEqual([500])
  })

  it('that wait are answered with 487 when the call ends (RFC 3261 section 15.1.2)', () => {
    const { connect, fromA, fromB } = createScenario()
    const { invite, b } = connect()
    const infos = [fromA(invite, 'INFO'), fromA(invite, 'INFO')]
    fromB(b, 'BYE')
    expect(infos.map(({ statuses }) => statuses)).toEqual([[487], [487]])
  })

  it('481 ends the call, and so does a dialog the server does not know', () => {
    const { sip, connect, fromA, ended } = createScenario()
    const first = fromA(connect().invite, 'INFO')
    sip.last('INFO').respond(481)
    const second = fromA(connect().invite, 'UPDATE')
    sip.last('UPDATE').fail(new SipPortError('DialogGone', 'unable to find dialog'))
    expect([first.statuses, second.statuses]).toEqual([[481], [481]])
    expect(ended).toEqual([
      { kind: 'Lost', leg: 'B' },
      { kind: 'Lost', leg: 'B' },
    ])
  })

  it('what cannot be sent gets 500, and the call goes on', () => {
    const { sip, connect, fromA, calls } = createScenario()
    const info = fromA(connect().invite, 'INFO')
    sip.last('INFO').fail(new SipPortError('Rejected', 'no'))
    expect(info.statuses).toEqual([500])
    expect(calls.list()[0]?.state).toBe('Up')
  })

  it.each(['REFER', 'NOTIFY', 'MESSAGE', 'SUBSCRIBE'])('%s gets 405 with Allow', (method) => {
    const { connect, fromA } = createScenario()
    expect(fromA(connect().invite, method).lastAnswer).toEqual({
      status: 405,
      headers: [['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK']],
    })
  })

  it('Max-Forwards is carried and decremented inside a call, too (RFC 7332 section 4)', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    fromA(invite, 'INFO', { headers: [['Max-Forwards', '12']] })
    expect(sip.last('INFO').header('Max-Forwards')).toBe('11')
    sip.last('INFO').respond(200)
    expect(fromA(invite, 'INFO', { headers: [['Max-Forwards', '0']] }).statuses).toEqual([483])
  })
})

describe('UPDATE (RFC 3311)', () => {
  it('goes through while the call is set up', () => {
    const scenario = createScenario()
    const { sip, fromA, fromB } = scenario
    const { a, b } = agreeEarly(scenario)
    const ofA = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    expect(sip.last('UPDATE').request.dialogId).toBe(b.dialogId)
    sip.last('UPDATE').respond(200, { body: farSdp('5002', 2) })
    expect(ofA.lastAnswer.body?.content).toContain('m=audio 5002')
    fromB(b, 'UPDATE')
    expect(sip.last('UPDATE').request.dialogId).toBe(a.openedDialog)
  })

  it('gets 500 with Retry-After when the hunt has left the other side without a dialog', () => {
    const { sip, invite, fromA } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(183, { body: farSdp('5000') })
    sip.last('INVITE').respond(503)
    expect(fromA(a, 'UPDATE').lastAnswer).toEqual({ status: 500, headers: [['Retry-After', '5']] })
  })

  it.each([481, 408])('%i of a target that the hunt has left does not end the call with the next one', (status) => {
    const scenario = createScenario()
    const { sip, ack, fromA, calls } = scenario
    const { a } = agreeEarly(scenario)
    const update = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    const left = sip.last('UPDATE')
    sip.last('INVITE').respond(503)
    sip.last('INVITE').respond(200, { body: farSdp('5002') })
    ack(a)
    left.respond(status)
    expect(update.lastAnswer).toEqual({ status: 500, headers: [['Retry-After', '5']] })
    expect(sip.sent.filter(({ request }) => request.method === 'BYE')).toEqual([])
    expect(calls.list()).toMatchObject([{ legB: { target: 't2' } }])
  })

  it('a target that the hunt has left, which answers an UPDATE too late, does not end the call either', () => {
    const scenario = createScenario()
    const { sip, clock, ack, fromA, calls } = scenario
    const { a } = agreeEarly(scenario)
    const update = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    const left = sip.last('UPDATE')
    sip.last('INVITE').respond(503)
    sip.last('INVITE').respond(200, { body: farSdp('5002') })
    ack(a)
    clock.advance(10_000)
    expect(update.statuses).toEqual([504])
    left.respond(481)
    expect(calls.list()).toMatchObject([{ legB: { target: 't2' }, state: 'Up' }])
  })

  it('with an offer that meets a re-INVITE gets 491 from the other side, 500 from the same (section 5.2)', () => {
    const { connect, fromA, fromB } = createScenario()
    const { invite, b } = connect()
    fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    expect(fromB(b, 'UPDATE', { body: farSdp('5002', 2) }).statuses).toEqual([491])
    expect(fromA(invite, 'UPDATE', { body: sdp('4004', 3) }).statuses).toEqual([500])
  })

  it('without an offer refreshes the session, Contact and timer carried (feature item 15, checks 5 and 6)', () => {
    const { sip, connect, fromA } = createScenario()
    const { invite } = connect()
    const update = fromA(invite, 'UPDATE', { headers: [['Session-Expires', '1800;refresher=uac']] })
    expect(Object.fromEntries(sip.last('UPDATE').request.headers)).toMatchObject({
      Contact: '<sip:1000@203.0.113.1:5060>',
      'Session-Expires': '1800;refresher=uac',
    })
    sip.last('UPDATE').respond(200, { headers: [['Session-Expires', '1800;refresher=uac']] })
    expect(update.lastAnswer.headers).toEqual(
      expect.arrayContaining([
        ['Session-Expires', '1800;refresher=uac'],
        ['Contact', '<sip:2000@203.0.113.1:5060>'],
      ]),
    )
  })
})
