import { afterEach, describe, expect, inject, it } from 'vitest'
import { answer } from '../call/bridge.ts'
import type { Arrival } from '../engine/sip-peer.ts'
import { beginAnchored, connect, hangUp, type AnchoredBridge } from './anchored-bridge.ts'
import { openRtpPeer, streamOf, talkBothWays } from './rtp-peer.ts'

const open: AnchoredBridge[] = []

async function begin(options: Parameters<typeof beginAnchored>[0] = {}): Promise<AnchoredBridge> {
  const anchored = await beginAnchored(options)
  open.push(anchored)
  return anchored
}

afterEach(async () => {
  for (const anchored of open.splice(0)) await anchored.end()
})

/** What a description says of itself: its version, where its media goes, and who is named in it. */
function facts(sdp: string) {
  const origin = /^o=- (\d+) (\d+) IN IP4 (\S+)/m.exec(sdp)
  return {
    version: Number(origin?.[2]),
    origin: origin?.[3],
    direction: /^a=(sendrecv|sendonly|recvonly|inactive)/m.exec(sdp)?.[1],
  }
}

function bodies(...arrived: (readonly Arrival[])[]): string[] {
  return arrived.flat().flatMap(({ message }) => (message.body === '' ? [] : [message.body]))
}

describe.skipIf(!inject('peers').rtpengine)('a call with anchored media', () => {
  it('carries RTP both ways, early and after the answer, and names nobody but the engine (feature item 6, check 3)', async () => {
    const anchored = await begin()
    const { bridge, engines, a, b } = anchored
    const party = anchored.caller()
    party.invite({ body: a.sdp({ extra: 'a=candidate:1 1 UDP 2130706431 127.0.0.11 4000 typ host\r\n' }) })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 183, { body: b.sdp() })
    const early = await bridge.pbx.response(183, 'INVITE')
    await talkBothWays(a, early.message.body, b, invite.message.body)
    answer(invite, bridge.carrier, 200, { body: b.sdp() })
    const ok = await bridge.pbx.response(200, 'INVITE')
    party.learn(ok)
    party.send('ACK')
    await bridge.carrier.request('ACK')
    await talkBothWays(a, ok.message.body, b, invite.message.body)
    // RFC 3264 section 8: the same description is the same to the last byte.
    expect(ok.message.body).toBe(early.message.body)

    const told = bodies(bridge.pbx.arrived, bridge.carrier.arrived)
    expect(told).toHaveLength(3)
    for (const sdp of told) {
      // The engine alone is at its own address.
      expect(sdp.match(/127(?:\.\d+){3}/g)?.filter((address) => address !== engines[0]?.mediaAddress)).toEqual([])
      expect(sdp).not.toMatch(/candidate|peer-|talk/)
      expect(facts(sdp).origin).toBe(engines[0]?.mediaAddress)
    }
    expect(await engines[0]?.sessions()).toHaveLength(1)
    expect(bridge.calls.list()).toMatchObject([{ mediaEngine: 'e0' }])
    await hangUp(anchored, party, bridge.carrier)
  })

  it('carries an offer in the 200 and its answer in the ACK (RFC 3261 section 13.2.1)', async () => {
    const anchored = await begin()
    const { bridge, a, b } = anchored
    const party = anchored.caller()
    party.invite()
    const invite = await bridge.carrier.request('INVITE')
    expect(invite.message.body).toBe('')
    answer(invite, bridge.carrier, 200, { body: b.sdp() })
    const ok = await bridge.pbx.response(200, 'INVITE')
    party.learn(ok)
    party.send('ACK', { body: a.sdp() })
    const ack = await bridge.carrier.request('ACK')
    await talkBothWays(a, ok.message.body, b, ack.message.body)
    await hangUp(anchored, anchored.called(invite), bridge.pbx)
  })

  it('gives every target an offer and ports of its own, and leaves nothing of the one before', async () => {
    const anchored = await begin({ targets: 2 })
    const { bridge, engines, a, b } = anchored
    const [first, second] = bridge.carriers
    if (first === undefined || second === undefined) throw new Error('two carriers')
    const party = anchored.caller()
    party.invite({ body: a.sdp() })
    const tried = await first.request('INVITE')
    const busy = await openRtpPeer('127.0.0.33')
    answer(tried, first, 183, { body: busy.sdp(), tag: 'first' })
    await bridge.pbx.response(183, 'INVITE')
    answer(tried, first, 503, { tag: 'first' })
    const taken = await second.request('INVITE')
    expect(streamOf(taken.message.body).port).not.toBe(streamOf(tried.message.body).port)
    answer(taken, second, 200, { body: b.sdp() })
    const ok = await bridge.pbx.response(200, 'INVITE')
    party.learn(ok)
    party.send('ACK')
    await second.request('ACK')
    await talkBothWays(a, ok.message.body, b, taken.message.body)
    expect(busy.heard).toEqual([])
    busy.close()
    expect(await engines[0]?.sessions()).toHaveLength(1)
    await hangUp(anchored, party, second)
  })

  it('follows the fork that answers, whichever was heard first', async () => {
    const anchored = await begin()
    const { bridge, a, b } = anchored
    const other = await openRtpPeer('127.0.0.44')
    const party = anchored.caller()
    party.invite({ body: a.sdp() })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 183, { body: b.sdp(), tag: 'fork-1' })
    await bridge.pbx.response(183, 'INVITE')
    answer(invite, bridge.carrier, 183, { body: other.sdp(), tag: 'fork-2' })
    await bridge.pbx.response(183, 'INVITE')
    answer(invite, bridge.carrier, 200, { body: b.sdp(), tag: 'fork-1' })
    const ok = await bridge.pbx.response(200, 'INVITE')
    party.learn(ok)
    party.send('ACK')
    await bridge.carrier.request('ACK')
    await talkBothWays(a, ok.message.body, b, invite.message.body)
    expect(other.heard).toEqual([])
    other.close()
    await hangUp(anchored, party, bridge.carrier)
  })

  it.each([
    ['after a final failure', 486],
    ['after a CANCEL', 487],
  ])('leaves nothing at the engine %s', async (_when, status) => {
    const anchored = await begin()
    const { bridge, engines, a, b } = anchored
    const party = anchored.caller()
    party.invite({ body: a.sdp(), branch: 'z9hG4bK-cancelled' })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 183, { body: b.sdp() })
    await bridge.pbx.response(183, 'INVITE')
    expect(await engines[0]?.sessions()).toHaveLength(1)
    if (status === 487) {
      party.send('CANCEL', { branch: 'z9hG4bK-cancelled' })
      answer(await bridge.carrier.request('CANCEL'), bridge.carrier, 200)
    }
    answer(invite, bridge.carrier, status)
    await bridge.pbx.response(status, 'INVITE')
    await anchored.nothingLeft()
  })
})

describe.skipIf(!inject('peers').rtpengine)('inside a call with anchored media', () => {
  it('carries hold and resume, with the same ports and a version that rises with each change', async () => {
    const anchored = await begin()
    const { bridge, a, b } = anchored
    const { caller, toA, toB } = await connect(anchored)
    const seen = [facts(toB)]
    for (const [direction, back] of [
      ['sendonly', 'recvonly'],
      ['sendrecv', 'sendrecv'],
      // A refresh: the same once more.
      ['sendrecv', 'sendrecv'],
    ] as const) {
      caller.send('INVITE', { body: a.sdp({ direction, version: seen.length + 1 }) })
      const held = await bridge.carrier.request('INVITE')
      seen.push(facts(held.message.body))
      expect(streamOf(held.message.body)).toEqual(streamOf(toB))
      answer(held, bridge.carrier, 200, { body: b.sdp({ direction: back }) })
      const ok = await bridge.pbx.response(200, 'INVITE')
      expect(facts(ok.message.body).direction).toBe(back)
      expect(streamOf(ok.message.body)).toEqual(streamOf(toA))
      caller.send('ACK')
      await bridge.carrier.request('ACK')
    }
    expect(seen.map(({ version, direction }) => [version, direction])).toEqual([
      [1, 'sendrecv'],
      [2, 'sendonly'],
      [3, 'sendrecv'],
      [3, 'sendrecv'],
    ])
    await talkBothWays(a, toA, b, toB)
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('moves the media of one side by re-INVITE, and the other side sees no change in it', async () => {
    const anchored = await begin()
    const { bridge, b } = anchored
    const { caller, toA, toB } = await connect(anchored)
    const moved = await openRtpPeer('127.0.0.55')
    caller.send('INVITE', { body: moved.sdp({ version: 2 }) })
    const again = await bridge.carrier.request('INVITE')
    expect(again.message.body).toBe(toB)
    answer(again, bridge.carrier, 200, { body: b.sdp() })
    const ok = await bridge.pbx.response(200, 'INVITE')
    caller.send('ACK')
    await bridge.carrier.request('ACK')
    expect(streamOf(ok.message.body)).toEqual(streamOf(toA))
    await talkBothWays(moved, ok.message.body, b, toB)
    moved.close()
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('carries the offer of an UPDATE (RFC 3311)', async () => {
    const anchored = await begin()
    const { bridge, a } = anchored
    const { caller, called, toA } = await connect(anchored)
    const moved = await openRtpPeer('127.0.0.66')
    called.send('UPDATE', { body: moved.sdp({ version: 2 }) })
    const update = await bridge.pbx.request('UPDATE')
    answer(update, bridge.pbx, 200, { body: a.sdp() })
    const ok = await bridge.carrier.response(200, 'UPDATE')
    expect(update.message.body).toBe(toA)
    await talkBothWays(a, toA, moved, ok.message.body)
    moved.close()
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('goes on with what was agreed when a re-INVITE is refused (RFC 3261 section 14.1)', async () => {
    const anchored = await begin()
    const { bridge, a, b } = anchored
    const { caller, toA, toB } = await connect(anchored)
    const elsewhere = await openRtpPeer('127.0.0.77')
    caller.send('INVITE', { body: elsewhere.sdp({ version: 2 }) })
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 488)
    await bridge.pbx.response(488, 'INVITE')
    caller.send('ACK')
    await anchored.mediaGoesTo(a, b)
    await talkBothWays(a, toA, b, toB)
    expect(elsewhere.heard).toEqual([])
    elsewhere.close()
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('goes on with what was agreed when a re-INVITE is cancelled', async () => {
    const anchored = await begin()
    const { bridge, a, b } = anchored
    const { caller, toA, toB } = await connect(anchored)
    const elsewhere = await openRtpPeer('127.0.0.88')
    caller.send('INVITE', { body: elsewhere.sdp({ version: 2 }), branch: 'z9hG4bK-again' })
    const again = await bridge.carrier.request('INVITE')
    answer(again, bridge.carrier, 100, { tag: '' })
    answer(again, bridge.carrier, 180)
    await bridge.pbx.response(180, 'INVITE')
    caller.send('CANCEL', { branch: 'z9hG4bK-again' })
    answer(await bridge.carrier.request('CANCEL'), bridge.carrier, 200)
    answer(again, bridge.carrier, 487)
    await bridge.pbx.response(487, 'INVITE')
    await anchored.mediaGoesTo(a, b)
    await talkBothWays(a, toA, b, toB)
    expect(elsewhere.heard).toEqual([])
    elsewhere.close()
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('answers an offer that crosses with one that is carried with 491, and asks the engine nothing', async () => {
    const anchored = await begin()
    const { bridge, a, b } = anchored
    const { caller, called, toA, toB } = await connect(anchored)
    const elsewhere = await openRtpPeer('127.0.0.99')
    caller.send('INVITE', { body: a.sdp({ version: 2, direction: 'sendonly' }) })
    const again = await bridge.carrier.request('INVITE')
    called.send('UPDATE', { body: elsewhere.sdp({ version: 2 }) })
    await bridge.carrier.response(491, 'UPDATE')
    answer(again, bridge.carrier, 200, { body: b.sdp({ direction: 'recvonly' }) })
    await bridge.pbx.response(200, 'INVITE')
    caller.send('ACK')
    await bridge.carrier.request('ACK')
    caller.send('INVITE', { body: a.sdp({ version: 3 }) })
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 200, { body: b.sdp() })
    await bridge.pbx.response(200, 'INVITE')
    caller.send('ACK')
    await bridge.carrier.request('ACK')
    await talkBothWays(a, toA, b, toB)
    expect(elsewhere.heard).toEqual([])
    elsewhere.close()
    await hangUp(anchored, caller, bridge.carrier)
  })
})

describe.skipIf(!inject('peers').rtpengine)('when an engine dies (feature item 29.6)', () => {
  it('takes the other engine for the next call, and gives 503 when none is left', async () => {
    const anchored = await begin({ engines: 2 })
    const { bridge, engines, a, b, pool } = anchored
    const first = await connect(anchored)
    await talkBothWays(a, first.toA, b, first.toB)
    await hangUp(anchored, first.caller, bridge.carrier)
    for (const engine of engines) {
      await engine.kill()
      if (engine === engines[1]) break
      const next = await connect(anchored)
      await talkBothWays(a, next.toA, b, next.toB)
      await hangUp(anchored, next.caller, bridge.carrier)
    }
    const sent = bridge.carrier.arrived.length
    anchored.caller().invite({ body: a.sdp() })
    await bridge.pbx.response(503, 'INVITE')
    await anchored.nothingLeft()
    expect(bridge.carrier.arrived).toHaveLength(sent)
    expect(pool.list().map(({ up }) => up)).toEqual([false, false])
  })

  it('refuses the caller with 500 and hangs up on the callee when the answer cannot be carried', async () => {
    const anchored = await begin()
    const { bridge, engines, a, b } = anchored
    anchored.caller().invite({ body: a.sdp() })
    const invite = await bridge.carrier.request('INVITE')
    await engines[0]?.kill()
    answer(invite, bridge.carrier, 200, { body: b.sdp() })
    const refusal = await bridge.pbx.response(500, 'INVITE')
    expect(refusal.message.body).toBe('')
    await bridge.carrier.request('ACK')
    answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await anchored.nothingLeft()
    expect(bodies(bridge.pbx.arrived)).toEqual([])
  })

  it('hangs up on both when the answer in the ACK cannot be carried', async () => {
    const anchored = await begin()
    const { bridge, engines, a, b } = anchored
    const party = anchored.caller()
    party.invite()
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 200, { body: b.sdp() })
    party.learn(await bridge.pbx.response(200, 'INVITE'))
    await engines[0]?.kill()
    party.send('ACK', { body: a.sdp() })
    await bridge.carrier.request('ACK')
    const bye = await bridge.carrier.request('BYE')
    expect(bye.message.get('Reason')).toContain('SIP;cause=500')
    answer(bye, bridge.carrier, 200)
    answer(await bridge.pbx.request('BYE'), bridge.pbx, 200)
    await anchored.nothingLeft()
  })

  it('refuses a new offer inside a call, and moves the call to another engine where there is one', async () => {
    const anchored = await begin({ engines: 2 })
    const { bridge, engines, a, b } = anchored
    const { caller, toB } = await connect(anchored)
    const held = await Promise.all(engines.map((engine) => engine.sessions()))
    const index = held.findIndex((sessions) => sessions.length > 0)
    await engines[index]?.kill()
    caller.send('INVITE', { body: a.sdp({ version: 2 }) })
    const again = await bridge.carrier.request('INVITE')
    expect(facts(again.message.body).version).toBe(facts(toB).version + 1)
    answer(again, bridge.carrier, 200, { body: b.sdp({ version: 2 }) })
    const ok = await bridge.pbx.response(200, 'INVITE')
    caller.send('ACK')
    await bridge.carrier.request('ACK')
    await talkBothWays(a, ok.message.body, b, again.message.body)

    await engines[1 - index]?.kill()
    caller.send('INVITE', { body: a.sdp({ version: 3, direction: 'sendonly' }) })
    await bridge.pbx.response(503, 'INVITE')
    caller.send('ACK')
    expect(bridge.calls.count).toBe(1)
    await hangUp(anchored, caller, bridge.carrier)
  })
})
