import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { AnchoredMedia } from '../../dataplane/media/anchored-media.ts'
import { EnginePool } from '../../dataplane/media/engine-pool.ts'
import type { Carried, Side } from '../../dataplane/media/media-port.ts'
import { openRtpPeer, streamOf, talkBothWays, type RtpPeer } from './rtp-peer.ts'
import { startRtpengine, type Rtpengine } from './rtpengine.ts'

const log = createLog({ level: 'error', name: 'test', write: () => {} })

describe.skipIf(!inject('peers').rtpengine)('media through a real rtpengine', () => {
  let engine: Rtpengine
  let pool: EnginePool
  let a: RtpPeer
  let b: RtpPeer
  let count = 0

  beforeAll(async () => {
    engine = await startRtpengine()
    pool = new EnginePool({ clock: systemClock, log, cookiePrefix: 'media-test-' })
    pool.configure([{ type: 'MediaEngine', name: 'one', host: engine.host, port: engine.port, weight: 1 }])
    a = await openRtpPeer('127.0.0.11')
    b = await openRtpPeer('127.0.0.22')
  })

  afterAll(async () => {
    a.close()
    b.close()
    pool.stop()
    await engine.stop()
  })

  const open: AnchoredMedia[] = []
  const newMedia = () => {
    const media = new AnchoredMedia({
      pool,
      callId: `call-${count}`,
      session: `session-${count++}`,
      log,
      onDown: () => {},
    })
    open.push(media)
    return media
  }
  afterEach(async () => {
    for (const media of open.splice(0)) media.release()
    await until(
      async () => (await engine.sessions()).length === 0 && pool.list().every(({ sessions }) => sessions === 0),
    )
    expect(pool.list()).toEqual([{ name: 'one', up: true, sessions: 0 }])
  })

  const connect = async (media: AnchoredMedia) => {
    const toB = await offer(media, 'A', a.sdp())
    const toA = await answer(media, 'B', b.sdp())
    return { toA, toB }
  }

  it('carries RTP both ways, and shows neither side an address of the other', async () => {
    const { toA, toB } = await connect(newMedia())
    for (const sdp of [toA, toB]) {
      expect(sdp).not.toContain(a.address)
      expect(sdp).not.toContain(b.address)
      expect(streamOf(sdp).address).toBe(engine.mediaAddress)
    }
    await talkBothWays(a, toA, b, toB)
  })

  it('takes ICE, rejected streams and unknown attributes of the peers away with their addresses', async () => {
    const extra =
      'a=candidate:1 1 UDP 2130706431 127.0.0.11 4000 typ host\r\na=ice-ufrag:F7gI\r\na=ice-pwd:x9cml\r\n' +
      'a=rtcp:4001 IN IP4 127.0.0.11\r\na=X-private:127.0.0.11\r\n' +
      'm=video 0 RTP/AVP 96\r\nc=IN IP4 127.0.0.11\r\na=X-other:host=127.0.0.11;\r\n'
    const toB = await offer(newMedia(), 'A', a.sdp({ extra }))
    expect(toB).not.toContain('127.0.0.11')
    expect(toB).not.toMatch(/a=(candidate|ice-)/)
    expect(toB).toMatch(/^m=video 0 /m)
  })

  it('keeps to one answer when a description is repeated, and takes the newest when it changes (forks)', async () => {
    const media = newMedia()
    const toB = await offer(media, 'A', a.sdp())
    const early = await answer(media, 'B', b.sdp())
    expect(await answer(media, 'B', b.sdp())).toBe(early)
    const fork = await openRtpPeer('127.0.0.33')
    try {
      const toA = await answer(media, 'B', fork.sdp())
      await talkBothWays(a, toA, fork, toB)
    } finally {
      fork.close()
    }
  })

  it('carries an offer in the 2xx and its answer in the ACK (RFC 3261 section 13.2.1)', async () => {
    const media = newMedia()
    const toA = await offer(media, 'B', b.sdp())
    const toB = await answer(media, 'A', a.sdp())
    await talkBothWays(a, toA, b, toB)
  })

  it('goes on with what was agreed when a new offer is withdrawn (RFC 3261 section 14.1)', async () => {
    const media = newMedia()
    const { toA, toB } = await connect(media)
    const elsewhere = await openRtpPeer('127.0.0.44')
    try {
      await offer(media, 'A', elsewhere.sdp({ version: 2 }))
      media.withdraw()
      // The order of what is asked is kept, so that this is answered after the withdrawal.
      const again = await offer(media, 'A', a.sdp())
      expect(await answer(media, 'B', b.sdp())).toBe(toA)
      expect(streamOf(again)).toEqual(streamOf(toB))
      await talkBothWays(a, toA, b, toB)
      expect(elsewhere.heard).toEqual([])
    } finally {
      elsewhere.close()
    }
  })

  it('moves one side to a new address and tells the other nothing when its offer is answered here', async () => {
    const media = newMedia()
    const { toA, toB } = await connect(media)
    const moved = await openRtpPeer('127.0.0.55')
    try {
      await offer(media, 'A', moved.sdp({ version: 2 }))
      media.settle()
      // What it was told before still holds, and is what a refresh of the other side is told again.
      expect(await answer(media, 'B', b.sdp())).toBe(toA)
      await talkBothWays(moved, toA, b, toB)
    } finally {
      moved.close()
    }
  })

  it('takes a new answer to what was agreed before, as one to an offer that is made here', async () => {
    const media = newMedia()
    const { toA, toB } = await connect(media)
    const moved = await openRtpPeer('127.0.0.66')
    try {
      await answer(media, 'A', moved.sdp({ version: 2 }))
      await talkBothWays(moved, toA, b, toB)
    } finally {
      moved.close()
    }
  })

  it('goes back to what was agreed before when an answered offer is withdrawn after all', async () => {
    const media = newMedia()
    const { toA, toB } = await connect(media)
    const moved = await openRtpPeer('127.0.0.77')
    try {
      await offer(media, 'A', moved.sdp({ version: 2 }))
      await answer(media, 'B', b.sdp({ version: 2 }))
      media.withdraw()
      expect(streamOf(await answer(media, 'B', b.sdp()))).toEqual(streamOf(toA))
      await talkBothWays(a, toA, b, toB)
      expect(moved.heard).toEqual([])
    } finally {
      moved.close()
    }
  })

  it('says 488 to what is no description, and stays usable', async () => {
    const media = newMedia()
    const bad = await carried((done) => media.offer('A', 'v=0\r\nnonsense\r\n', done))
    expect(bad).toMatchObject({ ok: false, status: 488 })
    const { toA, toB } = await connect(media)
    await talkBothWays(a, toA, b, toB)
  })

  it('tells everybody who still waits when the call ends, and leaves nothing at the engine', async () => {
    const media = newMedia()
    const offered = carried((done) => media.offer('A', a.sdp(), done))
    const answered = carried((done) => media.answer('B', b.sdp(), done))
    media.release()
    const late = carried((done) => media.offer('A', a.sdp(), done))
    for (const outcome of [offered, answered, late]) expect(await outcome).toMatchObject({ ok: false, status: 500 })
  })
})

describe.skipIf(!inject('peers').rtpengine)('several rtpengines', () => {
  it('takes the next engine for an offer when the first has died, and says 503 when all have', async () => {
    const engines = [await startRtpengine(), await startRtpengine()]
    const pool = new EnginePool({ clock: systemClock, log, cookiePrefix: 'media-pool-test-' })
    pool.configure(
      engines.map(({ host, port }, index) => ({ type: 'MediaEngine', name: `e${index}`, host, port, weight: 1 })),
    )
    const a = await openRtpPeer('127.0.0.11')
    const b = await openRtpPeer('127.0.0.22')
    try {
      const media = (session: string) => new AnchoredMedia({ pool, callId: 'one-call', session, log, onDown: () => {} })
      const [preferred, other] = pool.choose('one-call').map(({ name }) => engines[Number(name.slice(1))])
      const call = media('first')
      await offer(call, 'A', a.sdp())
      await answer(call, 'B', b.sdp())
      expect(await preferred?.sessions()).toEqual(['first'])
      expect(await other?.sessions()).toEqual([])

      await preferred?.kill()
      // The call moves with its next offer, and its media goes on.
      const toB = await offer(call, 'A', a.sdp({ version: 2 }))
      const toA = await answer(call, 'B', b.sdp({ version: 2 }))
      expect(await other?.sessions()).toEqual(['first'])
      await talkBothWays(a, toA, b, toB)
      await offer(media('second'), 'A', a.sdp())
      expect(pool.list().filter(({ up }) => up)).toHaveLength(1)

      await other?.kill()
      const third = await carried((done) => media('third').offer('A', a.sdp(), done))
      expect(third).toMatchObject({ ok: false, status: 503 })
      const fourth = await carried((done) => media('fourth').offer('A', a.sdp(), done))
      expect(fourth).toMatchObject({ ok: false, status: 503, reason: 'no media engine is up' })
    } finally {
      a.close()
      b.close()
      pool.stop()
      for (const engine of engines) await engine.stop()
    }
  })
})

function carried(ask: (done: (carried: Carried) => void) => void): Promise<Carried> {
  return new Promise(ask)
}

function sdpOf(outcome: Carried): string {
  if (!outcome.ok) throw new Error(JSON.stringify(outcome))
  return outcome.sdp
}

async function offer(media: AnchoredMedia, from: Side, sdp: string): Promise<string> {
  return sdpOf(await carried((done) => media.offer(from, sdp, done)))
}

async function answer(media: AnchoredMedia, from: Side, sdp: string): Promise<string> {
  return sdpOf(await carried((done) => media.answer(from, sdp, done)))
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const limit = Date.now() + 60_000
  while (!(await holds())) if (Date.now() > limit) throw new Error('not within a minute')
}
