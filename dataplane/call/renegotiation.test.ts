import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { MidcallMode } from '#api/session-behaviour.ts'
import type { EnginePool, MediaEngine } from '../media/engine-pool.ts'
import type { NgFields, NgReply } from '../media/ng-client.ts'
import type { FakeIncoming } from '../sip/fake-sip-port.ts'
import { agreeEarly } from './testing/reliable-call.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

/** An engine that gives back what it gets, at once. */
const mirror: Pick<EnginePool, 'choose'> = {
  choose: () => [
    {
      name: 'mirror',
      up: true,
      join: () => () => {},
      request: (_command: string, fields: NgFields, done: (reply: NgReply) => void) =>
        done({ ok: true, fields: { result: 'ok', sdp: fields['sdp'] ?? '' } }),
    } as unknown as MediaEngine,
  ],
}

/** A call that is up, in which the caller's early offer of a hold was consumed. */
function consumed(options: { mode?: MidcallMode; offer?: ReturnType<typeof sdp> } = {}) {
  const { mode = 'PassThrough', offer = sdp('4002', 2) } = options
  const media = { mode: 'Anchor' as const }
  const update = { early: 'BlockRenegotiate' as const }
  const scenario = createScenario({
    sip: { media: { ...builtInBehaviour.media, ...media }, update, midcall: { mode } },
    engines: mirror,
    targets: 1,
  })
  const { a, b } = agreeEarly(scenario)
  const early: FakeIncoming = scenario.fromA(a, 'UPDATE', { body: offer })
  b.respond(200)
  scenario.ack(a)
  return { ...scenario, a, b, early }
}

describe('what was consumed before the call was answered (feature item 15, BlockRenegotiate)', () => {
  it('is asked for once the call is up, offered to the other side, and answered in the ACK (RFC 3725 section 4.1)', () => {
    const { sip, a, b, early } = consumed()
    expect(early.statuses).toEqual([200])
    const asked = sip.last('INVITE')
    expect([asked.request.dialogId, asked.request.body]).toEqual([a.openedDialog, undefined])
    asked.respond(200, { body: sdp('4002', 3) })
    expect(asked.acks).toEqual([])
    const offered = sip.last('INVITE')
    expect([offered.request.dialogId, offered.request.body?.content]).toEqual([
      b.dialogId,
      expect.stringContaining('m=audio 4002'),
    ])
    offered.respond(200, { body: farSdp('5002', 2) })
    expect(offered.acks).toHaveLength(1)
    expect(asked.acks[0]?.body?.content).toContain('m=audio 5002')
  })

  it('stays as it is when the other side refuses: the first gets its last answer again', () => {
    const { sip } = consumed()
    const asked = sip.last('INVITE')
    asked.respond(200, { body: sdp('4002', 3) })
    sip.last('INVITE').respond(488)
    expect(asked.acks[0]?.body?.content).toContain('m=audio 5000')
  })

  it('is asked for again after 491', () => {
    const { sip, clock } = consumed()
    sip.last('INVITE').respond(491)
    const before = sip.all('INVITE').length
    clock.advance(3_000)
    expect(sip.all('INVITE')).toHaveLength(before + 1)
  })

  it('meanwhile an offer of the one that is asked gets 491 (RFC 3261 section 14.2)', () => {
    const { a, fromA } = consumed()
    expect(fromA(a, 'INVITE', { body: sdp('4004', 3) }).statuses).toEqual([491])
  })

  it('is acknowledged when the call ends in between, and nothing is left', () => {
    const { sip, a, fromA, calls } = consumed()
    const asked = sip.last('INVITE')
    asked.respond(200, { body: sdp('4002', 3) })
    fromA(a, 'BYE')
    expect(asked.acks).toHaveLength(1)
    sip.last('INVITE').respond(487)
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it.each(['Block', 'PassThroughMediaChange', 'Disabled'] as const)('is left as it is with midcall.mode %s', (mode) => {
    expect(consumed({ mode }).sip.all('INVITE')).toHaveLength(1)
  })

  it('is left as it is when it said nothing new', () => {
    expect(consumed({ offer: sdp('4000', 2) }).sip.all('INVITE')).toHaveLength(1)
  })
})
