import { afterEach, describe, expect, it } from 'vitest'
import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import { sdp } from '../engine/sip-peer.ts'
import { agreeEarly, answer, Bridge, Party } from './bridge.ts'

const open: Bridge[] = []

afterEach(async () => {
  for (const bridge of open.splice(0)) await bridge.end()
})

const farSdp = sdp.replaceAll('4000', '5000')
const changed = sdp.replace('m=audio 4000', 'm=audio 4002')
const farChanged = farSdp.replace('m=audio 5000', 'm=audio 5002')
const withoutOrigin = (description: string) => description.replace(/^o=.*$/m, '')
const timer = ['Supported: timer', 'Session-Expires: 1800;refresher=uac']
const knowsUpdate = [['Allow', 'INVITE, ACK, CANCEL, BYE, UPDATE']] as const
const lacksUpdate = [['Allow', 'INVITE, ACK, CANCEL, BYE']] as const

function callerOf(bridge: Bridge): Party {
  return new Party({
    peer: bridge.pbx,
    port: bridge.portOf('inside'),
    callId: `near-${Math.random()}`,
    localTag: 'near-tag',
    target: bridge.uriOf('inside', '2000'),
  })
}

async function begin(sip: Partial<ResolvedSipBehaviour> = {}): Promise<Bridge> {
  const bridge = await Bridge.begin({ sip })
  open.push(bridge)
  return bridge
}

/** A call that is up; `allow` is what the callee can do. */
async function connect(
  sip: Partial<ResolvedSipBehaviour> = {},
  headers: readonly (readonly [string, string])[] = knowsUpdate,
  asks: readonly string[] = [],
) {
  const bridge = await begin(sip)
  const a = callerOf(bridge)
  a.invite({ body: sdp, headers: ['Allow: INVITE, ACK, CANCEL, BYE, UPDATE', ...asks] })
  const invite = await bridge.carrier.request('INVITE')
  const b = Party.called(invite, bridge.carrier, bridge.portOf('outside'), 'callee')
  answer(invite, bridge.carrier, 200, { body: farSdp, headers })
  const ok = await bridge.pbx.response(200, 'INVITE')
  a.learn(ok)
  a.send('ACK')
  await bridge.carrier.request('ACK')
  a.send('INFO')
  answer(await bridge.carrier.request('INFO'), bridge.carrier, 200)
  await bridge.pbx.response(200, 'INFO')
  return { bridge, a, b, invite, ok }
}

describe('offers inside a call (feature item 8)', () => {
  it('check 1: PassThrough: a refresh reaches the callee with SE, refresher and the same o=, and its 200 comes back', async () => {
    const { bridge, a, invite } = await connect()
    a.send('INVITE', { body: sdp, headers: timer })
    const onB = await bridge.carrier.request('INVITE')
    expect(onB.message.get('Session-Expires')).toBe('1800;refresher=uac')
    expect(onB.message.body).toBe(invite.message.body)
    answer(onB, bridge.carrier, 200, {
      body: farSdp,
      headers: [
        ['Session-Expires', '1800;refresher=uac'],
        ['Require', 'timer'],
      ],
    })
    const ok = await bridge.pbx.response(200, 'INVITE')
    expect([ok.message.get('Session-Expires'), ok.message.get('Require')]).toEqual(['1800;refresher=uac', 'timer'])
  })

  it('check 6: PreserveCodec: G.729 alone on a G.711 call gets 488, and the call stays', async () => {
    const { bridge, a } = await connect({ midcall: { mode: 'PreserveCodec' } })
    a.send('INVITE', { body: changed.replace('RTP/AVP 0', 'RTP/AVP 18') })
    await bridge.pbx.response(488, 'INVITE')
    a.send('ACK')
    a.send('INVITE', { body: changed.replace('RTP/AVP 0', 'RTP/AVP 18 0') })
    expect((await bridge.carrier.request('INVITE')).message.body).toContain('m=audio 4002 RTP/AVP 0\r\n')
  })

  it.each(['INVITE', 'UPDATE'])(
    'PreserveCodec: another codec in the answer to %s: 488, and the callee is put back to what was agreed',
    async (method) => {
      const { bridge, a, invite } = await connect({ midcall: { mode: 'PreserveCodec' } })
      a.send(method, { body: changed })
      const carried = await bridge.carrier.request(method)
      answer(carried, bridge.carrier, 200, { body: sdp.replace('RTP/AVP 0', 'RTP/AVP 18') })
      await bridge.pbx.response(488, method)
      if (method === 'INVITE') a.send('ACK')
      if (method === 'INVITE') await bridge.carrier.request('ACK')
      const back = await bridge.carrier.request('INVITE')
      expect(withoutOrigin(back.message.body)).toBe(withoutOrigin(invite.message.body))
      answer(back, bridge.carrier, 200, { body: sdp })
      await bridge.carrier.request('ACK')
      expect(bridge.calls.list()[0]?.state).toBe('Up')
    },
  )

  it('PreserveCodec: codecs beside that of the call are taken out of an answer', async () => {
    const { bridge, a } = await connect({ midcall: { mode: 'PreserveCodec' } })
    a.send('INVITE', { body: changed })
    const carried = await bridge.carrier.request('INVITE')
    answer(carried, bridge.carrier, 200, { body: sdp.replace('RTP/AVP 0', 'RTP/AVP 0 18') })
    expect((await bridge.pbx.response(200, 'INVITE')).message.body).toMatch(/^m=audio \d+ RTP\/AVP 0\r$/m)
    a.send('ACK')
  })

  it('PreserveCodec: an offer that was asked for has the codec of the call alone, or gets the answer of before (RFC 3261 section 13.2.1)', async () => {
    const { bridge, a } = await connect({ midcall: { mode: 'PreserveCodec' } })
    a.send('INVITE')
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 200, {
      body: sdp.replace('RTP/AVP 0', 'RTP/AVP 18 0'),
    })
    const offered = await bridge.pbx.response(200, 'INVITE')
    expect(offered.message.body).toMatch(/^m=audio \d+ RTP\/AVP 0\r$/m)
    a.send('ACK', { body: changed })
    expect((await bridge.carrier.request('ACK')).message.body).toContain('m=audio 4002 RTP/AVP 0')

    a.send('INVITE')
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 200, {
      body: sdp.replace('RTP/AVP 0', 'RTP/AVP 18'),
    })
    await bridge.pbx.response(488, 'INVITE')
    a.send('ACK')
    expect((await bridge.carrier.request('ACK')).message.body).toContain('m=audio 4002 RTP/AVP 0')
  })

  it.each(['Block', 'PassThroughMediaChange', 'Disabled'] as const)(
    'check 7: %s with media that goes around: 488 to a change, and the callee hears nothing',
    async (mode) => {
      const { bridge, a } = await connect({ midcall: { mode } })
      const heard = bridge.carrier.arrived.length
      a.send('INVITE', { body: changed })
      await bridge.pbx.response(488, 'INVITE')
      a.send('ACK')
      a.send('INFO')
      await bridge.carrier.request('INFO')
      expect(bridge.carrier.arrived.slice(heard).map(({ message }) => message.method)).toEqual(['INFO'])
    },
  )

  it('Block with media that goes around: a refresh is answered, with what was said before', async () => {
    const { bridge, a, ok } = await connect({ midcall: { mode: 'Block' } })
    a.send('INVITE', { body: sdp, headers: timer })
    const refreshed = await bridge.pbx.response(200, 'INVITE')
    expect(refreshed.message.body).toBe(ok.message.body)
    expect(refreshed.message.get('Session-Expires')).toBe('1800;refresher=uac')
  })
})

describe('UPDATE (feature item 15)', () => {
  it('check 1: early, to a peer that knows it: UPDATE there, 200 back', async () => {
    const bridge = await begin()
    const a = callerOf(bridge)
    a.invite({ body: sdp, headers: ['Allow: INVITE, ACK, CANCEL, BYE, UPDATE', 'Supported: 100rel'] })
    const invite = await bridge.carrier.request('INVITE')
    await agreeEarly(bridge, a, invite, { body: farSdp, headers: knowsUpdate })
    a.send('UPDATE', { body: changed })
    const update = await bridge.carrier.request('UPDATE')
    expect(update.message.body).toContain('m=audio 4002')
    answer(update, bridge.carrier, 200, { body: farChanged })
    expect((await bridge.pbx.response(200, 'UPDATE')).message.body).toContain('m=audio 5002')
  })

  it('check 2: early, to a peer that lacks it: 488, and the callee hears nothing', async () => {
    const bridge = await begin()
    const a = callerOf(bridge)
    a.invite({ body: sdp, headers: ['Supported: 100rel'] })
    const invite = await bridge.carrier.request('INVITE')
    await agreeEarly(bridge, a, invite, { body: farSdp, headers: lacksUpdate })
    a.send('UPDATE', { body: changed })
    await bridge.pbx.response(488, 'UPDATE')
    answer(invite, bridge.carrier, 200, { body: farSdp, headers: lacksUpdate })
    await bridge.pbx.response(200, 'INVITE')
    expect(bridge.carrier.arrived.filter(({ message }) => message.method === 'UPDATE')).toEqual([])
  })

  it('check 2: inside a call, to a peer that lacks it: a re-INVITE, acknowledged from here', async () => {
    const { bridge, a } = await connect({}, lacksUpdate)
    a.send('UPDATE', { body: changed })
    const onB = await bridge.carrier.request('INVITE')
    expect(onB.message.body).toContain('m=audio 4002')
    answer(onB, bridge.carrier, 200, { body: farChanged })
    await bridge.carrier.request('ACK')
    expect((await bridge.pbx.response(200, 'UPDATE')).message.body).toContain('m=audio 5002')
  })

  it('check 4: two UPDATEs with offers that cross: 491', async () => {
    const { bridge, a, b } = await connect()
    a.send('UPDATE', { body: changed })
    const onB = await bridge.carrier.request('UPDATE')
    b.send('UPDATE', { body: farChanged })
    await bridge.carrier.response(491, 'UPDATE')
    answer(onB, bridge.carrier, 200, { body: farSdp })
    await bridge.pbx.response(200, 'UPDATE')
  })

  it('check 5: without description, with SE: the session timer starts anew', async () => {
    const session = [['Session-Expires', '1800;refresher=uac'] as const]
    const { bridge, a } = await connect({}, [...knowsUpdate, ...session], timer)
    bridge.clock.advance(900_000)
    a.send('UPDATE', { headers: timer })
    const onB = await bridge.carrier.request('UPDATE')
    expect([onB.message.body, onB.message.get('Session-Expires')]).toEqual(['', '1800;refresher=uac'])
    answer(onB, bridge.carrier, 200, { headers: [...session, ['Require', 'timer']] })
    await bridge.pbx.response(200, 'UPDATE')
    bridge.clock.advance(1_767_000)
    expect(bridge.calls.list()[0]?.state).toBe('Up')
    bridge.clock.advance(1_000)
    await Promise.all([bridge.pbx.request('BYE'), bridge.carrier.request('BYE')])
  })

  it('check 6: a new Contact in UPDATE is where the BYE goes', async () => {
    const { bridge, a, b } = await connect()
    const moved = `<sip:alice@${bridge.pbx.hostPort};moved=yes>`
    a.send('UPDATE', { headers: [`Contact: ${moved}`], contact: false })
    answer(await bridge.carrier.request('UPDATE'), bridge.carrier, 200)
    await bridge.pbx.response(200, 'UPDATE')
    b.send('BYE')
    expect((await bridge.pbx.request('BYE')).message.uri).toBe(moved.slice(1, -1))
  })

  it('504 to an UPDATE that the other side does not answer in time (RFC 3311 section 5.2)', async () => {
    const { bridge, a } = await connect()
    a.send('UPDATE', { body: changed })
    await bridge.carrier.request('UPDATE')
    bridge.clock.advance(10_000)
    await bridge.pbx.response(504, 'UPDATE')
    expect(bridge.calls.list()[0]?.state).toBe('Up')
  })

  it('500 with Retry-After to a second one before the first is answered (RFC 3311 section 5.2)', async () => {
    const { bridge, a } = await connect()
    a.send('UPDATE', { body: changed })
    await bridge.carrier.request('UPDATE')
    a.send('UPDATE', { body: changed })
    const refused = await bridge.pbx.response(500, 'UPDATE')
    expect(Number(refused.message.get('Retry-After'))).toBeLessThanOrEqual(10)
  })

  it('a retransmitted one gets the same 200 again, and the callee hears it once (RFC 3261 section 17.2.2)', async () => {
    const { bridge, a } = await connect()
    a.send('UPDATE', { body: changed, branch: 'z9hG4bK-once' })
    answer(await bridge.carrier.request('UPDATE'), bridge.carrier, 200, { body: farChanged })
    const first = await bridge.pbx.response(200, 'UPDATE')
    a.send('UPDATE', { body: changed, branch: 'z9hG4bK-once', cseq: a.cseq })
    const second = await bridge.pbx.response(200, 'UPDATE')
    expect(second.message.text).toBe(first.message.text)
    expect(bridge.carrier.arrived.filter(({ message }) => message.method === 'UPDATE')).toHaveLength(1)
  })
})
