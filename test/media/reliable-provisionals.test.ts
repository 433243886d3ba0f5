import { afterEach, describe, expect, inject, it } from 'vitest'
import { agreeEarly, answer, reliable } from '../call/bridge.ts'
import { beginAnchored, type AnchoredBridge, hangUp } from './anchored-bridge.ts'
import { talkBothWays } from './rtp-peer.ts'

const open: AnchoredBridge[] = []

afterEach(async () => {
  for (const anchored of open.splice(0)) await anchored.end()
})

async function invited(options: { headers?: readonly string[]; offer?: boolean } = {}) {
  const { headers = ['Supported: 100rel'], offer = true } = options
  const anchored = await beginAnchored()
  open.push(anchored)
  const caller = anchored.caller()
  caller.invite({ headers, ...(offer && { body: anchored.a.sdp() }) })
  const invite = await anchored.bridge.carrier.request('INVITE')
  return { ...anchored, anchored, caller, invite }
}

describe.skipIf(!inject('peers').rtpengine)('PRACK with anchored media (RFC 3262 section 5)', () => {
  it('an answer in a reliable 183, and a 200 without: media both ways', async () => {
    const { anchored, bridge, a, b, caller, invite } = await invited()
    const progress = await agreeEarly(bridge, caller, invite, { body: b.sdp() })
    await talkBothWays(a, progress.message.body, b, invite.message.body)
    answer(invite, bridge.carrier, 200)
    caller.learn(await bridge.pbx.response(200, 'INVITE'))
    caller.send('ACK', { cseq: 1 })
    await bridge.carrier.request('ACK')
    await talkBothWays(a, progress.message.body, b, invite.message.body)
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('an offer in a reliable 183 and its answer in PRACK: each side is told the engine alone', async () => {
    const { anchored, bridge, a, b, caller, invite } = await invited({ offer: false })
    answer(invite, bridge.carrier, 183, { body: b.sdp(), headers: reliable() })
    const progress = await bridge.pbx.response(183, 'INVITE')
    caller.learn(progress)
    caller.prack(progress, { body: a.sdp() })
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.body).not.toContain(a.address)
    expect(progress.message.body).not.toContain(b.address)
    answer(prack, bridge.carrier, 200)
    await bridge.pbx.response(200, 'PRACK')
    await talkBothWays(a, progress.message.body, b, prack.message.body)
    answer(invite, bridge.carrier, 200)
    caller.learn(await bridge.pbx.response(200, 'INVITE'))
    caller.send('ACK', { cseq: 1 })
    await bridge.carrier.request('ACK')
    await hangUp(anchored, caller, bridge.carrier)
  })

  it('an offer in PRACK and its answer in the 200 to it', async () => {
    const { bridge, a, b, caller, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: b.sdp(), headers: reliable() })
    const progress = await bridge.pbx.response(183, 'INVITE')
    caller.learn(progress)
    caller.prack(progress, { body: a.sdp({ direction: 'sendonly', version: 2 }) })
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.body).toContain('a=sendonly')
    expect(prack.message.body).not.toContain(a.address)
    answer(prack, bridge.carrier, 200, { body: b.sdp({ direction: 'recvonly', version: 2 }) })
    const { message } = await bridge.pbx.response(200, 'PRACK')
    expect(message.body).toContain('a=recvonly')
    expect(message.body).not.toContain(b.address)
  })

  it('an offer in PRACK that nobody can read gets 488, and the callee its PRACK', async () => {
    const { bridge, b, caller, invite } = await invited()
    answer(invite, bridge.carrier, 183, { body: b.sdp(), headers: reliable() })
    const progress = await bridge.pbx.response(183, 'INVITE')
    caller.learn(progress)
    caller.prack(progress, { body: 'v=0\r\nthis is no description\r\n' })
    const prack = await bridge.carrier.request('PRACK')
    expect(prack.message.body).toBe('')
    await bridge.pbx.response(488, 'PRACK')
  })

  it('the fork that answers in the end has the media, though another one has said something later', async () => {
    const { anchored, bridge, a, b, caller, invite } = await invited({ headers: [] })
    for (const [tag, body] of [
      ['fork-1', b.sdp()],
      ['fork-2', b.sdp().replaceAll(b.address, '127.0.0.33')],
    ] as const) {
      answer(invite, bridge.carrier, 183, { body, tag, headers: reliable() })
      answer(await bridge.carrier.request('PRACK'), bridge.carrier, 200)
      await bridge.pbx.response(183, 'INVITE')
    }
    answer(invite, bridge.carrier, 200, { tag: 'fork-1' })
    const ok = await bridge.pbx.response(200, 'INVITE')
    caller.learn(ok)
    caller.send('ACK', { cseq: 1 })
    await bridge.carrier.request('ACK')
    await talkBothWays(a, ok.message.body, b, invite.message.body)
    await hangUp(anchored, caller, bridge.carrier)
  })
})
