import { describe, expect, it } from 'vitest'
import type { InboundAuthenticationConfig } from '#api/snapshot.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Secret } from '#lib/secret.ts'
import { readMessage } from '../engine/message/parse.ts'
import type { HeaderList } from '../sip/port.ts'
import { type Challenge, DigestSession, parseChallenges } from './digest.ts'
import { DigestServer, type ProofVerdict } from './digest-server.ts'

const uri = 'sip:2000@203.0.113.1'
const right = { username: 'edge', password: 'Circle of Life' }

function policy(changes: Partial<InboundAuthenticationConfig> = {}): InboundAuthenticationConfig {
  return {
    realm: 'voice.example',
    algorithms: ['SHA-256', 'MD5'],
    role: 'UserAgent',
    users: [{ name: 'pbx', username: right.username, password: new Secret(right.password) }],
    nonceKey: new Secret('a key that all replicas have'),
    ...changes,
  }
}

function request(headers: HeaderList = [], options: { method?: string; uri?: string; address?: string } = {}) {
  const { method = 'INVITE', address = '192.0.2.1' } = options
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const result = readMessage(
    `${method} ${options.uri ?? uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\n` +
      `To: <sip:b@b>\r\nCall-ID: a\r\nCSeq: 1 ${method}\r\n${lines}\r\n`,
  )
  if (!result.ok) throw new Error(result.reason)
  return { message: result.message, source: { address } }
}

/** The challenges of an answer. */
function challengesIn(verdict: ProofVerdict): Challenge[] {
  return 'headers' in verdict ? parseChallenges(verdict.headers.map(([, value]) => value)) : []
}

/** A client that has been challenged once, with the algorithm that stands there. */
function setUp(options: { policy?: InboundAuthenticationConfig; algorithm?: number; server?: DigestServer } = {}) {
  const clock = new ManualClock()
  const server = options.server ?? new DigestServer(clock)
  const chosen = options.policy ?? policy()
  const challenge = challengesIn(server.verify(request(), chosen))[options.algorithm ?? 0]
  if (challenge === undefined) throw new Error('no challenge')
  const session = new DigestSession(challenge, 'cnonce')
  const authorize = (credentials = right) => session.authorize(credentials, { method: 'INVITE', uri })
  const verify = (value: string, more: Parameters<typeof request>[1] = {}) =>
    server.verify(request([['Authorization', value]], more), chosen)
  return { clock, server, policy: chosen, challenge, authorize, verify }
}

const proofs = (verdicts: readonly ProofVerdict[]) => verdicts.map(({ proof }) => proof)

describe('a request without credentials', () => {
  it('is challenged with 401, once for each algorithm, in order (RFC 8760 section 2.3)', () => {
    const verdict = new DigestServer(new ManualClock()).verify(request(), policy())
    expect(verdict).toMatchObject({ proof: 'Challenged', status: 401 })
    const shape = (algorithm: string) =>
      expect.stringMatching(
        new RegExp(`^Digest realm="voice\\.example", nonce="[\\w-]{40}", algorithm=${algorithm}, qop="auth"$`),
      )
    expect('headers' in verdict && verdict.headers).toEqual([
      ['WWW-Authenticate', shape('SHA-256')],
      ['WWW-Authenticate', shape('MD5')],
    ])
  })

  it('is challenged with 407 by a fleet that plays the proxy (RFC 3261 section 22.3)', () => {
    const proxy = policy({ role: 'Proxy', algorithms: ['MD5'] })
    const server = new DigestServer(new ManualClock())
    const verdict = server.verify(request(), proxy)
    expect(verdict).toMatchObject({ proof: 'Challenged', status: 407 })
    const [challenge] = challengesIn(verdict)
    if (challenge === undefined) throw new Error('no challenge')
    const value = new DigestSession(challenge, 'c').authorize(right, { method: 'INVITE', uri })
    expect(server.verify(request([['Authorization', value]]), proxy).proof).toBe('Challenged')
    expect(server.verify(request([['Proxy-Authorization', value]]), proxy)).toEqual({ proof: 'Accepted', user: 'pbx' })
  })

  it('is told to come again where there is no key for nonces yet', () => {
    const { nonceKey: _none, ...without } = policy()
    expect(new DigestServer(new ManualClock()).verify(request(), without)).toMatchObject({
      proof: 'NoKey',
      status: 503,
      headers: [['Retry-After', '5']],
    })
  })
})

describe('credentials', () => {
  it.each(['SHA-256', 'MD5'])('with %s prove who it is', (algorithm) => {
    const { authorize, verify, challenge } = setUp({ algorithm: algorithm === 'MD5' ? 1 : 0 })
    expect(challenge.algorithm).toBe(algorithm)
    expect(verify(authorize())).toEqual({ proof: 'Accepted', user: 'pbx' })
  })

  it('of an algorithm that is not named are MD5 (RFC 7616 section 3.3)', () => {
    const { authorize, verify } = setUp({ algorithm: 1 })
    expect(verify(authorize().replace(', algorithm=MD5', '')).proof).toBe('Accepted')
  })

  it('count for any method', () => {
    const { challenge, verify } = setUp()
    const value = new DigestSession(challenge, 'c').authorize(right, { method: 'REGISTER', uri })
    expect(verify(value).proof).toBe('Refused')
    expect(verify(value, { method: 'REGISTER' }).proof).toBe('Accepted')
  })

  it('are taken by a replica that did not challenge, as long as it has the key', () => {
    const { authorize, verify, challenge } = setUp()
    const clock = new ManualClock()
    const other = new DigestServer(clock)
    expect(other.verify(request([['Authorization', authorize()]]), policy()).proof).toBe('Accepted')
    const stranger = policy({ nonceKey: new Secret('another key') })
    expect(other.verify(request([['Authorization', authorize()]]), stranger).proof).toBe('Stale')
    expect([verify(authorize()).proof, challenge.stale]).toEqual(['Accepted', false])
  })

  it('among those of other realms are found (RFC 3261 section 22.3)', () => {
    const { authorize, server, policy: own } = setUp()
    const foreign = 'Digest username="x", realm="elsewhere", nonce="n", uri="sip:x", response="00"'
    const basic = 'Basic dXNlcjpwYXNzd29yZA=='
    const headers = [basic, foreign, authorize()].map((value) => ['Authorization', value] as const)
    expect(server.verify(request(headers), own).proof).toBe('Accepted')
    expect(server.verify(request([['Authorization', foreign]]), own)).toMatchObject({ proof: 'Challenged' })
  })

  it('several in our realm are one try: the first counts', () => {
    const { authorize, server, policy: own } = setUp()
    const wrong = authorize({ ...right, password: 'wrong' })
    const headers = [wrong, authorize()].map((value) => ['Authorization', value] as const)
    expect(server.verify(request(headers), own).proof).toBe('Refused')
  })

  it('with a user name that needs quotes', () => {
    const odd = { username: String.raw`a"b\c`, password: 'p' }
    const users = [{ name: 'odd', username: odd.username, password: new Secret(odd.password) }]
    const { authorize, verify } = setUp({ policy: policy({ users }) })
    expect(verify(authorize(odd))).toEqual({ proof: 'Accepted', user: 'odd' })
  })
})

describe('a wrong password', () => {
  it('is challenged anew, and the next nonce is another one (feature item 29.1)', () => {
    const { authorize, verify, challenge } = setUp()
    const verdict = verify(authorize({ ...right, password: 'wrong' }))
    expect(verdict).toMatchObject({ proof: 'Refused', status: 401, why: 'the password of user pbx is wrong' })
    const [next] = challengesIn(verdict)
    expect([next?.nonce === challenge.nonce, next?.stale]).toEqual([false, false])
  })

  it('is told from an unknown user by nothing but the log', () => {
    const { authorize, verify } = setUp()
    const plain = (verdict: ProofVerdict) => ({
      ...verdict,
      why: '',
      headers:
        'headers' in verdict && verdict.headers.map(([name, value]) => [name, value.replace(/nonce="[^"]*"/, '')]),
    })
    const unknown = verify(authorize({ ...right, username: 'nobody' }))
    expect(unknown).toMatchObject({ why: 'there is no such user' })
    expect(plain(unknown)).toEqual(plain(verify(authorize({ ...right, password: 'wrong' }))))
  })

  it('too often is not looked at for a while, right or wrong, known or not', () => {
    const { authorize, verify, clock } = setUp()
    for (const username of ['edge', 'nobody']) {
      const wrong = Array.from({ length: 11 }, () => verify(authorize({ username, password: 'wrong' })))
      expect(proofs(wrong)).toEqual([...Array.from({ length: 10 }, () => 'Refused'), 'Limited'])
    }
    expect(verify(authorize())).toMatchObject({ proof: 'Limited', status: 403, headers: [] })
    clock.advance(6000)
    expect(verify(authorize()).proof).toBe('Accepted')
  })

  it('with a nonce that was given to nobody is no try: nobody can lock out another by it', () => {
    const { authorize, verify, challenge } = setUp()
    const forged = authorize({ ...right, password: 'wrong' }).replace(challenge.nonce, 'forged')
    expect(new Set(proofs(Array.from({ length: 50 }, () => verify(forged))))).toEqual(new Set(['Stale']))
    expect(verify(authorize()).proof).toBe('Accepted')
  })
})

describe('a nonce', () => {
  it('can be used again with the next count, and each count once (RFC 7616 section 3.4)', () => {
    const { authorize, verify } = setUp()
    const [first, second] = [authorize(), authorize()]
    expect(proofs([verify(first), verify(second)])).toEqual(['Accepted', 'Accepted'])
    const replayed = verify(first)
    expect(replayed).toMatchObject({ proof: 'Replayed', status: 401 })
    expect(challengesIn(replayed).map(({ stale }) => stale)).toEqual([true, true])
  })

  it('with a wrong password uses up no count', () => {
    const { challenge, verify } = setUp()
    const value = (password: string) =>
      new DigestSession(challenge, 'c').authorize({ ...right, password }, { method: 'INVITE', uri })
    expect(proofs([verify(value('wrong')), verify(value(right.password))])).toEqual(['Refused', 'Accepted'])
  })

  it('is stale after five minutes, and the next one is taken (feature item 29.1)', () => {
    const { authorize, verify, clock } = setUp()
    clock.advance(300_000)
    expect(verify(authorize()).proof).toBe('Accepted')
    clock.advance(1)
    const late = verify(authorize())
    expect(late).toMatchObject({ proof: 'Stale', status: 401 })
    const [next] = challengesIn(late)
    if (next === undefined) throw new Error('no challenge')
    expect(next.stale).toBe(true)
    expect(verify(new DigestSession(next, 'c').authorize(right, { method: 'INVITE', uri })).proof).toBe('Accepted')
  })

  it('is stale for another address', () => {
    const { authorize, verify } = setUp()
    expect(verify(authorize(), { address: '192.0.2.2' }).proof).toBe('Stale')
    expect(verify(authorize()).proof).toBe('Accepted')
  })

  it('of a process before this one is stale, since that may have taken it', () => {
    const { authorize, clock } = setUp()
    clock.advance(1)
    const restarted = new DigestServer(clock)
    expect(restarted.verify(request([['Authorization', authorize()]]), policy()).proof).toBe('Stale')
  })

  it('lives on when the wall clock is set back or forward', () => {
    const { authorize, verify, clock, server, policy: own } = setUp()
    clock.setWallTime(clock.wallTime() - 86_400_000)
    expect(verify(authorize()).proof).toBe('Accepted')
    clock.setWallTime(clock.wallTime() + 2 * 86_400_000)
    expect(challengesIn(server.verify(request(), own))).toHaveLength(2)
    expect(verify(authorize()).proof).toBe('Accepted')
  })

  it('made by a clock that is far ahead is stale', () => {
    const ahead = new DigestServer(new ManualClock(Date.UTC(2026, 0, 1) + 61_000))
    const { authorize } = setUp({ server: ahead })
    const here = new DigestServer(new ManualClock())
    expect(here.verify(request([['Authorization', authorize()]]), policy()).proof).toBe('Stale')
  })
})

describe('credentials that cannot be used', () => {
  it.each([
    ['no qop, as in RFC 2069', / qop=auth,/, '', 'the credentials have no qop'],
    ['another qop', /qop=auth/, 'qop=auth-int', 'the credentials have a qop that was not offered'],
    ['no nc', /, nc=\w+/, '', 'the credentials have no nc'],
    ['nc of seven digits', /nc=0/, 'nc=', 'nc is not eight hex digits'],
    ['no cnonce', / cnonce="\w+",/, '', 'the credentials have no cnonce'],
    ['no username', /username="\w+", /, '', 'the credentials have no username'],
    ['another algorithm', /SHA-256/, 'SHA-512-256', 'the credentials have an algorithm that was not offered'],
    ['a key for a session', /SHA-256/, 'SHA-256-sess', 'the credentials have an algorithm that was not offered'],
    ['a response that is too short', /response="\w/, 'response="', 'the response is no digest of its algorithm'],
    ['a response that is no hex', /response="\w/, 'response="g', 'the response is no digest of its algorithm'],
    [
      'the uri of another number (RFC 3261 section 22.4)',
      /sip:2000@/,
      'sip:900@',
      'the uri of the credentials names another user than the request',
    ],
    ['a uri without number', /sip:2000@/, 'sip:', 'the uri of the credentials names another user than the request'],
    ['a uri that is none', /sip:2000@[^"]*/, '2000', 'the uri of the credentials names another user than the request'],
  ])('%s get 400, and are no try', (_what, what, by, why) => {
    const { authorize, verify } = setUp()
    const changed = authorize().replace(what, by)
    for (let time = 0; time < 20; time++) {
      expect(verify(changed)).toEqual({ proof: 'Malformed', status: 400, headers: [], why })
    }
    expect(verify(authorize()).proof).toBe('Accepted')
  })

  it('may name another host and parameters than the Request-URI, which proxies change', () => {
    const { challenge, verify } = setUp()
    const value = new DigestSession(challenge, 'c').authorize(right, {
      method: 'INVITE',
      uri: 'sip:2000@voice.example;user=phone',
    })
    expect(verify(value).proof).toBe('Accepted')
  })

  it('of an algorithm that the trunk does not offer get 400', () => {
    const { authorize, server } = setUp({ algorithm: 1 })
    const strict = policy({ algorithms: ['SHA-256'] })
    expect(server.verify(request([['Authorization', authorize()]]), strict)).toMatchObject({ proof: 'Malformed' })
  })
})

describe('whatever is sent', () => {
  /** Numbers that look random, the same every time. */
  function* draws(seed: number): Generator<number, never> {
    for (let state = seed; ;) {
      state = (state * 1103515245 + 12345) % 2 ** 31
      yield state
    }
  }

  it('client and server agree on any user name and password that fit in a line', () => {
    const draw = draws(1)
    const text = () =>
      Array.from({ length: 1 + (draw.next().value % 12) }, () =>
        String.fromCharCode(32 + (draw.next().value % 95)),
      ).join('')
    for (let round = 0; round < 300; round++) {
      const credentials = { username: `u${text()}`, password: text() }
      const users = [{ name: 'one', username: credentials.username, password: new Secret(credentials.password) }]
      const { authorize, verify } = setUp({ policy: policy({ users }), algorithm: round % 2 })
      expect(verify(authorize(credentials)).proof, JSON.stringify(credentials)).toBe('Accepted')
    }
  })

  it('credentials with any character changed are not accepted, and nothing is thrown', () => {
    const draw = draws(2)
    const { challenge, server } = setUp()
    const own = policy()
    const value = new DigestSession(challenge, 'c').authorize(right, { method: 'INVITE', uri })
    const significant = ['username', 'realm', 'nonce', 'response', 'cnonce', 'qop', 'nc'].map((name) => {
      const [found] = [...value.matchAll(new RegExp(`\\b${name}="?([^",]*)`, 'g'))]
      const end = found === undefined ? 0 : found.index + found[0].length
      return { start: end - (found?.[1]?.length ?? 0), end }
    })
    for (const { start, end } of significant) {
      for (let at = start; at < end; at++) {
        const by = String.fromCharCode(33 + (draw.next().value % 94))
        if (by.toLowerCase() === value[at]?.toLowerCase()) continue
        const changed = value.slice(0, at) + by + value.slice(at + 1)
        expect(server.verify(request([['Authorization', changed]]), own).proof, changed).not.toBe('Accepted')
      }
    }
  })

  it('credentials that were cut, doubled and mixed throw nothing, and hardly any are still right', () => {
    const draw = draws(3)
    const { authorize, server, policy: own } = setUp()
    const pieces = ['"', '\\', ',', '=', ' ', 'Digest ', 'nc=', '\u00e9', '""', ', Basic x', 'a'.repeat(3000)]
    const counts = new Map<string, number>()
    for (let round = 0; round < 4000; round++) {
      let value = authorize()
      for (let times = 1 + (draw.next().value % 3); times > 0; times--) {
        const at = draw.next().value % value.length
        const until = at + (draw.next().value % 20)
        const piece = pieces[draw.next().value % pieces.length] ?? ''
        value = value.slice(0, at) + piece + value.slice(draw.next().value % 2 === 0 ? at : until)
      }
      const { proof } = server.verify(request([['Authorization', value.trim()]]), own)
      counts.set(proof, (counts.get(proof) ?? 0) + 1)
    }
    // What stands behind the parameters, or is no part of any, changes nothing.
    expect(counts.get('Accepted') ?? 0).toBeLessThan(400)
    expect([...counts.keys()]).toEqual(expect.arrayContaining(['Malformed', 'Challenged']))
  })

  it('shows no secret', () => {
    const { authorize, verify, policy: own } = setUp()
    const verdicts = [verify(authorize()), verify(authorize({ ...right, password: 'wrong' }))]
    expect(JSON.stringify([verdicts, own])).not.toMatch(/Circle of Life|a key that/)
  })
})
