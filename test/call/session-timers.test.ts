import { afterEach, describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { readRefresherTables, sessionExpires } from '../../dataplane/policy/testing/refresher-tables.ts'
import { sdp } from '../engine/sip-peer.ts'
import { answer, Bridge, Party } from './bridge.ts'
import { asks, connect as connectOn, farSdp, type Fields, refreshDue, says, seconds, timerOf } from './timed-call.ts'

const tables = readRefresherTables()
const open: Bridge[] = []

afterEach(async () => {
  for (const bridge of open.splice(0)) await bridge.end()
})

type Options = Parameters<typeof connectOn>[3]

const connect = (caller: readonly string[], callee: Fields, options: Options = {}) =>
  connectOn(open, caller, callee, options)

/** The caller ignores timers; the callee leaves the refreshes to whoever is on our side. */
const telco = (options: Options = {}, callee: Fields = []) =>
  connect([], [['Session-Expires', '1800;refresher=uac'], ['Require', 'timer'], ...callee], {
    ...options,
    timer: { alwaysRequest: true, ...options.timer },
  })

describe('the tables of Cisco CVP on the wire (feature item 26)', () => {
  it.each(tables.agentAnswer)(
    'table 1.1: INVITE %j, 200 %j, INVITE sent on %j, 200 %j: our re-INVITE to the caller %j',
    async (ingress, answered, sentOn, agent, toIngress) => {
      const { bridge, a, b, invite, ok } = await connect(asks(ingress), says(answered))
      expect(timerOf(ok)['Session-Expires']).toBe(sessionExpires(answered))
      expect(timerOf(invite)).toEqual({
        'Session-Expires': sessionExpires(sentOn),
        'Min-SE': '1800',
        Supported: 'timer',
        Require: undefined,
      })
      expect(agent).toBe(answered)
      // A change of the callee that the caller takes and the callee withdraws makes the fleet put the caller back, by a
      // re-INVITE of its own.
      b.send('INVITE', { body: farSdp.replace('5000', '5002') })
      const change = await bridge.pbx.request('INVITE')
      answer(change, bridge.pbx, 180)
      await bridge.carrier.response(180, 'INVITE')
      const branch = bridge.carrier.arrived.findLast(({ message }) => message.status === 180)?.message.branch ?? ''
      b.send('CANCEL', { branch })
      await bridge.carrier.response(487, 'INVITE')
      await bridge.pbx.request('CANCEL')
      answer(change, bridge.pbx, 200, { body: sdp, tag: a.localTag })
      const own = await bridge.pbx.request('INVITE')
      expect(timerOf(own)).toEqual({
        'Session-Expires': sessionExpires(toIngress),
        'Min-SE': '1800',
        Supported: 'timer',
        Require: undefined,
      })
    },
  )

  it.each(tables.ingress)(
    'table 26-A: INVITE %j, 200 %j: told to the caller, as it is allowed: %j',
    async (request, response, allowed) => {
      const { ok } = await connect(asks(request), says(response))
      const told = timerOf(ok)['Session-Expires']
      expect(told === sessionExpires(response)).toBe(allowed)
      // RFC 4028 section 9: a role that the request has is the one of the answer.
      expect(told).toBe(sessionExpires(allowed ? response : request))
    },
  )

  it.each(tables.whisper)(
    'table 26-B: 200 of the caller %j to a re-INVITE: our re-INVITE to the callee %j',
    async (ingress, toAgent) => {
      const { bridge, a, b } = await connect(asks(''), says('uac'))
      // The callee moves the role, so that the last 2xx on the leg of the caller is the one of the table.
      b.send('INVITE', { body: farSdp, headers: ['Supported: timer', 'Session-Expires: 1800;refresher=' + ingress] })
      const refresh = await bridge.pbx.request('INVITE')
      answer(refresh, bridge.pbx, 200, { body: sdp, tag: a.localTag, headers: says(ingress) })
      await bridge.carrier.response(200, 'INVITE')
      b.send('ACK')
      // Now the caller's change is taken by the callee and withdrawn by the caller.
      a.send('INVITE', { body: sdp.replace('4000', '4002') })
      const change = await bridge.carrier.request('INVITE')
      answer(change, bridge.carrier, 180)
      await bridge.pbx.response(180, 'INVITE')
      const branch = bridge.pbx.arrived.findLast(({ message }) => message.status === 180)?.message.branch ?? ''
      a.send('CANCEL', { branch })
      await bridge.pbx.response(487, 'INVITE')
      await bridge.carrier.request('CANCEL')
      answer(change, bridge.carrier, 200, { body: farSdp, headers: says('') })
      const own = await bridge.carrier.request('INVITE')
      expect(timerOf(own)).toMatchObject({ 'Session-Expires': sessionExpires(toAgent), Supported: 'timer' })
    },
  )
})

describe('feature item 26, check 6: after re-targeting no refresh goes to the Contact before', () => {
  it('where the callee says by re-INVITE that another one has the call', async () => {
    const { bridge, a, b } = await telco()
    const agent = `sip:agent@${bridge.carrier.hostPort};moved=yes`
    b.send('INVITE', {
      body: farSdp.replace('5000', '5002'),
      headers: [`Contact: <${agent}>`, ...asks('uas')],
      contact: false,
    })
    const carried = await bridge.pbx.request('INVITE')
    answer(carried, bridge.pbx, 200, { body: sdp })
    await bridge.pbx.request('ACK')
    await bridge.carrier.response(200, 'INVITE')
    b.send('ACK')
    a.send('INFO')
    const info = await bridge.carrier.request('INFO')
    expect(info.message.uri).toBe(agent)
    answer(info, bridge.carrier, 200)
    await bridge.pbx.response(200, 'INFO')
    bridge.clock.advance(seconds(900))
    expect((await bridge.carrier.request('INVITE')).message.uri).toBe(agent)
  })

  it('where the hunt has left a target that had answered early', async () => {
    const sessionTimer = { ...builtInBehaviour.sessionTimer, alwaysRequest: true }
    const bridge = await Bridge.begin({ targets: 2, sip: { sessionTimer } })
    open.push(bridge)
    const [ivr, agent] = bridge.carriers
    if (ivr === undefined || agent === undefined) throw new Error('two carriers')
    const a = new Party({
      peer: bridge.pbx,
      port: bridge.portOf('inside'),
      callId: 'a-call-that-moves-on',
      localTag: 'near-tag',
      target: bridge.uriOf('inside', '2000'),
    })
    a.invite({ body: sdp })
    const first = await ivr.request('INVITE')
    answer(first, ivr, 183, { body: farSdp, headers: says('uac'), tag: 'ivr' })
    await bridge.pbx.response(183, 'INVITE')
    answer(first, ivr, 503, { tag: 'ivr' })
    const second = await agent.request('INVITE')
    answer(second, agent, 200, { body: farSdp, headers: [...says('uac'), ['Require', 'timer']], tag: 'agent' })
    a.learn(await bridge.pbx.response(200, 'INVITE'))
    a.send('ACK')
    await agent.request('ACK')
    // What has come after the ACK of the caller shows that it has been taken.
    a.send('INFO')
    answer(await agent.request('INFO'), agent, 200, { tag: 'agent' })
    await bridge.pbx.response(200, 'INFO')
    const heard = ivr.arrived.filter(({ message }) => message.method !== 'ACK').length
    bridge.clock.advance(seconds(900))
    const refresh = await agent.request('INVITE')
    answer(refresh, agent, 200, { body: farSdp, headers: says('uac'), tag: 'agent' })
    await agent.request('ACK')
    bridge.clock.advance(seconds(900))
    await agent.request('INVITE')
    expect(ivr.arrived.filter(({ message }) => message.method !== 'ACK')).toHaveLength(heard)
  })
})

describe('422 on the wire', () => {
  it('feature item 5, check 1: a caller with 600 s gets 422 with Min-SE: 1800', async () => {
    const bridge = await Bridge.begin()
    open.push(bridge)
    const a = new Party({
      peer: bridge.pbx,
      port: bridge.portOf('inside'),
      callId: `short-${Math.random()}`,
      localTag: 'near-tag',
      target: bridge.uriOf('inside', '2000'),
    })
    a.invite({ body: sdp, headers: ['Supported: timer', 'Session-Expires: 600'] })
    const refused = await bridge.pbx.response(422, 'INVITE')
    expect(refused.message.get('Min-SE')).toBe('1800')
    expect(bridge.carrier.arrived).toEqual([])
  })

  it('feature item 5, check 2: 422 of the callee: SE 3600, CSeq + 1, same Call-ID and From tag', async () => {
    const bridge = await Bridge.begin()
    open.push(bridge)
    const a = new Party({
      peer: bridge.pbx,
      port: bridge.portOf('inside'),
      callId: `longer-${Math.random()}`,
      localTag: 'near-tag',
      target: bridge.uriOf('inside', '2000'),
    })
    a.invite({ body: sdp, headers: asks('') })
    const first = await bridge.carrier.request('INVITE')
    answer(first, bridge.carrier, 422, { headers: [['Min-SE', '3600']] })
    const second = await bridge.carrier.request('INVITE')
    expect(second.message.callId).toBe(first.message.callId)
    expect(second.message.fromTag).toBe(first.message.fromTag)
    expect(second.message.get('From')).toBe(first.message.get('From'))
    expect(second.message.cseq).toBe(first.message.cseq + 1)
    expect(timerOf(second)).toMatchObject({ 'Session-Expires': '3600', 'Min-SE': '3600' })
    answer(second, bridge.carrier, 200, { body: farSdp, headers: [['Session-Expires', '3600;refresher=uas']] })
    a.learn(await bridge.pbx.response(200, 'INVITE'))
    a.send('ACK')
    await bridge.carrier.request('ACK')
    a.send('BYE')
    await bridge.carrier.request('BYE')
  })
})

describe('refreshes of our own on the wire', () => {
  it('feature item 5, checks 3, 4 and 6; item 26, check 4: at half the interval, the caller untouched, alive at 1900 s', async () => {
    const { bridge, invite, ok, b } = await telco()
    expect(timerOf(invite)).toMatchObject({ 'Session-Expires': '1800', Supported: 'timer' })
    expect(timerOf(ok)['Session-Expires']).toBeUndefined()
    const heard = bridge.pbx.arrived.length
    for (let refreshes = 0; refreshes < 2; refreshes++) {
      bridge.clock.advance(seconds(refreshDue(1800)))
      const refresh = await bridge.carrier.request('INVITE')
      expect(refresh.message.toTag).toBe('callee')
      expect(timerOf(refresh)).toEqual({
        'Session-Expires': '1800;refresher=uac',
        'Min-SE': '1800',
        Supported: 'timer',
        Require: undefined,
      })
      expect(refresh.message.body).toBe(invite.message.body)
      answer(refresh, bridge.carrier, 200, {
        body: farSdp,
        headers: [
          ['Session-Expires', '1800;refresher=uac'],
          ['Require', 'timer'],
        ],
      })
      await bridge.carrier.request('ACK')
    }
    bridge.clock.advance(seconds(1900 - 2 * refreshDue(1800)))
    expect(bridge.pbx.arrived).toHaveLength(heard)
    expect(bridge.calls.list()[0]?.state).toBe('Up')
    b.send('BYE')
    await bridge.pbx.request('BYE')
  })

  it.each([0, 5, 30])(
    'RFC 4028 section 4: an answer with %i s is taken for the Min-SE of the INVITE',
    async (short) => {
      const answered: Fields = [['Session-Expires', `${short};refresher=uac`]]
      const { bridge, invite } = await connect([], answered, { timer: { alwaysRequest: true, minSeSeconds: 90 } })
      expect(timerOf(invite)['Min-SE']).toBe('90')
      bridge.clock.advance(seconds(42))
      expect(bridge.carrier.arrived.filter(({ message }) => message.method === 'INVITE')).toHaveLength(1)
      bridge.clock.advance(seconds(3))
      const refresh = await bridge.carrier.request('INVITE')
      expect(timerOf(refresh)).toMatchObject({ 'Session-Expires': '90;refresher=uac', 'Min-SE': '90' })
    },
  )

  it.each([0, 30])('RFC 4028 section 8.1: %i s of a caller without timers are raised to Min-SE', async (short) => {
    const { invite } = await connect([`Session-Expires: ${short}`], [])
    expect(timerOf(invite)).toMatchObject({ 'Session-Expires': '1800', 'Min-SE': '1800' })
  })

  it('RFC 4028 section 10: 503 with a long Retry-After to a refresh has another one before the session expires', async () => {
    const timer = { alwaysRequest: true, expiresSeconds: 90, minSeSeconds: 90 }
    const { bridge } = await connect([], [['Session-Expires', '90;refresher=uac']], { timer })
    bridge.clock.advance(seconds(45))
    const refused = await bridge.carrier.request('INVITE')
    answer(refused, bridge.carrier, 503, { headers: [['Retry-After', '900']] })
    await bridge.carrier.request('ACK')
    const nextRefresh = () => bridge.calls.list()[0]?.legB?.session.nextRefreshAt
    await expect.poll(nextRefresh).toBe(bridge.clock.wallTime() + seconds(10))
    bridge.clock.advance(seconds(10))
    const again = await bridge.carrier.request('INVITE')
    answer(again, bridge.carrier, 200, { body: farSdp, headers: [['Session-Expires', '90;refresher=uac']] })
    await bridge.carrier.request('ACK')
    bridge.clock.advance(seconds(20))
    expect(bridge.calls.list()[0]?.state).toBe('Up')
  })

  it('by UPDATE without a description to a peer that allows it', async () => {
    const { bridge } = await telco({}, [['Allow', 'INVITE, ACK, CANCEL, BYE, UPDATE']])
    bridge.clock.advance(seconds(900))
    const update = await bridge.carrier.request('UPDATE')
    expect([update.message.body, timerOf(update)['Session-Expires']]).toEqual(['', '1800;refresher=uac'])
    answer(update, bridge.carrier, 200, { headers: [['Session-Expires', '1800;refresher=uac']] })
    bridge.clock.advance(seconds(900))
    await bridge.carrier.request('UPDATE')
  })

  it('item 26 (d): a re-INVITE of the peer during ours gets 491, and after it goes through', async () => {
    const { bridge, b } = await telco()
    bridge.clock.advance(seconds(900))
    const own = await bridge.carrier.request('INVITE')
    b.send('INVITE', { body: farSdp.replace('5000', '5002') })
    await bridge.carrier.response(491, 'INVITE')
    b.send('ACK')
    answer(own, bridge.carrier, 200, { body: farSdp, headers: [['Session-Expires', '1800;refresher=uac']] })
    await bridge.carrier.request('ACK')
    b.send('INVITE', { body: farSdp.replace('5000', '5002') })
    const carried = await bridge.pbx.request('INVITE')
    expect(carried.message.body).toContain('m=audio 5002')
  })

  it('repeat what was agreed, and not an offer that was refused meanwhile (RFC 3261 section 14.1)', async () => {
    const { bridge, a } = await telco()
    const agreed = bridge.carrier.arrived.find(({ message }) => message.method === 'INVITE')?.message.body ?? ''
    a.send('INVITE', { body: sdp.replace('4000', '4002') })
    const refused = await bridge.carrier.request('INVITE')
    answer(refused, bridge.carrier, 488)
    await bridge.pbx.response(488, 'INVITE')
    a.send('ACK')
    bridge.clock.advance(seconds(900))
    const refresh = await bridge.carrier.request('INVITE')
    const withoutOrigin = (description: string) => description.replace(/^o=.*$/m, '')
    expect(withoutOrigin(refresh.message.body)).toBe(withoutOrigin(agreed))
    // RFC 3264 section 8: it is not what was said last, so that its version is a new one.
    const versions = [agreed, refused.message.body, refresh.message.body].map(
      (description) => /^o=- \d+ (\d+)/m.exec(description)?.[1],
    )
    expect(versions).toEqual(['1', '2', '3'])
  })

  it('a peer that never answers a refresh: BYE to both after 32 s', async () => {
    const { bridge } = await telco()
    bridge.clock.advance(seconds(900))
    await bridge.carrier.request('INVITE')
    bridge.clock.advance(seconds(32))
    const [near, far] = await Promise.all([bridge.pbx.request('BYE'), bridge.carrier.request('BYE')])
    expect([near, far].map(({ message }) => message.get('Reason'))).toEqual([
      'SIP;cause=408;text="No answer"',
      'SIP;cause=408;text="No answer"',
    ])
  })

  it('a retransmitted 200 whose ACK was lost gets the ACK again, and nothing else happens', async () => {
    const { bridge } = await telco()
    bridge.clock.advance(seconds(900))
    const refresh = await bridge.carrier.request('INVITE')
    const again = () =>
      answer(refresh, bridge.carrier, 200, { body: farSdp, headers: [['Session-Expires', '1800;refresher=uac']] })
    again()
    const first = await bridge.carrier.request('ACK')
    again()
    const second = await bridge.carrier.request('ACK')
    expect(second.message.text).toBe(first.message.text)
    expect(bridge.calls.list()[0]?.state).toBe('Up')
  })
})

describe('the callee knows no timers', () => {
  it('item 26, check 7: the role is taken towards the caller, whose re-INVITE has SE', async () => {
    const { bridge, ok, a } = await connect(asks('uas'), [])
    expect(timerOf(ok)['Session-Expires']).toBe('1800;refresher=uas')
    const heard = bridge.carrier.arrived.length
    bridge.clock.advance(seconds(900))
    const refresh = await bridge.pbx.request('INVITE')
    expect(timerOf(refresh)).toMatchObject({ 'Session-Expires': '1800;refresher=uac', Supported: 'timer' })
    expect(refresh.message.body).toBe(ok.message.body)
    answer(refresh, bridge.pbx, 200, {
      body: sdp,
      tag: a.localTag,
      headers: [['Session-Expires', '1800;refresher=uac']],
    })
    await bridge.pbx.request('ACK')
    expect(bridge.carrier.arrived).toHaveLength(heard)
  })

  it('takeRefresherRole Never: the caller is told of no timer, and nobody is refreshed', async () => {
    const { bridge, ok } = await connect(asks('uas'), [], { timer: { takeRefresherRole: 'Never' } })
    expect(timerOf(ok)['Session-Expires']).toBeUndefined()
    bridge.clock.advance(seconds(7200))
    expect(bridge.calls.list()[0]).toMatchObject({ state: 'Up', legA: { session: { because: 'none agreed' } } })
  })
})

describe('a re-INVITE that meets a BYE', () => {
  it('gets 487 before its side gets the BYE, and what the other side still answers is acknowledged', async () => {
    const { bridge, a, b } = await connect([], [])
    a.send('INVITE', { body: sdp.replace('4000', '4002') })
    const change = await bridge.carrier.request('INVITE')
    b.send('BYE')
    await bridge.carrier.response(200, 'BYE')
    await bridge.pbx.response(487, 'INVITE')
    answer(await bridge.pbx.request('BYE'), bridge.pbx, 200, { tag: a.localTag })
    answer(change, bridge.carrier, 487)
    await bridge.noCalls()
  })
})

describe('nobody refreshes', () => {
  it.each([
    ['caller', 'uac'],
    ['callee', 'uas'],
  ] as const)(
    'feature item 5, check 5; item 26, check 5: %s silent: BYE to both at 1768 s, with Reason',
    async (_who, role) => {
      const { bridge } = await connect(asks(role), says(role))
      bridge.clock.advance(seconds(1767))
      expect(bridge.calls.list()[0]?.state).toBe('Up')
      bridge.clock.advance(seconds(1))
      const byes = await Promise.all([bridge.pbx.request('BYE'), bridge.carrier.request('BYE')])
      for (const { message } of byes) expect(message.get('Reason')).toBe('SIP;cause=408;text="Session timer expired"')
    },
  )
})

describe('leg by leg on the wire', () => {
  it('feature item 5, check 7; item 8, check 2: own intervals, and refreshes that stay on their leg', async () => {
    const { bridge, a, ok } = await connect(asks(''), [['Session-Expires', '2400;refresher=uas']], {
      timer: { mode: 'LegByLeg' },
    })
    expect(timerOf(ok)).toMatchObject({ 'Session-Expires': '1800;refresher=uac', Require: 'timer' })
    const heard = bridge.carrier.arrived.length
    bridge.clock.advance(seconds(900))
    a.send('INVITE', { body: sdp, headers: asks('uac') })
    const refreshed = await bridge.pbx.response(200, 'INVITE')
    expect(refreshed.message.body).toBe(ok.message.body)
    expect(timerOf(refreshed)['Session-Expires']).toBe('1800;refresher=uac')
    a.send('ACK')
    a.send('INFO')
    await bridge.carrier.request('INFO')
    expect(bridge.carrier.arrived.slice(heard).map(({ message }) => message.method)).toEqual(['INFO'])
  })
})
