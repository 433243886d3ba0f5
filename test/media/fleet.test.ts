import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { callThroughManifests, startFleet, type Fleet } from '../sip/fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { startSipp, type SippOptions } from '../sip/sipp.ts'
import { startRtpengine, type Rtpengine } from './rtpengine.ts'

const { sipp, rtpengine } = inject('peers')

/** One second of silence in PCMU. */
const second = new Uint8Array(8_000).fill(0xff)

describe.skipIf(!sipp || !rtpengine)('SIPp calls through a fleet that anchors media', () => {
  let engine: Rtpengine
  let fleet: Fleet
  let listener: number
  let caller: { address: string; port: number }
  let called: { address: string; port: number }
  let echo: number

  beforeAll(async () => {
    engine = await startRtpengine()
    const [fleetPort = 0, callerPort = 0, calledPort = 0, echoPort = 0] = await freePorts(4)
    listener = fleetPort
    echo = echoPort
    caller = { address: '127.0.0.2', port: callerPort }
    called = { address: '127.0.0.3', port: calledPort }
    const manifests = callThroughManifests({ listener, caller: [caller], called: [called] })
    const engines = `  media:\n    engines: [{ name: only, host: ${engine.host}, port: ${engine.port} }]\n`
    const anchored = `${engines}  sip: { media: { mode: Anchor } }\n  routes:\n`
    fleet = await startFleet({
      ...manifests,
      'fleet.yaml': (manifests['fleet.yaml'] ?? '').replace('  routes:\n', anchored),
    })
  })

  afterAll(async () => {
    await fleet?.stop()
    await engine?.stop()
  })

  const call = async (
    uac: Partial<SippOptions> & { scenario: string },
    uas: Partial<SippOptions> & { scenario: string },
  ) => {
    const calls = uac.calls ?? 5
    const shared = { calls, holdMilliseconds: 200 }
    const callee = startSipp({ ...shared, local: called, ...uas })
    await callee.listening
    const callerRun = startSipp({
      ...shared,
      local: caller,
      remote: `127.0.0.1:${listener}`,
      number: '15550100',
      ...uac,
    })
    for (const result of await Promise.all([callerRun.done, callee.done])) {
      expect(result, result.errors).toMatchObject({ exitCode: 0, successful: calls, failed: 0 })
    }
  }

  it.for([
    ['is ended by the caller', 'uac', 'uas-answers'],
    ['is ended by the called party', 'uac-hold-and-wait-for-bye', 'uas-bye-from-called-party'],
    ['is refused', 'uac-expect-486', 'uas-busy-486'],
    ['is cancelled while it rings', 'uac-cancel-after-180-expect-487', 'uas-ring-until-cancel'],
    ['has early media', 'uac-early-media-expect-183', 'uas-early-media-183'],
    ['has a delayed offer', 'uac-delayed-offer-expect-offer-in-200', 'uas-delayed-offer-expect-answer-in-ack'],
    ['is refreshed', 'uac-reinvite-with-session-timer-expect-200', 'uas-reinvite-with-session-timer'],
  ] as const)('leaves nothing at the engine when a call %s', async ([, uac, uas]) => {
    const before = await totals(engine)
    await call({ scenario: uac }, { scenario: uas })
    await nothingAt(engine)
    expect((await totals(engine)).sessions).toBeGreaterThanOrEqual(before.sessions + 5)
  })

  it('plays to the called party, and hears what it sends back', async () => {
    const before = await totals(engine)
    await call(
      {
        scenario: 'uac-play-rtp',
        calls: 1,
        // Longer than it plays, so that what comes late comes in time.
        holdMilliseconds: 4_000,
        files: { 'second.ulaw': second },
        more: ['-mi', '127.0.0.2'],
      },
      { scenario: 'uas-echo-rtp', calls: 1, more: ['-rtp_echo', '-mi', '127.0.0.3', '-mp', String(echo)] },
    )
    await nothingAt(engine)
    // 50 packets went there, and as many back.
    const packets = (await totals(engine)).packets - before.packets
    expect(packets).toBeGreaterThan(80)
  })
})

async function totals(engine: Rtpengine): Promise<{ sessions: number; packets: number }> {
  const reply = await engine.request('statistics')
  if (!reply.ok) throw new Error(reply.reason)
  const { statistics } = reply.fields as unknown as {
    statistics: { totalstatistics: { managedsessions: number; relayedpackets: number } }
  }
  return {
    sessions: Number(statistics.totalstatistics.managedsessions),
    packets: Number(statistics.totalstatistics.relayedpackets),
  }
}

async function nothingAt(engine: Rtpengine): Promise<void> {
  const limit = Date.now() + 60_000
  while ((await engine.sessions()).length > 0) if (Date.now() > limit) throw new Error('sessions stay for a minute')
}
