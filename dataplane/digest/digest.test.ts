import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { challengesOf, DigestSession, digestResponse, parseChallenges, strongest } from './digest.ts'
import { responseMessage } from '../trunks/scripted-port.ts'

const mufasa = { username: 'Mufasa', password: 'Circle of Life' }
const rfc7616 = {
  realm: 'http-auth@example.org',
  nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
  session: false,
  qop: 'auth',
} as const
const rfc7616Request = {
  method: 'GET',
  uri: '/dir/index.html',
  nc: '00000001',
  cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
}

function first(...values: string[]) {
  const [challenge] = parseChallenges(values)
  if (challenge === undefined) throw new Error(`no challenge in ${values.join()}`)
  return challenge
}

/** Parameters of a credentials header, quotes taken off. */
function parametersOf(credentials: string): Record<string, string> {
  const found = credentials.replace(/^Digest /, '').matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))/g)
  return Object.fromEntries(Array.from(found, ([, name, quoted, plain]) => [name, quoted ?? plain]))
}

describe('the digest', () => {
  it('gives the MD5 response of RFC 7616 section 3.9.1', () => {
    expect(digestResponse({ ...rfc7616, hash: 'md5' }, mufasa, rfc7616Request)).toBe('8ca523f5e9506fed4657c9700eebdbec')
  })

  it('gives the SHA-256 response of RFC 7616 section 3.9.1', () => {
    expect(digestResponse({ ...rfc7616, hash: 'sha256' }, mufasa, rfc7616Request)).toBe(
      '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1',
    )
  })

  it('gives the response of RFC 2617 section 3.5', () => {
    const challenge = {
      realm: 'testrealm@host.com',
      nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093',
      hash: 'md5',
      session: false,
      qop: 'auth',
    } as const
    const request = { method: 'GET', uri: '/dir/index.html', nc: '00000001', cnonce: '0a4f113b' }
    expect(digestResponse(challenge, { username: 'Mufasa', password: 'Circle Of Life' }, request)).toBe(
      '6629fae49393a05397450978507c4ef1',
    )
  })

  it('without qop is that of RFC 2069, hashed from key, nonce and subject alone', () => {
    const md5 = (text: string) => createHash('md5').update(text).digest('hex')
    const challenge = { ...rfc7616, hash: 'md5', qop: undefined } as const
    expect(digestResponse(challenge, mufasa, rfc7616Request)).toBe(
      md5(`${md5('Mufasa:http-auth@example.org:Circle of Life')}:${rfc7616.nonce}:${md5('GET:/dir/index.html')}`),
    )
  })

  it('binds the key of -sess to nonce and cnonce, and covers the body with auth-int (RFC 7616 section 3.4)', () => {
    const sha = (text: string) => createHash('sha256').update(text).digest('hex')
    const challenge = { ...rfc7616, hash: 'sha256', session: true, qop: 'auth-int' } as const
    const { nc, cnonce } = rfc7616Request
    const key = sha(`${sha('Mufasa:http-auth@example.org:Circle of Life')}:${rfc7616.nonce}:${cnonce}`)
    const subject = sha(`GET:/dir/index.html:${sha('v=0')}`)
    expect(digestResponse(challenge, mufasa, { ...rfc7616Request, body: 'v=0' })).toBe(
      sha(`${key}:${rfc7616.nonce}:${nc}:${cnonce}:auth-int:${subject}`),
    )
  })

  it('hashes credentials as UTF-8', () => {
    const user = { username: 'J\u00e4s\u00f8n Doe', password: 'Secret, or not?' }
    const response = digestResponse(
      { realm: 'api@example.org', nonce: 'n', hash: 'sha512-256', session: false, qop: undefined },
      user,
      { method: 'GET', uri: '/', nc: '', cnonce: '' },
    )
    const hash = (value: Buffer | string) => createHash('sha512-256').update(value).digest('hex')
    const key = hash(Buffer.from('J\u00e4s\u00f8n Doe:api@example.org:Secret, or not?', 'utf8'))
    expect(response).toBe(hash(`${key}:n:${hash('GET:/')}`))
  })
})

describe('a challenge', () => {
  it.each([
    {
      name: 'is read with commas and escapes inside quotes',
      value: String.raw`Digest realm="a, \"b\"", nonce="n,1", qop="auth,auth-int", opaque="o"`,
      expected: { realm: String.raw`a, \"b\"`, nonce: 'n,1', qop: 'auth', opaque: 'o' },
    },
    {
      name: 'is read without spaces and in any case',
      value: 'DIGEST REALM="r",NONCE="n",ALGORITHM=md5,STALE=TRUE',
      expected: { realm: 'r', nonce: 'n', algorithm: 'md5', hash: 'md5', stale: true },
    },
    {
      name: 'is read with spaces around the equals signs',
      value: 'Digest realm = "r" , nonce = "n" , algorithm = SHA-256',
      expected: { realm: 'r', nonce: 'n', hash: 'sha256' },
    },
    {
      name: 'without algorithm means MD5 and without qop the old form',
      value: 'Digest realm="r", nonce="n"',
      expected: { algorithm: undefined, hash: 'md5', session: false, qop: undefined, stale: false },
    },
    {
      name: 'may bind a session',
      value: 'Digest realm="r", nonce="n", algorithm=SHA-512-256-sess, qop="auth"',
      expected: { algorithm: 'SHA-512-256-sess', hash: 'sha512-256', session: true, qop: 'auth' },
    },
    {
      name: 'takes auth-int where nothing else is offered',
      value: 'Digest realm="r", nonce="n", qop="auth-int"',
      expected: { qop: 'auth-int' },
    },
    {
      name: 'is stale only when it says true',
      value: 'Digest realm="r", nonce="n", stale=false',
      expected: { stale: false },
    },
    {
      name: 'keeps the first of a parameter that stands twice',
      value: 'Digest realm="r", nonce="n", nonce="m"',
      expected: { nonce: 'n' },
    },
  ])('$name', ({ value, expected }) => {
    expect(first(value)).toMatchObject(expected)
  })

  it.each([
    ['another scheme', 'Basic realm="r"'],
    ['no realm', 'Digest nonce="n"'],
    ['no nonce', 'Digest realm="r"'],
    ['an unknown algorithm', 'Digest realm="r", nonce="n", algorithm=AKAv1-MD5'],
    ['an unknown qop', 'Digest realm="r", nonce="n", qop="auth-conf"'],
    ['-sess without qop (RFC 3261 section 22.4, 8)', 'Digest realm="r", nonce="n", algorithm=MD5-sess'],
    ['nothing', ''],
    ['an open quote', 'Digest realm="r, nonce=n'],
    ['only a name', 'Digest'],
  ])('that has %s is left out', (_what, value) => {
    expect(parseChallenges([value])).toEqual([])
  })

  it('is found among others in one line, as HTTP allows', () => {
    const value =
      'Basic realm="x", Digest realm="r", nonce="n", algorithm=MD5, Digest realm="r", nonce="m", algorithm=SHA-256'
    expect(parseChallenges([value]).map(({ nonce }) => nonce)).toEqual(['n', 'm'])
  })

  it('of a 401 is answered with Authorization and that of a 407 with Proxy-Authorization', () => {
    const value = 'Digest realm="r", nonce="n"'
    expect(challengesOf(responseMessage(401, 'Unauthorized', 'REGISTER', [['WWW-Authenticate', value]]))).toMatchObject(
      {
        header: 'Authorization',
        challenges: [{ nonce: 'n' }],
      },
    )
    const proxy = responseMessage(407, 'Proxy Authentication Required', 'INVITE', [['Proxy-Authenticate', value]])
    expect(challengesOf(proxy)).toMatchObject({ header: 'Proxy-Authorization', challenges: [{ nonce: 'n' }] })
    expect(challengesOf(responseMessage(403, 'Forbidden', 'REGISTER', [['WWW-Authenticate', value]]))).toBeUndefined()
  })
})

describe('of several challenges', () => {
  const md5 = 'Digest realm="r", nonce="md5", algorithm=MD5'
  const sha256 = 'Digest realm="r", nonce="sha256", algorithm=SHA-256'

  it('the strongest is answered wherever it stands (RFC 8760 section 2.4, local policy)', () => {
    expect(strongest(parseChallenges([md5, sha256]))?.nonce).toBe('sha256')
    expect(strongest(parseChallenges([sha256, md5]))?.nonce).toBe('sha256')
  })

  it('the topmost of equals is answered (RFC 8760 section 2.4)', () => {
    expect(strongest(parseChallenges([sha256, 'Digest realm="q", nonce="2", algorithm=SHA-256']))?.nonce).toBe('sha256')
    expect(strongest([])).toBeUndefined()
  })
})

describe('a session', () => {
  const request = { method: 'REGISTER', uri: 'sip:carrier.example' }

  it('counts the requests it is used for, so that none can be replayed (RFC 7616 section 3.4)', () => {
    const challenge = first('Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256, opaque="o"')
    const session = new DigestSession(challenge, 'abc')
    const one = parametersOf(session.authorize(mufasa, request))
    const two = parametersOf(session.authorize(mufasa, request))
    expect(one).toMatchObject({
      username: 'Mufasa',
      realm: 'r',
      nonce: 'n',
      uri: 'sip:carrier.example',
      algorithm: 'SHA-256',
      cnonce: 'abc',
      opaque: 'o',
      qop: 'auth',
      nc: '00000001',
    })
    expect(two['nc']).toBe('00000002')
    for (const sent of [one, two]) {
      const nc = sent['nc'] ?? ''
      expect(sent['response']).toBe(digestResponse(challenge, mufasa, { ...request, nc, cnonce: 'abc' }))
    }
  })

  it('sends neither cnonce nor nc without qop (RFC 3261 section 22.4, 8)', () => {
    const credentials = new DigestSession(first('Digest realm="r", nonce="n"'), 'abc').authorize(mufasa, request)
    expect(Object.keys(parametersOf(credentials))).toEqual(['username', 'realm', 'nonce', 'uri', 'response'])
  })

  it('leaves qop and nc without quotes, which RFC 7616 section 3.4 forbids there', () => {
    const challenge = first('Digest realm="r", nonce="n", qop="auth"')
    expect(new DigestSession(challenge, 'abc').authorize(mufasa, request)).toMatch(/, qop=auth, nc=00000001$/)
  })

  it('escapes quotes in a user name', () => {
    const user = { username: String.raw`a"b\c`, password: 'p' }
    const credentials = new DigestSession(first('Digest realm="r", nonce="n"'), 'abc').authorize(user, request)
    expect(credentials).toContain(String.raw`username="a\"b\\c"`)
  })
})
