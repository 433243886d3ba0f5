import { afterEach, describe, expect, inject, it } from 'vitest'
import { beginAnchored, connect, hangUp, type AnchoredBridge } from './anchored-bridge.ts'
import { openRtpPeer, talkBothWays } from './rtp-peer.ts'

const open: AnchoredBridge[] = []

async function begin(mode: 'Block' | 'PassThroughMediaChange'): Promise<AnchoredBridge> {
  const anchored = await beginAnchored({ sip: { midcall: { mode } } })
  open.push(anchored)
  return anchored
}

afterEach(async () => {
  for (const anchored of open.splice(0)) await anchored.end()
})

describe.skipIf(!inject('peers').rtpengine).each(['Block', 'PassThroughMediaChange'] as const)(
  'mid-call mode %s (feature item 8)',
  (mode) => {
    it('moves the media of one side, and the other side hears nothing of it', async () => {
      const anchored = await begin(mode)
      const { bridge, b } = anchored
      const { caller, toB } = await connect(anchored)
      const moved = await openRtpPeer('127.0.0.55')
      const sent = bridge.carrier.arrived.length
      caller.send('INVITE', { body: moved.sdp({ version: 2 }) })
      const ok = await bridge.pbx.response(200, 'INVITE')
      caller.send('ACK')
      await anchored.mediaGoesTo(moved, b)
      await talkBothWays(moved, ok.message.body, b, toB)
      expect(bridge.carrier.arrived).toHaveLength(sent)
      moved.close()
      await hangUp(anchored, caller, bridge.carrier)
    })

    it('offers what was agreed to a re-INVITE without offer, and takes the answer from its ACK', async () => {
      const anchored = await begin(mode)
      const { bridge, b } = anchored
      const { caller, toB } = await connect(anchored)
      const moved = await openRtpPeer('127.0.0.66')
      const sent = bridge.carrier.arrived.length
      caller.send('INVITE')
      const offered = await bridge.pbx.response(200, 'INVITE')
      caller.send('ACK', { body: moved.sdp({ version: 2 }) })
      await anchored.mediaGoesTo(moved, b)
      await talkBothWays(moved, offered.message.body, b, toB)
      expect(bridge.carrier.arrived).toHaveLength(sent)
      moved.close()
      await hangUp(anchored, caller, bridge.carrier)
    })
  },
)
