import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { EnginePool } from '../../dataplane/media/engine-pool.ts'
import { answer, Bridge, Party } from '../call/bridge.ts'
import type { Arrival, SipPeer } from '../engine/sip-peer.ts'
import { openRtpPeer, type RtpPeer } from './rtp-peer.ts'
import { startRtpengine, type Rtpengine } from './rtpengine.ts'

/** A bridge whose media is anchored, between two telephones with media addresses of their own. */
export interface AnchoredBridge {
  readonly bridge: Bridge
  readonly engines: readonly Rtpengine[]
  readonly pool: EnginePool
  /** Media of the caller, and of whoever is called. */
  readonly a: RtpPeer
  readonly b: RtpPeer
  /** The caller of a new call. */
  caller(): Party
  /** A party of leg B, by the INVITE that it got. */
  called(invite: Arrival, peer?: SipPeer): Party
  /** Resolves when the engine sends media to these ends and nowhere else. */
  mediaGoesTo(...peers: readonly RtpPeer[]): Promise<void>
  /** Resolves when neither a call nor a session at an engine that lives is left. */
  nothingLeft(): Promise<void>
  end(): Promise<void>
}

const log = createLog({ level: 'error', name: 'test', write: () => {} })

export async function beginAnchored(
  options: { engines?: number; targets?: number; sip?: Partial<ResolvedSipBehaviour> } = {},
): Promise<AnchoredBridge> {
  const engines: Rtpengine[] = []
  for (let index = 0; index < (options.engines ?? 1); index++) engines.push(await startRtpengine())
  const pool = new EnginePool({ clock: systemClock, log, cookiePrefix: `test-${Math.random()}-` })
  pool.configure(
    engines.map(({ host, port }, index) => ({ type: 'MediaEngine', name: `e${index}`, host, port, weight: 1 })),
  )
  const bridge = await Bridge.begin({
    targets: options.targets ?? 1,
    sip: { media: { mode: 'Anchor' }, ...options.sip },
    engines: pool,
  })
  const a = await openRtpPeer('127.0.0.11')
  const b = await openRtpPeer('127.0.0.22')
  let calls = 0
  return {
    bridge,
    engines,
    pool,
    a,
    b,
    caller: () =>
      new Party({
        peer: bridge.pbx,
        port: bridge.portOf('inside'),
        callId: `near-${calls++}-${Math.random()}`,
        localTag: 'near-tag',
        target: bridge.uriOf('inside', '2000'),
      }),
    called: (invite, peer = bridge.carrier) => Party.called(invite, peer, bridge.portOf('outside'), 'callee'),
    mediaGoesTo: (...peers) => mediaGoesTo(engines, peers),
    async nothingLeft() {
      await bridge.noCalls()
      for (const engine of engines) {
        if (!engine.alive) continue
        const limit = Date.now() + 60_000
        while ((await engine.sessions()).length > 0)
          if (Date.now() > limit) throw new Error('sessions stay for a minute')
      }
    },
    async end() {
      a.close()
      b.close()
      pool.stop()
      await bridge.end()
      for (const engine of engines) await engine.stop()
    },
  }
}

export interface Connected {
  readonly caller: Party
  readonly called: Party
  /** Descriptions as they arrived. */
  readonly toA: string
  readonly toB: string
}

/** A call that is up, with media agreed on. */
export async function connect(anchored: AnchoredBridge): Promise<Connected> {
  const { bridge, a, b } = anchored
  const party = anchored.caller()
  party.invite({ body: a.sdp() })
  const invite = await bridge.carrier.request('INVITE')
  answer(invite, bridge.carrier, 200, { body: b.sdp() })
  const ok = await bridge.pbx.response(200, 'INVITE')
  party.learn(ok)
  party.send('ACK')
  await bridge.carrier.request('ACK')
  return { caller: party, called: anchored.called(invite), toA: ok.message.body, toB: invite.message.body }
}

/** Hangs up, and waits until nothing of the call is left. */
export async function hangUp(anchored: AnchoredBridge, from: Party, other: SipPeer): Promise<void> {
  from.send('BYE')
  answer(await other.request('BYE'), other, 200)
  await anchored.nothingLeft()
}

async function mediaGoesTo(engines: readonly Rtpengine[], peers: readonly RtpPeer[]): Promise<void> {
  const wanted = peers.map(({ address, port }) => `${address}:${port}`).sort()
  const limit = Date.now() + 60_000
  for (;;) {
    const found: string[] = []
    for (const engine of engines) {
      for (const session of await engine.sessions()) found.push(...(await endpointsOf(engine, session)))
    }
    if (found.sort().join() === wanted.join()) return
    if (Date.now() > limit) throw new Error(`media goes to ${found.join()}, and not to ${wanted.join()}`)
  }
}

/** Where the first stream of each side is sent. */
async function endpointsOf(engine: Rtpengine, session: string): Promise<string[]> {
  const reply = await engine.request('query', { 'call-id': session })
  const { tags = {} } = (reply.ok ? reply.fields : {}) as { tags?: Record<string, Monologue> }
  return Object.values(tags).flatMap(({ medias }) => {
    const endpoint = medias?.[0]?.streams?.[0]?.endpoint
    return endpoint === undefined ? [] : [`${endpoint.address}:${endpoint.port}`]
  })
}

interface Monologue {
  readonly medias?: readonly {
    readonly streams?: readonly { readonly endpoint?: { address: string; port: number } }[]
  }[]
}
