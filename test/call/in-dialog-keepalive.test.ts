import { afterEach, describe, expect, it } from 'vitest'
import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import { answer, Bridge, Party } from './bridge.ts'
import { sdp } from '../engine/sip-peer.ts'

const open: Bridge[] = []

afterEach(async () => {
  for (const bridge of open.splice(0)) await bridge.end()
})

type Keepalive = ResolvedSipBehaviour['inDialogKeepalive']
const every60: Keepalive = { enabled: true, intervalSeconds: 60, skipWhenSessionTimer: true }

/** A call that is up; with a session timer when the callee's answer has one. */
async function connect(keepalive: Keepalive, timer?: string) {
  const bridge = await Bridge.begin({ sip: { inDialogKeepalive: keepalive } })
  open.push(bridge)
  const a = new Party({
    peer: bridge.pbx,
    port: bridge.portOf('inside'),
    callId: `near-${Math.random()}`,
    localTag: 'near-tag',
    target: bridge.uriOf('inside', '2000'),
  })
  a.invite({ body: sdp, headers: timer === undefined ? [] : ['Supported: timer', `Session-Expires: ${timer}`] })
  const invite = await bridge.carrier.request('INVITE')
  answer(invite, bridge.carrier, 200, {
    body: sdp,
    headers: timer === undefined ? [] : [['Session-Expires', timer]],
  })
  a.learn(await bridge.pbx.response(200, 'INVITE'))
  a.send('ACK')
  await bridge.carrier.request('ACK')
  a.send('OPTIONS')
  await bridge.pbx.response(200, 'OPTIONS')
  return { bridge, a, invite }
}

/** What both peers have sent before has been taken when this is over. */
async function settle({ bridge, a }: Awaited<ReturnType<typeof connect>>): Promise<void> {
  a.send('INFO')
  answer(await bridge.carrier.request('INFO'), bridge.carrier, 200)
  await bridge.pbx.response(200, 'INFO')
}

const asked = ({ pbx, carrier }: Bridge) =>
  [...pbx.arrived, ...carrier.arrived].filter(
    ({ message }) => message.kind === 'request' && message.method === 'OPTIONS',
  )

describe('OPTIONS inside a dialog (feature item 25)', () => {
  it('check 1: without a session timer both peers are asked every 60 s, each in its own dialog', async () => {
    const up = await connect(every60)
    const { bridge, a, invite } = up
    for (let turn = 0; turn < 3; turn++) {
      bridge.clock.advance(60_000)
      const [near, far] = await Promise.all([bridge.pbx.request('OPTIONS'), bridge.carrier.request('OPTIONS')])
      expect([near.message.callId, near.message.toTag]).toEqual([a.callId, 'near-tag'])
      expect([far.message.callId, far.message.toTag]).toEqual([invite.message.callId, 'callee'])
      expect(far.message.cseq).toBe(invite.message.cseq + 2 * turn + 1)
      answer(near, bridge.pbx, 200, { tag: 'near-tag' })
      answer(far, bridge.carrier, 200)
      await settle(up)
    }
    expect(bridge.calls.list()[0]?.state).toBe('Up')
  })

  it('check 2: with a session timer nobody is asked, unless that is wanted', async () => {
    const { bridge } = await connect(every60, '1800;refresher=uac')
    bridge.clock.advance(600_000)
    const wanted = await connect({ ...every60, skipWhenSessionTimer: false }, '1800;refresher=uac')
    wanted.bridge.clock.advance(60_000)
    await Promise.all([wanted.bridge.pbx.request('OPTIONS'), wanted.bridge.carrier.request('OPTIONS')])
    expect(asked(bridge)).toEqual([])
  })

  it('check 3: 481 of the callee: BYE to the caller with that cause, and none to the callee', async () => {
    const { bridge } = await connect(every60)
    bridge.clock.advance(60_000)
    answer(await bridge.pbx.request('OPTIONS'), bridge.pbx, 200)
    answer(await bridge.carrier.request('OPTIONS'), bridge.carrier, 481)
    const bye = await bridge.pbx.request('BYE')
    expect(bye.message.get('Reason')).toContain('SIP;cause=481')
    answer(bye, bridge.pbx, 200)
    await bridge.noCalls()
    expect(bridge.carrier.arrived.filter(({ message }) => message.method === 'BYE')).toEqual([])
  })

  it.each([
    [404, 'Not Found'],
    [408, 'No answer'],
    [410, 'Gone'],
    [416, 'Unsupported URI Scheme'],
    [481, 'No such call'],
    [482, 'Loop Detected'],
    [483, 'Too Many Hops'],
    [484, 'Address Incomplete'],
    [485, 'Ambiguous'],
    [502, 'Bad Gateway'],
    [604, 'Does Not Exist Anywhere'],
  ])('%i of the callee ends the call, which says why: %s (RFC 5057 section 5.1)', async (status, words) => {
    const { bridge } = await connect(every60)
    bridge.clock.advance(60_000)
    answer(await bridge.pbx.request('OPTIONS'), bridge.pbx, 200)
    answer(await bridge.carrier.request('OPTIONS'), bridge.carrier, status)
    const bye = await bridge.pbx.request('BYE')
    expect(bye.message.get('Reason')).toBe(`SIP;cause=${status};text="${words}"`)
    answer(bye, bridge.pbx, 200)
    // Whoever says nothing, or that nothing came, may still be in the call.
    if (status === 408) answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await bridge.noCalls()
  })

  it.each([405, 501, 488, 503, 480, 500])(
    'check 4: %i shows that somebody is there (RFC 5057 section 5.1)',
    async (status) => {
      const up = await connect(every60)
      const { bridge } = up
      for (let turn = 0; turn < 2; turn++) {
        bridge.clock.advance(60_000)
        const [near, far] = await Promise.all([bridge.pbx.request('OPTIONS'), bridge.carrier.request('OPTIONS')])
        answer(near, bridge.pbx, 200)
        answer(far, bridge.carrier, status)
        await settle(up)
      }
      expect(bridge.calls.list()[0]?.state).toBe('Up')
    },
  )

  it('check 5: OPTIONS of the caller gets 200 from here and is not seen by the callee', async () => {
    const { bridge, a } = await connect(every60)
    a.send('OPTIONS')
    const ok = await bridge.pbx.response(200, 'OPTIONS')
    expect(ok.message.values('Allow')).toContain('INVITE')
    a.send('INFO')
    await bridge.carrier.request('INFO')
    expect(asked(bridge)).toEqual([])
  })

  it('check 6: no answer: the call is cleared after 32 s', async () => {
    const { bridge } = await connect(every60)
    bridge.clock.advance(60_000)
    answer(await bridge.pbx.request('OPTIONS'), bridge.pbx, 200)
    await bridge.carrier.request('OPTIONS')
    bridge.clock.advance(31_000)
    expect(bridge.calls.list()[0]?.state).toBe('Up')
    bridge.clock.advance(1_100)
    const byes = await Promise.all([bridge.pbx.request('BYE'), bridge.carrier.request('BYE')])
    for (const { message } of byes) expect(message.get('Reason')).toBe('SIP;cause=408;text="No answer"')
  })
})
