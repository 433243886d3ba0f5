import { describe, expect, it } from 'vitest'
import { SipPortError } from '../sip/port.ts'
import { farSdp, sdp } from './testing/scenario.ts'
import { aloneOnB, expires, seconds, supported } from './testing/timed-call.ts'

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
