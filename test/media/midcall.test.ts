import { afterEach, describe, expect, inject, it } from 'vitest'
import type { MidcallMode } from '#api/session-behaviour.ts'
import { agreeEarly, answer, type Party } from '../call/bridge.ts'
import type { Arrival } from '../engine/sip-peer.ts'
import { beginAnchored, type AnchoredBridge } from './anchored-bridge.ts'
import { talkBothWays } from './rtp-peer.ts'

const open: AnchoredBridge[] = []

afterEach(async () => {
  for (const anchored of open.splice(0)) await anchored.end()
})

const timer = ['Supported: timer', 'Session-Expires: 1800;refresher=uac']
const video = 'm=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n'

interface Up {
  readonly anchored: AnchoredBridge
  readonly caller: Party
  readonly called: Party
  readonly invite: Arrival
  readonly ok: Arrival
  /** Requests that the callee got since the call is up. */
  heardByCallee(): Promise<readonly string[]>
}

/** A call with anchored media that is up. */
async function connect(mode: MidcallMode, offer = 'sendrecv', answered = 'sendrecv'): Promise<Up> {
  const anchored = await beginAnchored({ sip: { midcall: { mode } } })
  open.push(anchored)
  const { bridge, a, b } = anchored
  const caller = anchored.caller()
  caller.invite({ body: a.sdp({ direction: offer }), headers: timer })
  const invite = await bridge.carrier.request('INVITE')
  answer(invite, bridge.carrier, 200, { body: b.sdp({ direction: answered }) })
  const ok = await bridge.pbx.response(200, 'INVITE')
  caller.learn(ok)
  caller.send('ACK')
  await bridge.carrier.request('ACK')
  const from = bridge.carrier.arrived.length
  const called = anchored.called(invite)
  return {
    anchored,
    caller,
    called,
    invite,
    ok,
    async heardByCallee() {
      // Whatever was sent before has arrived when this has.
      caller.send('INFO')
      answer(await bridge.carrier.request('INFO'), bridge.carrier, 200)
      await bridge.pbx.response(200, 'INFO')
      return bridge.carrier.arrived.slice(from).map(({ message }) => message.method)
    },
  }
}

async function reInvite({ anchored, caller }: Up, change: { direction?: string; extra?: string }): Promise<Arrival> {
  caller.send('INVITE', { body: anchored.a.sdp(change), headers: timer })
  const ok = await anchored.bridge.pbx.response(200, 'INVITE')
  caller.send('ACK')
  return ok
}

const directionOf = ({ message }: Arrival) => /^a=(sendrecv|sendonly|recvonly|inactive)/m.exec(message.body)?.[1]

describe.skipIf(!inject('peers').rtpengine)('offers inside a call with anchored media (feature item 8)', () => {
  it.each(['PassThroughMediaChange', 'Block'] as const)(
    'check 2: %s: a refresh gets 200 from here, the callee hears nothing, and media goes on',
    async (mode) => {
      const up = await connect(mode)
      const refreshed = await reInvite(up, {})
      expect(refreshed.message.body).toBe(up.ok.message.body)
      expect(refreshed.message.get('Session-Expires')).toBe('1800;refresher=uac')
      expect(await up.heardByCallee()).toEqual(['INFO'])
      await talkBothWays(up.anchored.a, refreshed.message.body, up.anchored.b, up.invite.message.body)
    },
  )

  it('check 3: PassThroughMediaChange: video that is added goes to the callee', async () => {
    const up = await connect('PassThroughMediaChange')
    const { bridge, a, b } = up.anchored
    up.caller.send('INVITE', { body: a.sdp({ extra: video }), headers: timer })
    const added = await bridge.carrier.request('INVITE')
    expect(added.message.body).toMatch(/^m=video [1-9]/m)
    answer(added, bridge.carrier, 200, { body: b.sdp({ extra: video.replace('4002', '5002') }) })
    const ok = await bridge.pbx.response(200, 'INVITE')
    expect(ok.message.body).toMatch(/^m=video [1-9]/m)
  })

  it('check 4: Block: video that is added is rejected by port 0, and the callee hears nothing', async () => {
    const up = await connect('Block')
    const ok = await reInvite(up, { extra: video })
    expect(ok.message.body).toMatch(/^m=video 0 /m)
    expect(ok.message.body).toMatch(/^m=audio [1-9]/m)
    expect(await up.heardByCallee()).toEqual(['INFO'])
    await talkBothWays(up.anchored.a, ok.message.body, up.anchored.b, up.invite.message.body)
  })

  it('Block: a re-INVITE without offer gets ours, and the answer in its ACK goes no further than the engine', async () => {
    const up = await connect('Block')
    const { bridge, a, b } = up.anchored
    up.caller.send('INVITE', { headers: timer })
    const ok = await bridge.pbx.response(200, 'INVITE')
    expect(ok.message.body).toBe(up.ok.message.body)
    up.caller.send('ACK', { body: a.sdp() })
    expect(await up.heardByCallee()).toEqual(['INFO'])
    await talkBothWays(a, ok.message.body, b, up.invite.message.body)
  })

  it('Block: fax gets 488', async () => {
    const up = await connect('Block')
    const fax = up.anchored.a.sdp().replace(/m=audio (\d+)[^]*$/, 'm=image $1 udptl t38\r\n')
    up.caller.send('INVITE', { body: fax })
    await up.anchored.bridge.pbx.response(488, 'INVITE')
    up.caller.send('ACK')
    expect(await up.heardByCallee()).toEqual(['INFO'])
  })

  it.each(['PassThroughMediaChange', 'Block'] as const)(
    'check 5: %s: hold gets 200 recvonly, resume sendrecv; the callee hears nothing, its media goes on',
    async (mode) => {
      const up = await connect(mode)
      expect(directionOf(await reInvite(up, { direction: 'sendonly' }))).toBe('recvonly')
      const resumed = await reInvite(up, {})
      expect(directionOf(resumed) ?? 'sendrecv').toBe('sendrecv')
      expect(await up.heardByCallee()).toEqual(['INFO'])
      await talkBothWays(up.anchored.a, resumed.message.body, up.anchored.b, up.invite.message.body)
    },
  )

  it.each([
    ['sendonly', 'sendrecv', 'sendrecv', 'recvonly'],
    ['sendrecv', 'sendonly', 'sendrecv', 'sendrecv'],
    ['sendonly', 'sendonly', 'sendrecv', 'recvonly'],
  ])(
    'Block: offer %s, answer %s: the callee is offered %s, the caller answered %s',
    async (offer, answered, out, back) => {
      const up = await connect('Block', offer, answered)
      expect(directionOf(up.invite) ?? 'sendrecv').toBe(out)
      expect(directionOf(up.ok) ?? 'sendrecv').toBe(back)
    },
  )

  it('feature item 15: update.early BlockRenegotiate: what was consumed is agreed on once the call is up', async () => {
    const anchored = await beginAnchored({ sip: { update: { early: 'BlockRenegotiate' } } })
    open.push(anchored)
    const { bridge, a, b } = anchored
    const caller = anchored.caller()
    caller.invite({ body: a.sdp(), headers: ['Supported: 100rel'] })
    const invite = await bridge.carrier.request('INVITE')
    await agreeEarly(bridge, caller, invite, { body: b.sdp() })
    caller.send('UPDATE', { body: a.sdp({ direction: 'sendonly', version: 2 }) })
    expect(directionOf(await bridge.pbx.response(200, 'UPDATE'))).toBe('recvonly')
    answer(invite, bridge.carrier, 200)
    caller.learn(await bridge.pbx.response(200, 'INVITE'))
    caller.send('ACK', { cseq: 1 })
    await bridge.carrier.request('ACK')
    const asked = await bridge.pbx.request('INVITE')
    expect(asked.message.body).toBe('')
    answer(asked, bridge.pbx, 200, { body: a.sdp({ direction: 'sendonly', version: 3 }) })
    const offered = await bridge.carrier.request('INVITE')
    expect(directionOf(offered)).toBe('sendonly')
    answer(offered, bridge.carrier, 200, { body: b.sdp({ direction: 'recvonly', version: 2 }) })
    await bridge.carrier.request('ACK')
    expect(directionOf(await bridge.pbx.request('ACK'))).toBe('recvonly')
  })

  it('feature item 15, check 3: update.early Block: an early UPDATE gets 200 from here, the callee hears nothing', async () => {
    const anchored = await beginAnchored({ sip: { update: { early: 'Block' } } })
    open.push(anchored)
    const { bridge, a, b } = anchored
    const caller = anchored.caller()
    caller.invite({ body: a.sdp(), headers: ['Supported: 100rel'] })
    const invite = await bridge.carrier.request('INVITE')
    await agreeEarly(bridge, caller, invite, { body: b.sdp() })
    caller.send('UPDATE', { body: a.sdp({ direction: 'sendonly', version: 2 }) })
    expect(directionOf(await bridge.pbx.response(200, 'UPDATE'))).toBe('recvonly')
    answer(invite, bridge.carrier, 200, { body: b.sdp() })
    await bridge.pbx.response(200, 'INVITE')
    expect(bridge.carrier.arrived.filter(({ message }) => message.method === 'UPDATE')).toEqual([])
  })
})
