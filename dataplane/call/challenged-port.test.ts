import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { FakeOutgoing } from '../sip/fake-sip-port.ts'
import type { HeaderList } from '../sip/port.ts'
import { SipPortError } from '../sip/port.ts'
import { registration } from '../trunks/trunks-fixture.ts'
import { createScenario, farSdp, type Scenario, sdp } from './testing/scenario.ts'
import { aloneOnB, seconds } from './testing/timed-call.ts'

const accounts = {
  pbx: [registration({ account: 'pbx', username: 'to-pbx', realm: 'pbx' })],
  carrier: [registration({ account: 'carrier', username: 'to-carrier', realm: 'carrier' })],
}

function challenge(realm: string, nonce = 'n', more = ''): HeaderList {
  return [['Proxy-Authenticate', `Digest realm="${realm}", nonce="${nonce}", qop="auth"${more}`]]
}

const credentialsOf = (sent: FakeOutgoing) =>
  sent.request.headers.filter(([name]) => name.endsWith('Authorization')).map(([, value]) => value)
const withoutCredentials = (sent: FakeOutgoing) => ({
  ...sent.request,
  headers: sent.request.headers.filter(([name]) => !name.endsWith('Authorization')),
})

function up(options: Parameters<typeof createScenario>[0] = {}): Scenario & ReturnType<Scenario['connect']> {
  const scenario = createScenario({ accounts, ...options })
  return Object.assign(scenario, scenario.connect())
}

describe('a request inside a call that is challenged', () => {
  it.each(['UPDATE', 'INFO', 'OPTIONS', 'INVITE'])(
    '%s goes out again with credentials, and its sender hears the second answer only (RFC 3261 section 22.2)',
    (method) => {
      const { sip, invite, fromA } = up()
      const request = fromA(invite, method, method === 'INVITE' || method === 'UPDATE' ? { body: sdp('4002', 2) } : {})
      const first = sip.last(method)
      expect(credentialsOf(first)).toEqual([])
      first.respond(407, { headers: challenge('carrier') })
      const second = sip.last(method)
      expect(second).not.toBe(first)
      expect(withoutCredentials(second)).toEqual(first.request)
      expect(credentialsOf(second)).toEqual([
        expect.stringMatching(
          /^Digest username="to-carrier", realm="carrier", nonce="n", uri="sip:remote-target@far", .*nc=00000001$/,
        ),
      ])
      expect(request.statuses).toEqual([])
      second.respond(200, method === 'INVITE' ? { body: farSdp('5002', 2) } : {})
      expect(request.statuses).toEqual([200])
    },
  )

  it('answers the peer of leg A with the credentials of its own trunk, and no other', () => {
    const { sip, b, fromB } = up()
    const request = fromB(b, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('pbx') })
    expect(credentialsOf(sip.last('INFO'))[0]).toContain('username="to-pbx"')
    sip.last('INFO').respond(200)
    expect(request.statuses).toEqual([200])
    const other = fromB(b, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier') })
    expect(other.statuses).toEqual([503])
    expect(sip.all('INFO')).toHaveLength(3)
  })

  it('is sent once more for a nonce that was too old, and not when the credentials are refused', () => {
    const { sip, invite, fromA } = up()
    const request = fromA(invite, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier', 'a') })
    sip.last('INFO').respond(407, { headers: challenge('carrier', 'b', ', stale=true') })
    expect(credentialsOf(sip.last('INFO'))[0]).toContain('nonce="b"')
    sip.last('INFO').respond(407, { headers: challenge('carrier', 'c') })
    expect([request.statuses, sip.all('INFO').length]).toEqual([[503], 3])
  })

  it('BYE too, and the call is gone only when the second is answered', () => {
    const { sip, invite, fromA, calls } = up()
    fromA(invite, 'BYE')
    sip.last('BYE').respond(401, {
      headers: [['WWW-Authenticate', 'Digest realm="carrier", nonce="n", algorithm=SHA-256, qop="auth"']],
    })
    expect([sip.all('BYE').length, calls.count]).toEqual([2, 1])
    expect(sip.last('BYE').header('Authorization')).toContain('username="to-carrier"')
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('OPTIONS of the keepalive inside the call', () => {
    const { sip, clock } = up({
      sip: { inDialogKeepalive: { enabled: true, intervalSeconds: 60, skipWhenSessionTimer: false } },
    })
    clock.advance(60_000)
    const [, toCarrier] = sip.all('OPTIONS')
    toCarrier?.respond(407, { headers: challenge('carrier') })
    expect(credentialsOf(sip.last('OPTIONS'))).toHaveLength(1)
  })

  it('is counted on with a nonce that the call has used already (RFC 7616 section 3.4)', () => {
    const { sip, invite, ack, fromA } = createScenario({ accounts, targets: 1 })
    const a = invite()
    sip.last('INVITE').respond(407, { headers: challenge('carrier', 'same') })
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    ack(a)
    fromA(a, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier', 'same') })
    expect(credentialsOf(sip.last('INFO'))[0]).toContain('nc=00000002')
  })

  it('by a realm that has not challenged the INVITE is not answered with credentials of any realm', () => {
    const anyRealm = { carrier: [registration({ account: 'carrier', username: 'to-carrier' })] }
    const { sip, invite, fromA, calls } = up({ accounts: anyRealm })
    const request = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    sip.last('INVITE').respond(407, { headers: challenge('carrier') })
    expect([request.statuses, sip.all('INVITE').length, calls.count]).toEqual([[503], 2, 1])
  })

  it('by the realm that has challenged the INVITE is answered with credentials of any realm', () => {
    const anyRealm = { carrier: [registration({ account: 'carrier', username: 'to-carrier' })] }
    const { sip, invite, ack, fromA } = createScenario({ accounts: anyRealm })
    const a = invite()
    sip.last('INVITE').respond(407, { headers: challenge('carrier') })
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    ack(a)
    fromA(a, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier', 'm') })
    expect(credentialsOf(sip.last('INFO'))).toHaveLength(1)
  })

  it('waits its turn: what comes meanwhile goes out after the second answer', () => {
    const { sip, invite, b, fromA, fromB } = up()
    fromA(invite, 'INFO')
    const behind = fromB(b, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier') })
    expect(sip.all('INFO')).toHaveLength(2)
    sip.last('INFO').respond(200)
    expect(sip.all('INFO')).toHaveLength(3)
    sip.last('INFO').respond(200)
    expect(behind.statuses).toEqual([200])
  })

  it('that was cancelled meanwhile is not sent again', () => {
    const { sip, invite, fromA } = up()
    const request = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    const first = sip.last('INVITE')
    first.trying()
    request.cancel()
    first.respond(407, { headers: challenge('carrier') })
    expect(sip.last('INVITE')).toBe(first)
    expect(request.statuses).toEqual([487])
  })

  it('is cancelled where it is now', () => {
    const { sip, invite, fromA } = up()
    const request = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    sip.last('INVITE').respond(407, { headers: challenge('carrier') })
    sip.last('INVITE').trying()
    request.cancel()
    expect(sip.last('INVITE').cancelled).toBeDefined()
  })

  it('fails as any other when it cannot be sent again', () => {
    const { sip, invite, fromA } = up()
    const request = fromA(invite, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier') })
    sip.last('INFO').fail(new SipPortError('Disconnected', 'the SIP server went away'))
    expect(request.statuses).toEqual([500])
  })

  it('without credentials for it tells the other side 503, and the call goes on', () => {
    const { sip, invite, fromA, calls } = up({ accounts: {} })
    const request = fromA(invite, 'INFO')
    sip.last('INFO').respond(407, { headers: challenge('carrier') })
    expect([request.statuses, calls.count]).toEqual([[503], 1])
  })
})

describe('a refresh of our own that is challenged', () => {
  it('counts from its second answer, and keeps description and interval (RFC 4028 section 7.4)', () => {
    const { sip, clock, calls } = aloneOnB({ accounts })
    clock.advance(seconds(900))
    const first = sip.last('INVITE')
    first.respond(407, { headers: challenge('carrier') })
    const second = sip.last('INVITE')
    expect(withoutCredentials(second)).toEqual(first.request)
    expect(second.request.body).toBeDefined()
    second.respond(200, { body: farSdp('5000'), headers: [['Session-Expires', '1800;refresher=uac']] })
    expect(calls.count).toBe(1)
    expect(calls.list()[0]?.legB?.session).toMatchObject({ refresher: 'Sbc' })
  })
})

describe('the ACK of a 2xx', () => {
  it('has the credentials of its INVITE (RFC 3261 section 13.2.2.4)', () => {
    const { sip, invite, ack, fromA } = createScenario({ accounts, targets: 1, sip: builtInBehaviour })
    const a = invite()
    sip.last('INVITE').respond(407, { headers: challenge('carrier') })
    const first = sip.last('INVITE')
    first.respond(200, { body: farSdp('5000') })
    ack(a)
    expect(first.acks[0]?.headers?.map(([, value]) => value)).toEqual(credentialsOf(first))
    fromA(a, 'INVITE', { body: sdp('4002', 2) })
    expect(credentialsOf(sip.last('INVITE'))).toEqual([])
    sip.last('INVITE').respond(407, { headers: challenge('carrier', 'm') })
    const second = sip.last('INVITE')
    second.respond(200, { body: farSdp('5002', 2) })
    expect(credentialsOf(second)).toHaveLength(1)
    expect(second.acks[0]?.headers?.map(([, value]) => value)).toEqual(credentialsOf(second))
  })
})
