import { describe, expect, it } from 'vitest'
import { rendezvousOwner } from '#lib/hash.ts'
import { Secret } from '#lib/secret.ts'
import { digestResponse } from './digest.ts'
import type { SentRequest } from './scripted-port.ts'
import { configOf, listener, registration, runTrunks, settle, trunk } from './trunks-fixture.ts'

const carrier = trunk({ registrations: [registration()] })
const contact = '<sip:+15550100@192.0.2.1:5060>'

type Run = ReturnType<typeof runTrunks>

function stateOf({ trunks }: Run) {
  return trunks.registrations()[0]
}

function granting(seconds: number) {
  return (request: SentRequest) => {
    const asked = Number(request.get('Expires'))
    request.answer(200, [['Contact', `${request.get('Contact')};expires=${Math.min(asked, seconds)}`]])
  }
}

/** A registrar that wants digest with MD5 and takes each nonce as often as it likes. */
function registrar(options: { password: string; expiresSeconds?: number; stale?: boolean }) {
  const { password, expiresSeconds = 3600, stale = false } = options
  const state = { nonce: 'nonce-1', challenges: 0, bindings: new Map<string, number>() }
  const challenge = (request: SentRequest, old: boolean) => {
    state.challenges++
    const parameters = `realm="carrier.example", nonce="${state.nonce}", qop="auth"${old ? ', stale=true' : ''}`
    request.answer(401, [['WWW-Authenticate', `Digest ${parameters}`]], 'Unauthorized')
  }
  const answer = (request: SentRequest) => {
    const sent = credentialsOf(request)
    if (sent === undefined) return challenge(request, false)
    if (sent['nonce'] !== state.nonce) return challenge(request, stale)
    if (sent['response'] !== expectedResponse(sent, password)) return challenge(request, false)
    state.bindings.set(request.get('Contact') ?? '', Number(request.get('Expires')))
    granting(expiresSeconds)(request)
  }
  return Object.assign(state, { answer })
}

function credentialsOf(request: SentRequest): Record<string, string> | undefined {
  const found = request.get('Authorization')?.matchAll(/(\w+)=(?:"([^"]*)"|([^",\s]+))/g)
  if (found === undefined) return undefined
  return Object.fromEntries(Array.from(found, ([, name, quoted, plain]) => [name, quoted ?? plain]))
}

function expectedResponse(sent: Record<string, string>, password: string): string {
  return digestResponse(
    { realm: 'carrier.example', nonce: sent['nonce'] ?? '', hash: 'md5', session: false, qop: 'auth' },
    { username: 'carrier-user', password },
    { method: 'REGISTER', uri: 'sip:198.51.100.1', nc: sent['nc'] ?? '', cnonce: sent['cnonce'] ?? '' },
  )
}

describe('a REGISTER', () => {
  it('names the domain, the address of record and our Contact (RFC 3261 section 10.2)', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(1000)
    expect(run.sip.last).toMatchObject({
      method: 'REGISTER',
      uri: 'sip:198.51.100.1',
      nextHop: 'sip:198.51.100.1:5060;transport=udp',
    })
    expect(Object.fromEntries(run.sip.last.headers)).toEqual({
      From: '<sip:+15550100@198.51.100.1>;tag=token2',
      To: '<sip:+15550100@198.51.100.1>',
      'Call-ID': 'token1',
      CSeq: '1 REGISTER',
      Contact: contact,
      Expires: '3600',
    })
    expect(stateOf(run)).toEqual({ trunk: 'carrier', account: 'main', registrar: 'primary', state: 'Pending' })
  })

  it('that is granted 100 s is refreshed after 80 s, same Call-ID, CSeq one higher (registration check 1)', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(100)
    run.clock.advance(500)
    expect(stateOf(run)).toMatchObject({
      state: 'Registered',
      lastCode: 200,
      expiresAt: run.clock.wallTime() + 100_000,
    })
    run.clock.advance(79_999)
    expect(run.sip.sent).toHaveLength(1)
    run.clock.advance(1)
    expect(run.sip.sent).toHaveLength(2)
    expect(run.sip.last.get('Call-ID')).toBe(run.sip.sent[0]?.get('Call-ID'))
    expect(run.sip.last.get('CSeq')).toBe('2 REGISTER')
    expect(stateOf(run)?.expiresAt).toBe(run.clock.wallTime() + 100_000)
  })

  it('that is challenged goes out again with credentials, CSeq + 1, same Call-ID and From tag (RFC 3261 section 22.2)', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({ state: 'Registered', lastCode: 200 })
    const [first, second] = run.sip.sent
    expect(run.sip.sent).toHaveLength(2)
    expect(second?.get('CSeq')).toBe('2 REGISTER')
    expect(second?.get('Call-ID')).toBe(first?.get('Call-ID'))
    expect(second?.get('From')).toBe(first?.get('From'))
    expect(peer.bindings).toEqual(new Map([[contact, 3600]]))
  })

  it('uses its nonce again for the refresh, with nc one higher (RFC 7616 section 3.6)', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa55', expiresSeconds: 100 })
    run.sip.script = peer.answer
    run.clock.advance(500 + 80_000)
    expect(run.sip.sent).toHaveLength(3)
    expect(peer.challenges).toBe(1)
    expect(credentialsOf(run.sip.last)).toMatchObject({ nonce: 'nonce-1', nc: '00000002' })
  })

  it.each([true, false])(
    'with a nonce of before is answered with the new one, whether it is called stale (%s) or not (RFC 7616 section 3.3)',
    (stale) => {
      const run = runTrunks(configOf([carrier]))
      const peer = registrar({ password: 'pa55', expiresSeconds: 100, stale })
      run.sip.script = peer.answer
      run.clock.advance(1000)
      peer.nonce = 'nonce-2'
      run.clock.advance(80_000)
      expect(run.sip.sent).toHaveLength(4)
      expect(credentialsOf(run.sip.last)).toMatchObject({ nonce: 'nonce-2', nc: '00000001' })
      expect(stateOf(run)?.state).toBe('Registered')
    },
  )

  it('whose fresh nonce is stale at once is tried three times, not for ever', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) =>
      request.answer(401, [['WWW-Authenticate', 'Digest realm="r", nonce="n", qop="auth", stale=true']])
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(4)
    expect(stateOf(run)).toMatchObject({ state: 'Unregistered', failure: 'AuthFailed' })
  })

  it('with a wrong password fails after one retry, and is not repeated for a minute (registration check 2)', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = registrar({ password: 'another' }).answer
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(2)
    expect(stateOf(run)).toEqual({
      trunk: 'carrier',
      account: 'main',
      registrar: 'primary',
      state: 'Unregistered',
      lastCode: 401,
      failure: 'AuthFailed',
      detail: '401 Unauthorized: the registrar refuses the credentials',
    })
    run.clock.advance(60_000)
    expect(run.sip.sent).toHaveLength(2)
    run.clock.advance(60_000)
    expect(run.sip.sent).toHaveLength(4)
  })

  it('answers a proxy and the registrar, each in its own header (RFC 3261 section 22.3)', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => {
      if (request.get('Proxy-Authorization') === undefined) {
        request.answer(407, [['Proxy-Authenticate', 'Digest realm="proxy", nonce="p"']])
      } else if (request.get('Authorization') === undefined) {
        request.answer(401, [['WWW-Authenticate', 'Digest realm="registrar", nonce="r"']])
      } else granting(3600)(request)
    }
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('Proxy-Authorization')).toContain('realm="proxy"')
    expect(run.sip.last.get('Authorization')).toContain('realm="registrar"')
    expect(stateOf(run)?.state).toBe('Registered')
  })

  it('whose challenge cannot be answered is a rejection, not a matter of credentials', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) =>
      request.answer(401, [['WWW-Authenticate', 'Digest realm="r", nonce="n", algorithm=AKAv2-SHA-256']], 'No')
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({
      failure: 'Rejected',
      detail: '401 No: the challenge has no algorithm that can be answered',
    })
  })

  it('that is too brief asks for Min-Expires, now and from then on (RFC 3261 section 10.2.8, registration check 3)', () => {
    const config = configOf([trunk({ registrations: [registration({ expiresSeconds: 60 })] })])
    const run = runTrunks(config)
    run.sip.script = (request) => {
      if (Number(request.get('Expires')) >= 600) granting(600)(request)
      else request.answer(423, [['Min-Expires', '600']], 'Interval Too Brief')
    }
    run.clock.advance(500)
    expect(run.sip.sent.map((request) => request.get('Expires'))).toEqual(['60', '600'])
    run.clock.advance(480_000)
    expect(run.sip.sent.map((request) => request.get('Expires'))).toEqual(['60', '600', '600'])
  })

  it.each([
    { name: 'raises it each time', minimum: (asked: number) => String(asked + 1) },
    { name: 'names less than was asked for', minimum: () => '10' },
    { name: 'names none', minimum: () => '' },
  ])('to a registrar whose Min-Expires $name is not sent over and over', ({ minimum }) => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.answer(423, [['Min-Expires', minimum(Number(request.get('Expires')))]])
    run.clock.advance(1000)
    expect(run.sip.sent.length).toBeLessThanOrEqual(2)
    expect(stateOf(run)).toMatchObject({ state: 'Unregistered', failure: 'Rejected', lastCode: 423 })
  })

  it('that is accepted for no time at all is a rejection', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(0)
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
    expect(stateOf(run)).toMatchObject({
      state: 'Unregistered',
      failure: 'Rejected',
      detail: 'the registrar accepted, but granted no time',
    })
  })

  it('that finds no SIP server is tried again soon, and nothing has failed', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.fail('Disconnected')
    run.clock.advance(3600)
    expect(run.sip.sent).toHaveLength(4)
    expect(stateOf(run)).toMatchObject({ state: 'Pending', detail: 'Disconnected for a test' })
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    expect(stateOf(run)?.state).toBe('Registered')
    expect(stateOf(run)).not.toHaveProperty('detail')
  })
})

describe('a registrar that does not answer', () => {
  it('is asked again after 5 s, 10 s … at most 120 s, less up to half (RFC 5626 section 4.5)', () => {
    const run = runTrunks(configOf([carrier]))
    const at: number[] = []
    run.sip.script = (request) => {
      at.push(run.clock.now())
      request.answerLocally(408)
    }
    run.clock.advance(600_000)
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0))
    expect(gaps.slice(0, 7)).toEqual([3750, 7500, 15_000, 30_000, 60_000, 90_000, 90_000])
    expect(stateOf(run)).toMatchObject({
      state: 'Unregistered',
      failure: 'NoAnswer',
      detail: 'no answer from 198.51.100.1:5060 over UDP',
    })
    expect(stateOf(run)).not.toHaveProperty('lastCode')
  })

  it('leaves the binding in place until it lapses', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(100)
    run.clock.advance(500)
    run.sip.script = (request) => request.answerLocally(408)
    run.clock.advance(99_999)
    expect(stateOf(run)).toMatchObject({ state: 'Registered', failure: 'NoAnswer' })
    run.clock.advance(1)
    expect(stateOf(run)).toMatchObject({ state: 'Unregistered', failure: 'NoAnswer' })
    expect(stateOf(run)).not.toHaveProperty('expiresAt')
  })

  it('is given up after 35 s where even the transaction got lost', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(500 + 35_000)
    expect(stateOf(run)).toMatchObject({ state: 'Unregistered', failure: 'NoAnswer' })
    run.sip.sent[0]?.answer(200)
    expect(stateOf(run)?.state).toBe('Unregistered')
  })

  it('with several addresses is tried at the next one at once (RFC 3263 section 4.3)', async () => {
    const named = trunk({ registrations: [registration({ host: 'sip.carrier.example' })] })
    const addresses = ['198.51.100.1', '198.51.100.2']
    const run = runTrunks(configOf([named]), { resolve: () => Promise.resolve({ addresses, ttlSeconds: 3600 }) })
    await settle()
    run.sip.script = (request) => {
      if (request.nextHop?.includes('198.51.100.1')) request.answerLocally(503)
      else granting(3600)(request)
    }
    run.clock.advance(500)
    expect(run.sip.sent).toHaveLength(2)
    expect(run.sip.last.uri).toBe('sip:sip.carrier.example')
    expect(stateOf(run)?.state).toBe('Registered')
  })

  it('because its name does not resolve is asked as soon as it does', async () => {
    let works = false
    const resolve = () =>
      works
        ? Promise.resolve({ addresses: ['198.51.100.9'], ttlSeconds: 3600 })
        : Promise.reject(Object.assign(new Error('no'), { code: 'ESERVFAIL' }))
    const named = trunk({ registrations: [registration({ host: 'sip.carrier.example' })] })
    const run = runTrunks(configOf([named]), { resolve })
    await settle()
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({
      state: 'Unregistered',
      failure: 'NoAnswer',
      detail: 'sip.carrier.example has no IPv4 address: ESERVFAIL',
    })
    works = true
    run.sip.script = granting(3600)
    run.clock.advance(4000)
    await settle()
    run.clock.advance(500)
    expect(stateOf(run)?.state).toBe('Registered')
  })
})

describe('a refusal', () => {
  it.each([
    { status: 403, state: 'Unregistered' },
    { status: 404, state: 'Unregistered' },
    { status: 500, state: 'Registered' },
    { status: 503, state: 'Registered' },
  ])('of a refresh with $status leaves it $state', ({ status, state }) => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(100)
    run.clock.advance(500)
    run.sip.script = (request) => request.answer(status, [], 'No')
    run.clock.advance(80_000)
    expect(stateOf(run)).toMatchObject({ state, lastCode: status, failure: 'Rejected', detail: `${status} No` })
  })

  it('with Retry-After is heeded (RFC 3261 section 20.33)', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.answer(503, [['Retry-After', '300']])
    run.clock.advance(500 + 299_999)
    expect(run.sip.sent).toHaveLength(1)
    run.clock.advance(1)
    expect(run.sip.sent).toHaveLength(2)
  })
})

describe('new credentials', () => {
  const renewed = configOf([trunk({ registrations: [registration({ password: new Secret('new') })] })])

  it('are used at once, without the nonces and the waiting of the old ones', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = registrar({ password: 'new' }).answer
    run.clock.advance(1000)
    expect(stateOf(run)?.failure).toBe('AuthFailed')
    run.apply(renewed)
    expect(stateOf(run)).toMatchObject({ state: 'Registered', lastCode: 200 })
    expect(stateOf(run)).not.toHaveProperty('failure')
    expect(run.sip.sent.map((request) => credentialsOf(request)?.['nc'])).toEqual([
      undefined,
      '00000001',
      undefined,
      '00000001',
    ])
  })

  it('wait for the REGISTER that is out (RFC 3261 section 10.2)', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(1000)
    run.apply(renewed)
    expect(run.sip.sent).toHaveLength(1)
    run.sip.last.answer(403)
    expect(run.sip.sent).toHaveLength(2)
  })

  it('that are the same do nothing, and neither does the rest of the trunk', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.apply(configOf([trunk({ allowedSources: ['203.0.113.0/24'], registrations: [registration()] })]))
    expect(run.sip.sent).toHaveLength(1)
  })
})

describe('ownership', () => {
  const members = ['edge-0', 'edge-1', 'edge-2']
  const owner = rendezvousOwner('carrier/main/primary', members) ?? ''
  const other = members.find((member) => member !== owner) ?? ''

  it('gives every registration to one of the replicas (registration check 5)', () => {
    const runs = members.map((replica) => runTrunks(configOf([carrier]), { replica, members }))
    for (const run of runs) run.clock.advance(1000)
    expect(runs.map((run) => run.sip.sent.length)).toEqual(members.map((member) => (member === owner ? 1 : 0)))
    expect(runs.map((run) => run.trunks.registrations().length)).toEqual(
      members.map((member) => (member === owner ? 1 : 0)),
    )
  })

  it('waits until the members are known, and takes an empty list for none', () => {
    const run = runTrunks(configOf([carrier]), { members: [] })
    run.trunks.setMembers(1, [])
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    run.trunks.setMembers(1, ['edge-0'])
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
    run.trunks.setMembers(2, [])
    expect(run.trunks.registrations()).toHaveLength(1)
  })

  it('that passes to another replica removes our Contact, and only ours (RFC 3261 section 10.2.2)', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members: [other] })
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    run.trunks.setMembers(2, members)
    expect(peer.bindings).toEqual(new Map([[contact, 0]]))
    expect(credentialsOf(run.sip.last)).toMatchObject({ nonce: 'nonce-1', nc: '00000002' })
    expect(run.trunks.registrations()).toEqual([])
  })

  it('is taken over when its owner is gone', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members })
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    run.trunks.setMembers(1, [other])
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
  })

  it('does not follow the members of a deposed leader', () => {
    const run = runTrunks(configOf([carrier]), { members: [] })
    run.trunks.setMembers(5, ['edge-0'])
    run.trunks.setMembers(4, ['edge-9'])
    expect(run.trunks.registrations()).toHaveLength(1)
  })

  it('that comes back while the removal is out waits for it, since the two would meet at the registrar', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = undefined
    run.trunks.setMembers(2, ['edge-9'])
    const removal = run.sip.last
    run.trunks.setMembers(3, ['edge-0'])
    run.clock.advance(2000)
    expect(run.sip.sent).toHaveLength(2)
    removal.answer(200)
    await settle()
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('Expires')).toBe('3600')
  })

  it('that comes back waits 5 s at most', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = undefined
    run.trunks.setMembers(2, ['edge-9'])
    run.trunks.setMembers(3, ['edge-0'])
    run.clock.advance(5000)
    await settle()
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(3)
  })
})

describe('the end of a registration', () => {
  it('that is taken out of the trunk sends Expires 0 with credentials, and nothing more (registration check 4)', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    run.apply(configOf([]))
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('Expires')).toBe('0')
    expect(run.sip.last.get('Contact')).toBe(contact)
    expect(peer.bindings).toEqual(new Map([[contact, 0]]))
    expect(run.clock.pending).toBe(0)
  })

  it('answers a challenge of the removal', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    peer.nonce = 'nonce-2'
    run.apply(configOf([]))
    expect(peer.bindings).toEqual(new Map([[contact, 0]]))
  })

  it('that never was sends nothing', () => {
    const run = runTrunks(configOf([carrier]))
    run.apply(configOf([]))
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    expect(run.clock.pending).toBe(0)
  })

  it('waits for the REGISTER that is out, then removes what it bound (RFC 3261 section 10.2)', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(1000)
    run.apply(configOf([]))
    expect(run.sip.sent).toHaveLength(1)
    run.sip.last.answer(200)
    expect(run.sip.sent.map((request) => request.get('Expires'))).toEqual(['3600', '0'])
  })

  it('leaves the others alone', () => {
    const two = [registration(), registration({ account: 'second', number: '+15550101' })]
    const run = runTrunks(configOf([trunk({ registrations: two })]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.apply(configOf([trunk({ registrations: two.slice(1) })]))
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('To')).toBe('<sip:+15550100@198.51.100.1>')
    expect(run.sip.last.get('Expires')).toBe('0')
    expect(run.trunks.registrations().map(({ account }) => account)).toEqual(['second'])
  })

  it.each([
    { what: 'number', changed: registration({ number: '+15550199' }) },
    { what: 'registrar', changed: registration({ host: '198.51.100.2' }) },
  ])('of another $what removes the old binding and makes the new one, without waiting', ({ changed }) => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.apply(configOf([trunk({ registrations: [changed] })]))
    run.clock.advance(1000)
    expect(run.sip.sent.map((request) => `${request.get('To')} ${request.get('Expires')}`)).toEqual([
      '<sip:+15550100@198.51.100.1> 3600',
      '<sip:+15550100@198.51.100.1> 0',
      `<sip:${changed.number}@${changed.host}> 3600`,
    ])
  })

  it('is not reached while the listener is not open, and the report says so', () => {
    const run = runTrunks(configOf([carrier], []))
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    expect(stateOf(run)).toMatchObject({ state: 'Pending', detail: 'the listener udp is not open' })
    run.apply(configOf([carrier], [listener({ port: 5070 })]))
    run.clock.advance(1000)
    expect(run.sip.last.get('Contact')).toBe('<sip:+15550100@192.0.2.1:5070>')
  })
})

describe('stop', () => {
  it('removes what is registered, and settles with the answers', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    await run.trunks.stop()
    expect(run.sip.last.get('Expires')).toBe('0')
    expect(run.clock.pending).toBe(0)
  })

  it('settles after 2 s where no answer comes, and leaves no timer', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = undefined
    let settled = false
    const stopped = run.trunks.stop().then(() => (settled = true))
    run.clock.advance(1999)
    await settle()
    expect(settled).toBe(false)
    run.clock.advance(1)
    await stopped
    expect(run.clock.pending).toBe(0)
  })

  it('settles at once where nothing is registered, and nothing starts after it', async () => {
    const run = runTrunks(configOf([carrier]))
    await run.trunks.stop()
    run.apply(configOf([trunk({ registrations: [registration({ account: 'late' })] })]))
    run.trunks.setMembers(9, ['edge-0'])
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
  })
})

describe('the log and the report', () => {
  it('never hold the password or a response', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = registrar({ password: 'pa55' }).answer
    run.clock.advance(1000)
    run.apply(configOf([trunk({ registrations: [registration({ password: new Secret('pa66') })] })]))
    const shown = JSON.stringify([run.logged, run.trunks.registrations()])
    expect(run.logged).not.toEqual([])
    expect(shown).not.toMatch(/pa55|pa66|response=/)
  })
})
