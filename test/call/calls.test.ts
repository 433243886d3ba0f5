import { afterEach, describe, expect, it } from 'vitest'
import { answerWith, requestText, sdp } from '../engine/sip-peer.ts'
import { answer, Bridge, Party } from './bridge.ts'

const open: Bridge[] = []

async function begin(options: Parameters<typeof Bridge.begin>[0] = {}): Promise<Bridge> {
  const bridge = await Bridge.begin(options)
  open.push(bridge)
  return bridge
}

afterEach(async () => {
  for (const bridge of open.splice(0)) await bridge.end()
})

const farSdp = sdp.replaceAll('4000', '5000')

function caller(bridge: Bridge, transport?: 'UDP' | 'TCP'): Party {
  return new Party({
    peer: bridge.pbx,
    port: bridge.portOf('inside'),
    callId: `near-${Math.random()}`,
    localTag: 'near-tag',
    target: bridge.uriOf('inside', '2000'),
    ...(transport && { transport }),
  })
}

/** A call that is up, with both ends of it. */
async function connect(bridge: Bridge, transport?: 'UDP' | 'TCP') {
  const a = caller(bridge, transport)
  a.invite({ body: sdp })
  const invite = await bridge.carrier.request('INVITE')
  const b = Party.called(invite, bridge.carrier, bridge.portOf('outside'), 'callee', transport)
  answer(invite, bridge.carrier, 180)
  a.learn(await bridge.pbx.response(180, 'INVITE'))
  answer(invite, bridge.carrier, 200, { body: farSdp })
  a.learn(await bridge.pbx.response(200, 'INVITE'))
  a.send('ACK')
  await bridge.carrier.request('ACK')
  return { a, b }
}

describe.each([
  ['UDP', '127.0.0.1'],
  ['UDP', '::1'],
  ['TCP', '127.0.0.1'],
] as const)('a call over %s on %s', (transport, address) => {
  it('is set up, refreshed and released', async () => {
    const bridge = await begin({ transport, address })
    const { a, b } = await connect(bridge, transport)
    a.send('INVITE', { body: sdp, headers: ['Session-Expires: 1800;refresher=uac', 'Supported: timer'] })
    const refresh = await bridge.carrier.request('INVITE')
    expect(refresh.message.get('Session-Expires')).toBe('1800;refresher=uac')
    answer(refresh, bridge.carrier, 200, {
      body: farSdp,
      headers: [
        ['Session-Expires', '1800;refresher=uac'],
        ['Require', 'timer'],
      ],
    })
    const refreshed = await bridge.pbx.response(200, 'INVITE')
    expect(refreshed.message.get('Require')).toBe('timer')
    a.send('ACK')
    await bridge.carrier.request('ACK')
    b.send('BYE', { headers: ['Reason: Q.850;cause=16'] })
    await bridge.carrier.response(200, 'BYE')
    const bye = await bridge.pbx.request('BYE')
    expect(bye.message.get('Reason')).toBe('Q.850;cause=16')
    answer(bye, bridge.pbx, 200)
    await bridge.noCalls()
    expect(bridge.engine.gauges()?.['dialogs'] ?? 0).toBe(0)
  })
})

describe('set-up', () => {
  it('of an INVITE in compact form goes on in long form (feature item 1, check 1; RFC 3261 section 7.3.3)', async () => {
    const bridge = await begin()
    const long: readonly [string, string][] = [
      ['Via: ', 'v: '],
      ['From: ', 'f: '],
      ['To: ', 't: '],
      ['Call-ID: ', 'i: '],
      ['Contact: ', 'm: '],
      ['Content-Type: ', 'c: '],
      ['Content-Length: ', 'l: '],
    ]
    const port = bridge.portOf('inside')
    const uri = bridge.uriOf('inside', '2000')
    const headers = ['k: timer', 's: compact']
    const text = requestText(bridge.pbx, { method: 'INVITE', uri, callId: 'compact', headers, body: sdp })
    const compact = long.reduce((told, [name, short]) => told.replace(`\r\n${name}`, `\r\n${short}`), text)
    bridge.pbx.send(compact, port)
    const { message } = await bridge.carrier.request('INVITE')
    for (const [, short] of [...long, ['', 'k: '], ['', 's: ']]) expect(message.text).not.toContain(`\r\n${short}`)
    expect(message.get('Subject')).toBe('compact')
    expect(message.get('Supported')).toContain('timer')
    expect(message.body).toContain('m=audio 4000')
    answer({ message, answer: () => {} }, bridge.carrier, 200)
  })

  it('leaves from the listener of the target, and shows its address only', async () => {
    const bridge = await begin()
    caller(bridge).invite({ body: sdp })
    const { message } = await bridge.carrier.request('INVITE')
    const outside = `127.0.0.1:${bridge.portOf('outside')}`
    expect(message.uri).toBe(`sip:2000@${bridge.carrier.hostPort}`)
    expect(message.get('Via')).toContain(`SIP/2.0/UDP ${outside};`)
    expect(message.get('Contact')).toBe(`<sip:alice@${outside}>`)
    expect(message.get('Max-Forwards')).toBe('69')
    answer({ message, answer: () => {} }, bridge.carrier, 200)
  })

  it('carries a display name and a session description that are not ASCII', async () => {
    const bridge = await begin()
    const utf8 = Buffer.from('é', 'utf8').toString('latin1')
    caller(bridge).invite({ body: sdp.replace('t=0 0', `t=0 0\r\na=x-text:${utf8}`), headers: [`Subject: ${utf8}`] })
    const { message } = await bridge.carrier.request('INVITE')
    expect(message.get('Subject')).toBe(utf8)
    expect(message.body).toContain(`a=x-text:${utf8}`)
    expect(message.body).toMatch(/RTP\/AVP 0\r\n$/)
  })

  it('hunts on 503, and on silence once the time is up', async () => {
    const bridge = await begin({ targets: 3 })
    const [first, second, third] = bridge.carriers
    if (first === undefined || second === undefined || third === undefined) throw new Error('three carriers')
    const a = caller(bridge)
    a.invite({ body: sdp })
    answer(await first.request('INVITE'), first, 503)
    await second.request('INVITE')
    bridge.clock.advance(4_000)
    const taken = await third.request('INVITE')
    answer(taken, third, 200, { body: farSdp })
    a.learn(await bridge.pbx.response(200, 'INVITE'))
    a.send('ACK')
    await third.request('ACK')
    expect(bridge.calls.list()).toMatchObject([{ state: 'Up', legB: { target: 't2' } }])
  })

  it('follows a redirection to targets of the trunk, in one call for the callee (RFC 3261 section 8.1.3.4)', async () => {
    const bridge = await begin({ targets: 3 })
    const [first, second, third] = bridge.carriers
    if (first === undefined || second === undefined || third === undefined) throw new Error('three carriers')
    const a = caller(bridge)
    a.invite({ body: sdp })
    const redirected = await first.request('INVITE')
    const contacts = [`<sip:3002@${third.hostPort}>;q=0.5`, `<sip:3001@${second.hostPort}>`, '<sip:3003@192.0.2.66>']
    answerWith(redirected, { status: 302, toTag: 'moved', headers: [['Contact', contacts.join(', ')]] })
    await first.request('ACK')
    answer(await second.request('INVITE'), second, 503)
    const taken = await third.request('INVITE')
    expect(taken.message.uri).toBe(`sip:3002@${third.hostPort}`)
    expect(taken.message.cseq).toBe(redirected.message.cseq + 2)
    for (const name of ['Call-ID', 'From', 'To']) expect(taken.message.get(name)).toBe(redirected.message.get(name))
    answer(taken, third, 200, { body: farSdp })
    a.learn(await bridge.pbx.response(200, 'INVITE'))
    a.send('ACK')
    await third.request('ACK')
    a.send('BYE')
    answer(await third.request('BYE'), third, 200)
    await bridge.noCalls()
    expect(bridge.engine.gauges()?.['dialogs'] ?? 0).toBe(0)
  })

  it('hides that the callee forks: one To tag for the caller, ACK and BYE for a late 200 (RFC 3261 section 13.2.2.4; feature item 1, check 7)', async () => {
    const bridge = await begin()
    const a = caller(bridge)
    a.invite({ body: sdp })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 183, { tag: 'b1', body: farSdp })
    const first = await bridge.pbx.response(183, 'INVITE')
    answer(invite, bridge.carrier, 183, { tag: 'b2', body: farSdp })
    const second = await bridge.pbx.response(183, 'INVITE')
    answer(invite, bridge.carrier, 200, { tag: 'b2', body: farSdp })
    const success = await bridge.pbx.response(200, 'INVITE')
    expect(new Set([first, second, success].map(({ message }) => message.toTag)).size).toBe(1)
    a.learn(success)
    a.send('ACK')
    expect((await bridge.carrier.request('ACK')).message.toTag).toBe('b2')
    answer(invite, bridge.carrier, 200, { tag: 'b1', body: farSdp })
    expect((await bridge.carrier.request('ACK')).message.toTag).toBe('b1')
    const bye = await bridge.carrier.request('BYE')
    expect(bye.message.toTag).toBe('b1')
    answer(bye, bridge.carrier, 200)
    expect(bridge.calls.list()).toMatchObject([{ state: 'Up' }])
    a.send('BYE')
    const end = await bridge.carrier.request('BYE')
    expect(end.message.toTag).toBe('b2')
    answer(end, bridge.carrier, 200)
    await bridge.noCalls()
  })

  it('waits for a target that has said 100 (RFC 3261 section 17.1.1.2)', async () => {
    const bridge = await begin({ targets: 2 })
    const a = caller(bridge)
    a.invite({ body: sdp })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 100, { tag: '' })
    answer(invite, bridge.carrier, 180)
    await bridge.pbx.response(180, 'INVITE')
    bridge.clock.advance(30_000)
    answer(invite, bridge.carrier, 486)
    expect((await bridge.pbx.response(486, 'INVITE')).message.toTag).not.toBe('')
    expect(bridge.carriers[1]?.arrived).toEqual([])
  })

  it('gives the caller 408 when nobody is there', async () => {
    const bridge = await begin()
    caller(bridge).invite({ body: sdp })
    await bridge.carrier.request('INVITE')
    bridge.clock.advance(4_000)
    await bridge.pbx.response(408, 'INVITE')
    bridge.clock.advance(32_000)
    await bridge.noCalls()
    expect(bridge.clock.pending).toBeLessThanOrEqual(1)
  })

  it('takes the offer of the 200 back and the answer of the ACK there', async () => {
    const bridge = await begin()
    const a = caller(bridge)
    a.invite()
    const invite = await bridge.carrier.request('INVITE')
    expect(invite.message.body).toBe('')
    answer(invite, bridge.carrier, 200, { body: farSdp })
    const answered = await bridge.pbx.response(200, 'INVITE')
    expect(answered.message.body).toContain('m=audio 5000')
    a.learn(answered)
    a.send('ACK', { body: sdp })
    const { message } = await bridge.carrier.request('ACK')
    expect(message.body).toContain('m=audio 4000')
    expect(message.uri).toBe(`sip:callee@${bridge.carrier.hostPort}`)
  })

  it('answers nobody it does not know (feature item 29.4)', async () => {
    const bridge = await begin()
    const stranger = new Party({
      peer: bridge.carrier,
      port: bridge.portOf('unused'),
      callId: `stranger-${Math.random()}`,
      localTag: 'x',
      target: bridge.uriOf('inside', '2000'),
    })
    stranger.invite({ body: sdp })
    const a = caller(bridge)
    a.send('OPTIONS')
    await bridge.pbx.response(200, 'OPTIONS')
    expect(bridge.carrier.arrived).toEqual([])
  })
})

describe('CANCEL', () => {
  it('before any answer of the callee waits for one, and ends the call (RFC 3261 section 9.1)', async () => {
    const bridge = await begin()
    const a = caller(bridge)
    a.invite({ body: sdp, branch: 'z9hG4bK-cancelled' })
    const invite = await bridge.carrier.request('INVITE')
    a.send('CANCEL', {
      branch: 'z9hG4bK-cancelled',
      headers: ['Reason: SIP;cause=200;text="Call completed elsewhere"'],
    })
    await bridge.pbx.response(200, 'CANCEL')
    await bridge.pbx.response(487, 'INVITE')
    answer(invite, bridge.carrier, 180)
    const cancel = await bridge.carrier.request('CANCEL')
    expect(cancel.message.branch).toBe(invite.message.branch)
    expect(cancel.message.get('Reason')).toBe('SIP;cause=200;text="Call completed elsewhere"')
    answer(cancel, bridge.carrier, 200)
    answer(invite, bridge.carrier, 487)
    await bridge.noCalls()
  })

  it('that crosses with the 200 of the callee: ACK, then BYE', async () => {
    const bridge = await begin()
    const a = caller(bridge)
    a.invite({ body: sdp, branch: 'z9hG4bK-cancelled' })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 180)
    await bridge.pbx.response(180, 'INVITE')
    a.send('CANCEL', { branch: 'z9hG4bK-cancelled' })
    await bridge.pbx.response(487, 'INVITE')
    await bridge.carrier.request('CANCEL')
    answer(invite, bridge.carrier, 200, { body: farSdp })
    await bridge.carrier.request('ACK')
    answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await bridge.noCalls()
    expect(bridge.engine.gauges()?.['dialogs'] ?? 0).toBe(0)
  })

  it('of a re-INVITE leaves the call up', async () => {
    const bridge = await begin()
    const { a, b } = await connect(bridge)
    a.send('INVITE', { body: sdp.replace('4000', '4002'), branch: 'z9hG4bK-again' })
    const again = await bridge.carrier.request('INVITE')
    answer(again, bridge.carrier, 100, { tag: '' })
    a.send('CANCEL', { branch: 'z9hG4bK-again' })
    await bridge.pbx.response(487, 'INVITE')
    answer(await bridge.carrier.request('CANCEL'), bridge.carrier, 200)
    answer(again, bridge.carrier, 487)
    b.send('INFO')
    answer(await bridge.pbx.request('INFO'), bridge.pbx, 200)
    await bridge.carrier.response(200, 'INFO')
    expect(bridge.calls.list()).toMatchObject([{ state: 'Up' }])
  })
})

describe('inside a call', () => {
  it.each(['INFO', 'UPDATE', 'OPTIONS'])('%s goes there, and its answer back, both ways', async (method) => {
    const bridge = await begin()
    const { a, b } = await connect(bridge)
    a.send(method)
    answer(await bridge.carrier.request(method), bridge.carrier, 200)
    await bridge.pbx.response(200, method)
    b.send(method)
    answer(await bridge.pbx.request(method), bridge.pbx, 488)
    await bridge.carrier.response(488, method)
  })

  it('UPDATE goes through before the answer, too, both ways (RFC 3311 section 5.1)', async () => {
    const bridge = await begin()
    const a = caller(bridge)
    a.invite({ body: sdp })
    const invite = await bridge.carrier.request('INVITE')
    const b = Party.called(invite, bridge.carrier, bridge.portOf('outside'), 'callee')
    answer(invite, bridge.carrier, 183, { body: farSdp })
    a.learn(await bridge.pbx.response(183, 'INVITE'))
    a.send('UPDATE')
    answer(await bridge.carrier.request('UPDATE'), bridge.carrier, 200)
    await bridge.pbx.response(200, 'UPDATE')
    b.cseq = 10
    b.send('UPDATE')
    answer(await bridge.pbx.request('UPDATE'), bridge.pbx, 200)
    await bridge.carrier.response(200, 'UPDATE')
  })

  it('a re-INVITE that is refused leaves the call up', async () => {
    const bridge = await begin()
    const { a, b } = await connect(bridge)
    b.send('INVITE', { body: farSdp.replace('5000', '5002') })
    answer(await bridge.pbx.request('INVITE'), bridge.pbx, 488)
    await bridge.carrier.response(488, 'INVITE')
    a.send('INFO')
    answer(await bridge.carrier.request('INFO'), bridge.carrier, 200)
    await bridge.pbx.response(200, 'INFO')
  })

  it('two re-INVITEs that cross: one side gets 491, and its next one goes through (feature item 1, check 8)', async () => {
    const bridge = await begin()
    const { a, b } = await connect(bridge)
    a.send('INVITE', { body: sdp.replace('4000', '4002') })
    const ofA = await bridge.carrier.request('INVITE')
    b.send('INVITE', { body: farSdp.replace('5000', '5002') })
    await bridge.carrier.response(491, 'INVITE')
    answer(ofA, bridge.carrier, 200, { body: farSdp })
    await bridge.pbx.response(200, 'INVITE')
    a.send('ACK')
    await bridge.carrier.request('ACK')
    b.send('INVITE', { body: farSdp.replace('5000', '5004') })
    answer(await bridge.pbx.request('INVITE'), bridge.pbx, 200, { body: sdp })
    await bridge.carrier.response(200, 'INVITE')
  })

  it('a 200 whose ACK is lost comes again, once the ACK is there the offer of the other side goes on (RFC 3261 section 13.3.1.4)', async () => {
    const bridge = await begin()
    const { a, b } = await connect(bridge)
    a.send('INVITE', { body: sdp.replace('4000', '4002') })
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 200, { body: farSdp })
    await bridge.carrier.request('ACK')
    const first = await bridge.pbx.response(200, 'INVITE')
    b.send('INVITE', { body: farSdp.replace('5000', '5002') })
    bridge.clock.advance(500)
    const again = await bridge.pbx.response(200, 'INVITE')
    expect(again.message.text).toBe(first.message.text)
    expect(
      bridge.pbx.arrived.filter(({ message }) => message.method === 'INVITE' && message.kind === 'request'),
    ).toEqual([])
    a.send('ACK')
    const carried = await bridge.pbx.request('INVITE')
    expect(carried.message.body).toContain('m=audio 5002')
    answer(carried, bridge.pbx, 200, { body: sdp.replace('4000', '4002') })
    expect((await bridge.carrier.response(200, 'INVITE')).message.body).toContain('m=audio 4002')
  })

  it('481 to a re-INVITE ends both sides (RFC 3261 section 12.2.1.2)', async () => {
    const bridge = await begin()
    const { a } = await connect(bridge)
    a.send('INVITE', { body: sdp.replace('4000', '4002') })
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 481)
    await bridge.pbx.response(481, 'INVITE')
    answer(await bridge.pbx.request('BYE'), bridge.pbx, 200)
    await bridge.noCalls()
  })
})

describe('the end', () => {
  it('of a call whose ACK never comes: BYE to both (RFC 3261 section 13.3.1.4)', async () => {
    const bridge = await begin()
    caller(bridge).invite({ body: sdp })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 200, { body: farSdp })
    await bridge.pbx.response(200, 'INVITE')
    await bridge.carrier.request('ACK')
    bridge.clock.advance(32_100)
    answer(await bridge.pbx.request('BYE'), bridge.pbx, 200)
    const bye = await bridge.carrier.request('BYE')
    expect(bye.message.get('Reason')).toBe('SIP;cause=408;text="No answer"')
    answer(bye, bridge.carrier, 200)
    await bridge.noCalls()
  })

  it('by drain: BYE to both, and the promise is kept when both have answered', async () => {
    const bridge = await begin()
    await connect(bridge)
    const over = bridge.calls.endAll('drain')
    answer(await bridge.pbx.request('BYE'), bridge.pbx, 200)
    answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await over
    expect(bridge.calls.count).toBe(0)
  })

  it('of the connection to the SIP server takes the calls with it', async () => {
    const bridge = await begin()
    await connect(bridge)
    bridge.sip.close()
    await bridge.noCalls()
  })
})
