import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { Secret } from '#lib/secret.ts'
import { registration } from '../../dataplane/trunks/trunks-fixture.ts'
import { DigestSession, parseChallenges } from '../../dataplane/digest/digest.ts'
import { type Arrival, sdp } from '../engine/sip-peer.ts'
import { answer, Bridge, Party } from './bridge.ts'
import { refreshDue, seconds } from './timed-call.ts'

const farSdp = sdp.replaceAll('4000', '5000')
/** Its realm is named, as it stands in a challenge: else nothing is answered inside a call whose INVITE was not challenged. */
const account = registration({
  realm: String.raw`far, \"inner\"`,
  username: 'edge',
  password: new Secret('Circle of Life'),
})
const open: Bridge[] = []

afterEach(async () => {
  for (const bridge of open.splice(0)) await bridge.end()
})

/** A call that is up; `challenges` that the callee has for the first INVITE. */
async function connect(options: { refreshes?: boolean; challenged?: boolean } = {}) {
  const sessionTimer = { ...builtInBehaviour.sessionTimer, alwaysRequest: true }
  const bridge = await Bridge.begin({ sip: { sessionTimer }, accounts: [account] })
  open.push(bridge)
  const a = new Party({
    peer: bridge.pbx,
    port: bridge.portOf('inside'),
    callId: `near-${Math.random()}`,
    localTag: 'near-tag',
    target: bridge.uriOf('inside', '2000'),
  })
  a.invite({ body: sdp })
  if (options.challenged === true) await challenge(bridge, 'INVITE')
  const invite = await bridge.carrier.request('INVITE')
  const b = Party.called(invite, bridge.carrier, bridge.portOf('outside'), 'callee')
  const headers = options.refreshes === true ? ([['Session-Expires', '1800;refresher=uac']] as const) : []
  answer(invite, bridge.carrier, 200, { body: farSdp, headers })
  const ok = await bridge.pbx.response(200, 'INVITE')
  a.learn(ok)
  a.send('ACK')
  const ack = await bridge.carrier.request('ACK')
  // What has come after the ACK of the caller shows that it has been taken.
  a.send('OPTIONS')
  answer(await bridge.carrier.request('OPTIONS'), bridge.carrier, 200)
  await bridge.pbx.response(200, 'OPTIONS')
  return { bridge, a, b, invite, ack }
}

/** The carrier challenges the next request of that method. */
async function challenge(bridge: Bridge, method: string, nonce = `nonce-${method}`): Promise<Arrival> {
  const refused = await bridge.carrier.request(method)
  const value = `Digest realm="far, \\"inner\\"", nonce="${nonce}", algorithm=SHA-256, qop="auth", opaque="o"`
  answer(refused, bridge.carrier, 407, { headers: [['Proxy-Authenticate', value]] })
  return refused
}

/** RFC 7616 section 3.4.1, by itself: whether the request proves the password. */
function isProven({ message }: Arrival): boolean {
  const value = message.get('Proxy-Authorization') ?? ''
  const given = (name: string) =>
    new RegExp(`[ ,]${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^,]*))`).exec(value)?.slice(1).find(Boolean) ?? ''
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  const key = hash(`edge:${given('realm')}:Circle of Life`)
  const method = message.method === 'ACK' ? 'INVITE' : message.method
  const subject = hash(`${method}:${given('uri')}`)
  const fits = message.method === 'ACK' || given('uri') === message.uri
  return (
    fits && given('response') === hash(`${key}:${given('nonce')}:${given('nc')}:${given('cnonce')}:auth:${subject}`)
  )
}

describe('a callee that wants digest inside the call', () => {
  it('re-INVITE: the 407 is acknowledged, and the next INVITE has CSeq+1, credentials and the same offer', async () => {
    const { bridge, a } = await connect()
    a.send('INVITE', { body: sdp.replace('4000', '4002') })
    const refused = await challenge(bridge, 'INVITE')
    const ack = await bridge.carrier.request('ACK')
    expect(ack.message.cseq).toBe(refused.message.cseq)
    const again = await bridge.carrier.request('INVITE')
    expect(again.message.cseq).toBe(refused.message.cseq + 1)
    expect(again.message.body).toBe(refused.message.body)
    expect([again.message.callId, again.message.fromTag, again.message.toTag]).toEqual([
      refused.message.callId,
      refused.message.fromTag,
      refused.message.toTag,
    ])
    expect(isProven(again)).toBe(true)
    answer(again, bridge.carrier, 200, { body: farSdp })
    expect((await bridge.pbx.response(200, 'INVITE')).message.cseq).toBe(a.cseq)
    const last = await bridge.carrier.request('ACK')
    expect([last.message.cseq, isProven(last)]).toEqual([again.message.cseq, true])
    a.send('ACK')
  })

  it.each(['INFO', 'UPDATE', 'BYE'])('%s is sent again with CSeq+1 and credentials', async (method) => {
    const { bridge, a } = await connect()
    a.send(method)
    const refused = await challenge(bridge, method)
    const again = await bridge.carrier.request(method)
    expect([again.message.cseq, isProven(again)]).toEqual([refused.message.cseq + 1, true])
    answer(again, bridge.carrier, 200)
    await bridge.pbx.response(200, method)
    if (method === 'BYE') await bridge.noCalls()
  })

  it('our own refresh is sent again, and the session lives on (RFC 4028 section 10)', async () => {
    const { bridge } = await connect({ refreshes: true })
    bridge.clock.advance(seconds(refreshDue(1800)))
    const refused = await challenge(bridge, 'INVITE')
    const again = await bridge.carrier.request('INVITE')
    expect([again.message.cseq, isProven(again)]).toEqual([refused.message.cseq + 1, true])
    expect(again.message.get('Session-Expires')).toBe(refused.message.get('Session-Expires'))
    answer(again, bridge.carrier, 200, { body: farSdp, headers: [['Session-Expires', '1800;refresher=uac']] })
    await bridge.carrier.request('ACK')
    bridge.clock.advance(890_000)
    expect(bridge.calls.count).toBe(1)
  })

  it('goes on counting the nonce of the first INVITE, whose ACK had the same credentials (section 13.2.2.4)', async () => {
    const { bridge, a, invite, ack } = await connect({ challenged: true })
    expect(isProven(invite)).toBe(true)
    expect(ack.message.get('Proxy-Authorization')).toBe(invite.message.get('Proxy-Authorization'))
    a.send('INFO')
    await challenge(bridge, 'INFO', 'nonce-INVITE')
    const again = await bridge.carrier.request('INFO')
    expect([again.message.get('Proxy-Authorization')?.includes('nc=00000002'), isProven(again)]).toEqual([true, true])
    answer(again, bridge.carrier, 200)
    await bridge.pbx.response(200, 'INFO')
  })

  it('refuses twice: the caller gets 503, the call goes on, and the log says why', async () => {
    const { bridge, a } = await connect()
    a.send('INFO')
    await challenge(bridge, 'INFO', 'one')
    await challenge(bridge, 'INFO', 'two')
    await bridge.pbx.response(503, 'INFO')
    expect(bridge.calls.count).toBe(1)
    expect(bridge.log.join('')).toContain('were refused')
    expect(bridge.log.join('')).not.toContain('Circle of Life')
  })
})

describe('a caller that has to prove who it is', () => {
  // Their letters are two bytes each on the wire.
  const user = { username: 'jos\u00e9', password: 'contrase\u00f1a' }
  const authentication = {
    realm: 'edge.example',
    algorithms: ['SHA-256' as const],
    role: 'Proxy' as const,
    users: [{ name: 'pbx', username: user.username, password: new Secret(user.password) }],
    nonceKey: new Secret('a key'),
  }

  async function begin() {
    const bridge = await Bridge.begin({ authentication })
    open.push(bridge)
    const uri = bridge.uriOf('inside', '2000')
    const a = new Party({
      peer: bridge.pbx,
      port: bridge.portOf('inside'),
      callId: `near-${Math.random()}`,
      localTag: 'near-tag',
      target: uri,
    })
    a.invite({ body: sdp })
    const refused = await bridge.pbx.response(407, 'INVITE')
    a.remoteTag = refused.message.toTag
    a.send('ACK')
    const [challenge] = parseChallenges(refused.message.lines('Proxy-Authenticate'))
    if (challenge === undefined) throw new Error('no challenge')
    const value = new DigestSession(challenge, 'cnonce').authorize(user, { method: 'INVITE', uri })
    a.remoteTag = undefined
    return { bridge, a, credentials: Buffer.from(`Proxy-Authorization: ${value}`).toString('latin1') }
  }

  it('is let in, is asked once, and what it has proved stays on its side', async () => {
    const { bridge, a, credentials } = await begin()
    a.send('INVITE', { body: sdp, headers: [credentials] })
    const invite = await bridge.carrier.request('INVITE')
    expect(invite.message.text).not.toMatch(/authoriz|authentic|cnonce|edge\.example/i)
    answer(invite, bridge.carrier, 200, { body: farSdp })
    const ok = await bridge.pbx.response(200, 'INVITE')
    expect(ok.message.text).not.toMatch(/authentic|nonce/i)
    a.learn(ok)
    a.send('ACK')
    await bridge.carrier.request('ACK')
    a.send('INFO')
    answer(await bridge.carrier.request('INFO'), bridge.carrier, 200)
    await bridge.pbx.response(200, 'INFO')
    a.send('BYE')
    answer(await bridge.carrier.request('BYE'), bridge.carrier, 200)
    await bridge.pbx.response(200, 'BYE')
    await bridge.noCalls()
    expect(bridge.carrier.arrived.filter(({ message }) => message.method === 'INVITE')).toHaveLength(1)
  })

  it('may give up without proving it again (RFC 3261 section 22.1)', async () => {
    const { bridge, a, credentials } = await begin()
    a.send('INVITE', { body: sdp, headers: [credentials], branch: 'z9hG4bKproven' })
    const invite = await bridge.carrier.request('INVITE')
    answer(invite, bridge.carrier, 180)
    await bridge.pbx.response(180, 'INVITE')
    a.send('CANCEL', { branch: 'z9hG4bKproven' })
    await bridge.pbx.response(200, 'CANCEL')
    expect((await bridge.pbx.response(487, 'INVITE')).message.cseq).toBe(a.cseq)
    answer(await bridge.carrier.request('CANCEL'), bridge.carrier, 200)
    answer(invite, bridge.carrier, 487)
    await bridge.noCalls()
  })
})
