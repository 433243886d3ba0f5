import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { Secret } from '#lib/secret.ts'
import { registration } from '../../dataplane/trunks/trunks-fixture.ts'
import { openFleet, quickKeepalive } from './call-fleet.ts'
import { headerOf, openPeer, type Received } from './udp-peer.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A gateway that says so to calls, and is alive for OPTIONS unless told otherwise. */
async function gateway(invite: string, options = '200 OK') {
  const state = { invite, options }
  const peer = await openPeer((request) => {
    if (request.method === 'ACK') return undefined
    const status = request.method === 'INVITE' ? state.invite : request.method === 'OPTIONS' ? state.options : '200 OK'
    return { status, headers: [`Contact: <sip:b@${peer.address}:${peer.port}>`] }
  })
  closers.push(peer.close)
  const count = (method: string) => new Set(calls(peer.received, method)).size
  return { ...peer, state, invites: () => count('INVITE') }
}

function calls(received: readonly Received[], method: string): string[] {
  return received
    .filter((one) => one.method === method)
    .map((one) => `${headerOf(one, 'Call-ID')[0]} ${headerOf(one, 'CSeq')[0]}`)
}

async function fleet(options: Parameters<typeof openFleet>[0]) {
  const opened = await openFleet(options)
  closers.push(() => opened.close())
  return opened
}

describe('hunting on the wire', () => {
  it('goes to the next member after 503, and the caller hears nothing of it (keepalive check 6)', async () => {
    const [first, second] = [await gateway('503 Service Unavailable'), await gateway('200 OK')]
    const { call } = await fleet({ trunks: { carrier: [first, second] } })
    expect((await call()).status).toBe(200)
    expect([first.invites(), second.invites()]).toEqual([1, 1])
  })

  it('ends with 486, since the callee is busy everywhere (keepalive check 6)', async () => {
    const [first, second] = [await gateway('486 Busy Here'), await gateway('200 OK')]
    const { call } = await fleet({ trunks: { carrier: [first, second] } })
    expect((await call()).status).toBe(486)
    expect([first.invites(), second.invites()]).toEqual([1, 0])
  })

  it('ends with a code of stopOn (keepalive check 7)', async () => {
    const [first, second] = [await gateway('404 Not Found'), await gateway('200 OK')]
    const hunting = { ...builtInBehaviour.hunting, stopOn: [{ from: 404, to: 404 }] }
    const { call } = await fleet({ trunks: { carrier: [first, second] }, sip: { hunting } })
    expect((await call()).status).toBe(404)
    expect([first.invites(), second.invites()]).toEqual([1, 0])
  })

  it('takes members in turn: six calls are two for each of three, and three for each of two (keepalive check 5)', async () => {
    const members = [await gateway('200 OK'), await gateway('200 OK'), await gateway('200 OK')]
    const hunting = { ...builtInBehaviour.hunting, scheme: 'RoundRobin' as const }
    const one = await fleet({ trunks: { carrier: members }, sip: { hunting }, keepalive: quickKeepalive })
    for (let count = 0; count < 6; count++) await one.call()
    expect(members.map(({ invites }) => invites())).toEqual([2, 2, 2])
    const [sick] = members
    if (sick !== undefined) sick.state.options = '503 Service Unavailable'
    await one.until(() => !one.loops.usable('carrier', 't0'))
    for (let count = 0; count < 6; count++) await one.call()
    expect(members.map(({ invites }) => invites())).toEqual([2, 5, 5])
  })
})

it('a proxy that forks one after another gets a call for each branch (RFC 3261 §8.2.2.2, §16.6)', async () => {
  const peer = await gateway('486 Busy Here')
  const { call } = await fleet({ trunks: { carrier: [peer] } })
  expect((await call('201', 'forked')).status).toBe(486)
  peer.state.invite = '404 Not Found'
  expect((await call('202', 'forked')).status).toBe(404)
  peer.state.invite = '200 OK'
  expect((await call('203', 'forked')).status).toBe(200)
  expect(peer.received.filter(({ method }) => method === 'INVITE').map(({ uri }) => uri.slice(0, 8))).toEqual([
    'sip:201@',
    'sip:202@',
    'sip:203@',
  ])
})

describe('targets that are down', () => {
  it('get no call: with two routes for a number the next call takes the second at once (keepalive check 4)', async () => {
    const [sick, second] = [await gateway('200 OK', '503 Service Unavailable'), await gateway('200 OK')]
    const one = await fleet({ trunks: { carrier: [sick], backup: [second] }, keepalive: quickKeepalive })
    await one.until(() => !one.loops.usable('carrier', 't0'))
    expect((await one.call()).status).toBe(200)
    expect([sick.invites(), second.invites()]).toEqual([0, 1])
  })

  it('get one INVITE after a 503, and no other until OPTIONS is answered', async () => {
    const [first, second] = [await gateway('503 Service Unavailable'), await gateway('200 OK')]
    const one = await fleet({
      trunks: { carrier: [first, second] },
      keepalive: { ...quickKeepalive, upIntervalSeconds: 60, downIntervalSeconds: 60 },
    })
    await one.until(() => one.loops.targets().filter(({ state }) => state === 'Up').length === 2)
    first.state.options = '503 Service Unavailable'
    await one.call()
    for (let count = 0; count < 3; count++) expect((await one.call()).status).toBe(200)
    expect([first.invites(), second.invites()]).toEqual([1, 4])
    expect(one.loops.targets().find(({ target }) => target === 't0')).toMatchObject({ state: 'Down', lastCode: 503 })
  })
})

describe('the answer when every target is down', () => {
  const down = async (inbound: object, outbound: object = {}) => {
    const sick = await gateway('200 OK', '503 Service Unavailable')
    const one = await fleet({ trunks: { carrier: [sick] }, keepalive: quickKeepalive, inbound, sip: outbound })
    await one.until(() => !one.loops.usable('carrier', 't0'))
    const answer = await one.call()
    expect(sick.invites()).toBe(0)
    return answer
  }

  it('is the code of the trunk the call comes from, at once, and nothing goes to the target (error check 1)', async () => {
    const answer = await down({ errors: { keepaliveFailure: 480, retryAfterSeconds: 30, reasonQ850: 41 } })
    expect([answer.status, answer.get('Retry-After'), answer.get('Reason')]).toEqual([480, '30', 'Q.850;cause=41'])
  })

  it('is not the code of the trunk the call goes to (error check 2)', async () => {
    expect((await down({}, { errors: { keepaliveFailure: 480 } })).status).toBe(503)
  })

  it('is 503 unless configured, without Retry-After and Reason (error check 3)', async () => {
    const answer = await down({})
    expect([answer.status, answer.get('Retry-After'), answer.get('Reason')]).toEqual([503, undefined, undefined])
  })

  it('is not given while another route has a target that is up (error check 4)', async () => {
    const [sick, second] = [await gateway('200 OK', '503 Service Unavailable'), await gateway('200 OK')]
    const one = await fleet({
      trunks: { carrier: [sick], backup: [second] },
      keepalive: quickKeepalive,
      inbound: { errors: { keepaliveFailure: 480 } },
    })
    await one.until(() => !one.loops.usable('carrier', 't0'))
    expect((await one.call()).status).toBe(200)
  })
})

describe('a call of a registered account', () => {
  it('takes the Service-Route that the registrar gave, on its way to the target (RFC 3608 section 5)', async () => {
    const route = '<sip:core.example;lr>'
    const peer = await openPeer((request) => {
      if (request.method === 'ACK') return undefined
      if (request.method === 'INVITE') return { status: '486 Busy Here' }
      const headers = [`Contact: ${headerOf(request, 'Contact')[0]};expires=600`, `Service-Route: ${route}`]
      return { status: '200 OK', headers: request.method === 'REGISTER' ? headers : [] }
    })
    closers.push(peer.close)
    const registrations = [registration({ port: peer.port, host: peer.address })]
    const one = await fleet({ trunks: { carrier: [peer] }, registrations })
    await one.until(() => one.loops.registrations()[0]?.state === 'Registered')
    expect((await one.call()).status).toBe(486)
    const [invite] = peer.received.filter(({ method }) => method === 'INVITE')
    expect(invite === undefined ? [] : headerOf(invite, 'Route')).toEqual([route])
  })

  it('that hides its number behind a random Contact is taken for the account that was called', async () => {
    const peer = await gateway('486 Busy Here')
    const registrations = [registration({ port: peer.port, host: peer.address, contactUser: 'c0ffee' })]
    const one = await fleet({ trunks: { carrier: [peer] }, registrations })
    expect((await one.call('c0ffee')).status).toBe(486)
    const [invite] = peer.received.filter(({ method }) => method === 'INVITE')
    expect(invite?.uri).toBe(`sip:+15550100@${peer.address}:${peer.port}`)
  })
})

describe('an INVITE that is challenged', () => {
  /** Wants digest for the realm, and nothing else. */
  const challenging = async (realm: string) => {
    const accepted: string[] = []
    const peer = await openPeer((request) => {
      if (request.method === 'ACK') return undefined
      if (request.method !== 'INVITE') return { status: '200 OK' }
      const [sent] = headerOf(request, 'Proxy-Authorization')
      const value = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(sent ?? '')?.[1] ?? ''
      const md5 = (text: string) => createHash('md5').update(text).digest('hex')
      const expected = md5(`${md5(`${value('username')}:${realm}:Circle of Life`)}:n:${md5(`INVITE:${request.uri}`)}`)
      if (sent === undefined || value('response') !== expected) {
        return {
          status: '407 Proxy Authentication Required',
          headers: [`Proxy-Authenticate: Digest realm="${realm}", nonce="n"`],
        }
      }
      accepted.push(value('username'))
      return { status: '200 OK', headers: [`Contact: <sip:b@${peer.address}:${peer.port}>`] }
    })
    closers.push(peer.close)
    return { ...peer, accepted }
  }
  const password = new Secret('Circle of Life')

  it('is acknowledged and sent again with CSeq+1, the same Call-ID and From tag, and credentials (registration check 7)', async () => {
    const peer = await challenging('carrier.example')
    const registrations = [registration({ username: 'carrier-user', password, port: peer.port, host: peer.address })]
    const { call } = await fleet({ trunks: { carrier: [peer] }, registrations })
    expect((await call()).status).toBe(200)
    const of = (method: string, header: string) =>
      peer.received.filter((one) => one.method === method).map((one) => headerOf(one, header)[0])
    const numbers = of('INVITE', 'CSeq').map((cseq) => Number.parseInt(cseq ?? '', 10))
    expect(numbers[1]).toBe((numbers[0] ?? 0) + 1)
    expect(new Set(of('INVITE', 'Call-ID')).size).toBe(1)
    expect(new Set(of('INVITE', 'From')).size).toBe(1)
    expect(of('ACK', 'CSeq')).toEqual(numbers.map((number) => `${number} ACK`))
  })

  it('by the realm of one of several accounts is answered with that one (registrars check 5)', async () => {
    const peer = await challenging('two.example')
    const at = { port: peer.port, host: peer.address, password }
    const registrations = [
      registration({ ...at, account: 'one', realm: 'one.example', username: 'u1' }),
      registration({ ...at, account: 'two', realm: 'two.example', username: 'u2' }),
    ]
    const { call } = await fleet({ trunks: { carrier: [peer] }, registrations })
    expect((await call()).status).toBe(200)
    expect(peer.accepted).toEqual(['u2'])
  })

  it('and refuses the credentials is 503 for the caller, after one try', async () => {
    const peer = await challenging('carrier.example')
    const registrations = [
      registration({ username: 'u', password: new Secret('wrong'), port: peer.port, host: peer.address }),
    ]
    const { call } = await fleet({ trunks: { carrier: [peer] }, registrations })
    expect((await call()).status).toBe(503)
    expect(new Set(calls(peer.received, 'INVITE')).size).toBe(2)
  })
})
