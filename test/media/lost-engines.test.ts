import { afterEach, describe, expect, inject, it } from 'vitest'
import { answer } from '../call/bridge.ts'
import type { Arrival, SipPeer } from '../engine/sip-peer.ts'
import { beginAnchored, connect, hangUp, type AnchoredBridge } from './anchored-bridge.ts'
import { streamOf, talkBothWays } from './rtp-peer.ts'
import { startRtpengine } from './rtpengine.ts'

const open: AnchoredBridge[] = []

async function begin(options: Parameters<typeof beginAnchored>[0] = {}): Promise<AnchoredBridge> {
  const anchored = await beginAnchored(options)
  open.push(anchored)
  return anchored
}

afterEach(async () => {
  for (const anchored of open.splice(0)) await anchored.end()
})

/** The engine that has the only call. */
async function busyEngine({ engines }: AnchoredBridge) {
  for (const engine of engines) if (engine.alive && (await engine.sessions()).length > 0) return engine
  throw new Error('no engine has the call')
}

/** A re-INVITE of the fleet, which the peer answers with what it has said before. */
async function reoffered(peer: SipPeer, description: string, awaited = peer.request('INVITE')): Promise<Arrival> {
  const arrival = await awaited
  answer(arrival, peer, 200, { body: description })
  await peer.request('ACK')
  return arrival
}

const versionOf = (sdp: string) => Number(/^o=- \d+ (\d+) /m.exec(sdp)?.[1])

describe.skipIf(!inject('peers').rtpengine)('an engine that is lost in a call', () => {
  /** Both telephones are told, and talk. */
  async function moved(anchored: AnchoredBridge, call: { toA: string; toB: string }, first?: Promise<Arrival>) {
    const { bridge, a, b } = anchored
    const toA = (await reoffered(bridge.pbx, a.sdp(), first)).message
    const toB = (await reoffered(bridge.carrier, b.sdp())).message
    expect([versionOf(toA.body), versionOf(toB.body)]).toEqual([versionOf(call.toA) + 1, versionOf(call.toB) + 1])
    await talkBothWays(a, toA.body, b, toB.body)
    return { toA, toB }
  }

  it('has its calls moved to another one by re-INVITE, and both sides are heard again', async () => {
    const anchored = await begin({ engines: 2 })
    const call = await connect(anchored)
    const dead = await busyEngine(anchored)
    await dead.kill()
    await expect.poll(() => anchored.pool.list().filter(({ up }) => up).length).toBe(1)
    anchored.bridge.clock.advance(10_000)
    const { toA, toB } = await moved(anchored, call)
    for (const message of [toA, toB]) {
      expect(message.get('Contact')).toContain('127.0.0.1')
      expect(message.body).toMatch(/^a=sendrecv/m)
    }
    await hangUp(anchored, call.caller, anchored.bridge.carrier)
  })

  it('that is back at once has its calls again, with new ports', async () => {
    const anchored = await begin()
    const call = await connect(anchored)
    const engine = await busyEngine(anchored)
    await engine.kill()
    const again = await startRtpengine({ port: engine.port })
    try {
      await expect.poll(() => anchored.pool.list()).toMatchObject([{ up: true }])
      // Either a ping has met nobody, or a look at the session shows that the engine does not know it any more.
      const { toA } = await moved(anchored, call, turning(anchored, 1_000, anchored.bridge.pbx.request('INVITE')))
      expect(streamOf(toA.body)).not.toEqual(streamOf(call.toA))
      expect(await again.sessions()).toHaveLength(1)
      await hangUp(anchored, call.caller, anchored.bridge.carrier)
      await expect.poll(() => again.sessions()).toEqual([])
    } finally {
      await again.stop()
    }
  })

  it('and has nobody to take its place: BYE to both with Reason, and no side talks into the void', async () => {
    const anchored = await begin()
    await connect(anchored)
    await (await busyEngine(anchored)).kill()
    await expect.poll(() => anchored.pool.list().some(({ up }) => up)).toBe(false)
    await endsWith(anchored, 'SIP;cause=500;text="Media lost"', 1_000)
  })

  it('while a side refuses to hear where its media goes now: BYE to both with Reason', async () => {
    const anchored = await begin({ engines: 2 })
    await connect(anchored)
    await (await busyEngine(anchored)).kill()
    await expect.poll(() => anchored.pool.list().filter(({ up }) => up).length).toBe(1)
    anchored.bridge.clock.advance(10_000)
    answer(await anchored.bridge.pbx.request('INVITE'), anchored.bridge.pbx, 488)
    await endsWith(anchored, 'SIP;cause=500;text="Media lost"', 0)
  })

  it('meets an offer of a peer, which moves the call: the other side is told by that offer, once (RFC 3261 section 14.1)', async () => {
    const anchored = await begin({ engines: 2 })
    const { bridge, a, b } = anchored
    const call = await connect(anchored)
    await (await busyEngine(anchored)).kill()
    await expect.poll(() => anchored.pool.list().filter(({ up }) => up).length).toBe(1)
    call.caller.send('INVITE', { body: a.sdp({ version: 2 }) })
    const carried = await bridge.carrier.request('INVITE')
    // The look at the media comes while that offer is open: the call waits with its own, and then needs none.
    bridge.clock.advance(5_000)
    answer(carried, bridge.carrier, 200, { body: b.sdp() })
    const ok = await bridge.pbx.response(200, 'INVITE')
    call.caller.send('ACK')
    await bridge.carrier.request('ACK')
    await talkBothWays(a, ok.message.body, b, carried.message.body)
    bridge.clock.advance(10_000)
    await hangUp(anchored, call.caller, bridge.carrier)
    const told = [...bridge.pbx.arrived, ...bridge.carrier.arrived].filter(
      ({ message }) => message.kind === 'request' && message.method === 'INVITE',
    )
    expect(new Set(told.map(({ message }) => message.branch)).size).toBe(2)
  })

  it('and an offer of a peer that is refused meanwhile: both sides are told all the same', async () => {
    const anchored = await begin({ engines: 2 })
    const { bridge, a } = anchored
    const call = await connect(anchored)
    await (await busyEngine(anchored)).kill()
    await expect.poll(() => anchored.pool.list().filter(({ up }) => up).length).toBe(1)
    call.caller.send('INVITE', { body: a.sdp({ version: 2, payloads: [0] }) })
    const refused = await bridge.carrier.request('INVITE')
    answer(refused, bridge.carrier, 488)
    await bridge.pbx.response(488, 'INVITE')
    call.caller.send('ACK')
    const told = { toA: call.toA, toB: refused.message.body }
    await moved(anchored, told, turning(anchored, 1_000, bridge.pbx.request('INVITE')))
    await hangUp(anchored, call.caller, bridge.carrier)
  })
})

describe.skipIf(!inject('peers').rtpengine)('a call with a media timeout', () => {
  const sip = { media: { mode: 'Anchor' as const, timeoutSeconds: 30 } }

  it('is ended with BYE to both and Reason when nobody was heard for so long (feature item 29.6)', async () => {
    const anchored = await begin({ sip })
    await connect(anchored)
    await endsWith(anchored, 'SIP;cause=408;text="Media timeout"', 1_000)
  })

  it('stays while RTP of one side comes', async () => {
    const anchored = await begin({ sip })
    const { bridge, a, b } = anchored
    const { caller, toA } = await connect(anchored)
    for (let looks = 0; looks < 4; looks++) {
      const before = b.heard.length
      await a.talkUntil(toA, `look-${looks}`, () => b.heard.length > before)
      bridge.clock.advance(10_000)
      // The answer of the engine has come when another one that was asked for after it has.
      await anchored.engines[0]?.request('ping')
    }
    expect(bridge.calls.count).toBe(1)
    await hangUp(anchored, caller, bridge.carrier)
  })
})

/** Turns the time on until both sides get a BYE with that Reason. */
async function endsWith(anchored: AnchoredBridge, reason: string, step: number): Promise<void> {
  const { bridge } = anchored
  const peers = [bridge.pbx, bridge.carrier]
  const byes = await turning(anchored, step, Promise.all(peers.map((peer) => peer.request('BYE'))))
  for (const [index, bye] of byes.entries()) {
    expect(bye.message.values('Reason')).toEqual([reason])
    const peer = peers[index]
    if (peer !== undefined) answer(bye, peer, 200)
  }
  await anchored.nothingLeft()
}

/** Turns the time on in steps until what is awaited has come. */
async function turning<T>({ bridge }: AnchoredBridge, step: number, awaited: Promise<T>): Promise<T> {
  let over = false
  const settled = awaited.finally(() => (over = true))
  while (!over) {
    bridge.clock.advance(step)
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 20))])
  }
  return settled
}
