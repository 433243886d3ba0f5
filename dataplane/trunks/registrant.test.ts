import { describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import { credentialsOf, granting, registrar } from './scripted-registrar.ts'
import { configOf, registration, runTrunks, settle, trunk } from './trunks-fixture.ts'

const carrier = trunk({ registrations: [registration()] })
const contact = '<sip:+15550100@192.0.2.1:5060>'

type Run = ReturnType<typeof runTrunks>

function stateOf({ trunks }: Run) {
  return trunks.registrations()[0]
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
      Supported: 'path',
    })
    expect(stateOf(run)).toEqual({
      trunk: 'carrier',
      account: 'main',
      registrar: 'primary',
      state: 'Pending',
      since: run.clock.wallTime() - 1000,
    })
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

  it('that is answered with a provisional goes on waiting', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(1000)
    run.sip.last.answer(183)
    expect(stateOf(run)?.state).toBe('Pending')
    run.sip.last.answer(200)
    expect(stateOf(run)?.state).toBe('Registered')
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
      since: run.clock.wallTime() - 500,
      lastCode: 401,
      failure: 'AuthFailed',
      detail: '401 Unauthorized: the registrar refuses the credentials',
    })
    run.clock.advance(60_000)
    expect(run.sip.sent).toHaveLength(2)
    run.clock.advance(60_000)
    expect(run.sip.sent.map((request) => credentialsOf(request)?.['nc'])).toEqual([
      undefined,
      '00000001',
      undefined,
      '00000001',
    ])
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

  it('that is accepted with the bindings of others only is a rejection (RFC 3261 section 10.2.4)', () => {
    const run = runTrunks(configOf([carrier]))
    const others = '<sip:other@203.0.113.8>;expires=60, <sip:another@203.0.113.9>;expires=60'
    run.sip.script = (request) => request.answer(200, [['Contact', others]])
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({
      state: 'Unregistered',
      failure: 'Rejected',
      detail: 'the registrar accepted, but does not list our Contact among the bindings',
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

  it('in the DNS any more is asked at its last address, and the report says so', async () => {
    let works = true
    const resolve = () =>
      works
        ? Promise.resolve({ addresses: ['198.51.100.9'], ttlSeconds: 60 })
        : Promise.reject(Object.assign(new Error('no'), { code: 'ETIMEOUT' }))
    const run = runTrunks(configOf([trunk({ registrations: [registration({ host: 'sip.carrier.example' })] })]), {
      resolve,
    })
    run.sip.script = granting(100)
    await settle()
    run.clock.advance(500)
    works = false
    let told = 0
    run.trunks.onChange(() => told++)
    run.clock.advance(60_000)
    await settle()
    expect(told).toBe(1)
    expect(stateOf(run)).toMatchObject({
      state: 'Registered',
      detail: 'sip.carrier.example has no IPv4 address: ETIMEOUT',
    })
    run.clock.advance(20_000)
    expect(run.sip.last.nextHop).toBe('sip:198.51.100.9:5060;transport=udp')
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
      failure: 'NameNotResolved',
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
    run.clock.advance(20_000)
    const lapsed = run.logged.some((line) => line.includes('lapsed'))
    expect([stateOf(run)?.state, lapsed]).toEqual(['Unregistered', state === 'Registered'])
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

  it('that are wrong too are tried slowly from the start', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = registrar({ password: 'another' }).answer
    run.clock.advance(600_000)
    run.apply(renewed)
    const before = run.sip.sent.length
    run.clock.advance(90_000)
    expect(run.sip.sent).toHaveLength(before + 2)
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
