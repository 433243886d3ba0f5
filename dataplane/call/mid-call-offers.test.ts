import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { agreeEarly } from './testing/reliable-call.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'
import { allow, call, expires, seconds, supported, timerFields } from './testing/timed-call.ts'

const withoutUpdate = [['Allow', 'INVITE, ACK, BYE, CANCEL']] as const
const g729 = { content: sdp('4002', 2).content.replace('RTP/AVP 0', 'RTP/AVP 18'), type: 'application/sdp' }

describe('midcall.mode (feature item 8)', () => {
  it.each([
    ['INVITE', sdp('4002', 2)],
    ['UPDATE', sdp('4002', 2)],
  ] as const)('Disabled: %s that changes something gets 488, and nothing goes on', (method, body) => {
    const { sip, a, fromA, calls } = call([], [], { sip: { midcall: { mode: 'Disabled' } } })
    const before = sip.sent.length
    expect(fromA(a, method, { body }).statuses).toEqual([488])
    expect([sip.sent.length, calls.list()[0]?.state]).toEqual([before, 'Up'])
  })

  it('Disabled: a refresh goes on', () => {
    const { sip, a, fromA } = call([], [], { sip: { midcall: { mode: 'Disabled' } } })
    const refresh = fromA(a, 'INVITE', { body: sdp('4000', 2) })
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    expect(refresh.statuses).toEqual([200])
  })

  it('PreserveCodec: G.729 alone on a G.711 call gets 488, the callee hears nothing (check 6)', () => {
    const { sip, a, fromA } = call([], [], { sip: { midcall: { mode: 'PreserveCodec' } } })
    const before = sip.sent.length
    expect(fromA(a, 'INVITE', { body: g729 }).statuses).toEqual([488])
    expect(sip.sent).toHaveLength(before)
  })

  it('PreserveCodec: hold goes on, and of several codecs the one of the call', () => {
    const { sip, a, fromA } = call([], [], { sip: { midcall: { mode: 'PreserveCodec' } } })
    const both = sdp('4002', 2).content.replace('RTP/AVP 0', 'RTP/AVP 18 0')
    fromA(a, 'INVITE', { body: { content: `${both}a=sendonly\r\n`, type: 'application/sdp' } })
    expect(sip.last('INVITE').request.body?.content).toContain('m=audio 4002 RTP/AVP 0\r\n')
    expect(sip.last('INVITE').request.body?.content).toContain('a=sendonly')
  })

  it('the more restrictive of both legs holds, in both directions', () => {
    const { sip, a, b, fromA, fromB } = call([], [], {
      sip: { midcall: { mode: 'Disabled' } },
      inbound: builtInBehaviour,
    })
    const before = sip.sent.length
    expect(fromA(a, 'INVITE', { body: sdp('4002', 2) }).statuses).toEqual([488])
    expect(fromB(b, 'INVITE', { body: farSdp('5002', 2) }).statuses).toEqual([488])
    expect(sip.sent).toHaveLength(before)
  })
})

describe('UPDATE to a peer that knows only re-INVITE (feature item 15, check 2)', () => {
  it('with an offer becomes a re-INVITE, whose answer comes back in the 200 of the UPDATE', () => {
    const { sip, a, fromA, b } = call([], withoutUpdate)
    const update = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    expect(sip.all('UPDATE')).toEqual([])
    const onB = sip.last('INVITE')
    expect([onB.request.dialogId, onB.request.body?.content.includes('m=audio 4002')]).toEqual([b.dialogId, true])
    onB.respond(180)
    onB.respond(200, { body: farSdp('5002', 2) })
    expect(onB.acks).toHaveLength(1)
    expect(update.statuses).toEqual([200])
    expect(update.lastAnswer.body?.content).toContain('m=audio 5002')
    fromA(a, 'INFO')
    expect(sip.all('INFO')).toHaveLength(1)
  })

  it('without one becomes a refresh with the last description, and the 200 has none', () => {
    const { sip, a, fromA, b } = call(
      [...supported, ...expires('1800')],
      [...withoutUpdate, ...expires('1800;refresher=uac')],
    )
    const update = fromA(a, 'UPDATE', { headers: [...supported, ...expires('1800;refresher=uac')] })
    const onB = sip.last('INVITE')
    expect(onB.request.body?.content).toBe(b.request.body?.content)
    expect(timerFields(onB.request.headers)).toMatchObject({ 'Session-Expires': '1800;refresher=uac' })
    onB.respond(200, { body: farSdp('5000'), headers: expires('1800;refresher=uac') })
    expect(update.lastAnswer.body).toBeUndefined()
    expect(timerFields(update.lastAnswer.headers)).toMatchObject({ 'Session-Expires': '1800;refresher=uac' })
  })

  it('that is not answered in time gets 504, CANCEL goes out, and a 200 that comes all the same is taken back', () => {
    const { sip, a, fromA, clock, calls } = call([], withoutUpdate)
    const update = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    const onB = sip.last('INVITE')
    onB.respond(180)
    clock.advance(seconds(10))
    expect([update.statuses, onB.cancelled]).toEqual([[504], []])
    onB.respond(200, { body: farSdp('5002', 2) })
    expect(onB.acks).toHaveLength(1)
    expect(sip.last('INVITE').request.body?.content).toContain('m=audio 4000')
    expect(calls.list()[0]?.state).toBe('Up')
  })

  it('early: with an offer gets 488, without one is answered here', () => {
    const scenario = createScenario({ targets: 1 })
    const { a } = agreeEarly(scenario, { ofB: withoutUpdate })
    expect(scenario.fromA(a, 'UPDATE', { body: sdp('4002', 2) }).statuses).toEqual([488])
    expect(scenario.fromA(a, 'UPDATE').statuses).toEqual([200])
    expect(scenario.sip.all('UPDATE')).toEqual([])
  })
})

describe('UPDATE to a peer that knows it', () => {
  it('restarts the session timer (feature item 15, check 5)', () => {
    const both = expires('1800;refresher=uac')
    const { sip, a, fromA, clock } = call([...supported, ...expires('1800')], [...allow, ...both])
    clock.advance(seconds(900))
    fromA(a, 'UPDATE', { headers: [...supported, ...both] })
    sip.last('UPDATE').respond(200, { headers: [...both, ['Require', 'timer']] })
    clock.advance(seconds(1767))
    expect(sip.all('BYE')).toEqual([])
    clock.advance(seconds(1))
    expect(sip.all('BYE')).toHaveLength(2)
  })

  it('that is not answered in time gets 504 (RFC 3311 section 5.2), and a late 200 is taken back', () => {
    const { sip, a, fromA, clock } = call([], allow)
    const update = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    clock.advance(seconds(10))
    expect(update.statuses).toEqual([504])
    // RFC 3264 section 4: the callee may have taken the offer, and gets no other one until it says so.
    fromA(a, 'INVITE', { body: sdp('4004', 3) })
    expect(sip.all('INVITE')).toHaveLength(1)
    sip.last('UPDATE').respond(200, { body: farSdp('5002', 2) })
    sip.last('INVITE').respond(488)
    clock.advance(seconds(3))
    expect(sip.last('INVITE').request.body?.content).toContain('m=audio 4000')
  })

  it('of which each answers one offer: the next one waits for its turn', () => {
    const { sip, a, b, fromA, fromB } = call([], allow)
    const first = fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    const second = fromB(b, 'UPDATE', { body: farSdp('5002', 2) })
    expect(second.statuses).toEqual([491])
    expect(sip.all('UPDATE')).toHaveLength(1)
    sip.last('UPDATE').respond(200, { body: farSdp('5000') })
    expect(first.statuses).toEqual([200])
  })
})
