import { createHash, timingSafeEqual } from 'node:crypto'

/** What a peer knows of one account, to check answers to its challenge with. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

export type Algorithm = 'SHA-256' | 'MD5'

/** RFC 7616 section 3.7: the strongest algorithm stands first. */
export const algorithms: readonly Algorithm[] = ['SHA-256', 'MD5']

export function buildChallenge(realm: string, nonce: string, algorithm: Algorithm): string {
  return `Digest realm="${realm}", nonce="${nonce}", algorithm=${algorithm}, qop="auth"`
}

/** What is wrong with the value of an Authorization field; undefined when it proves the password (RFC 7616 section 3.4). */
export function checkAuthorization(
  value: string,
  expected: { method: string; realm: string; nonce: string; credentials: Credentials },
): string | undefined {
  const given = parseDigest(value)
  if (given === undefined) return 'the scheme is not Digest'
  const field = (name: string) => given.get(name) ?? ''
  const algorithm = algorithms.find((known) => known === (given.get('algorithm') ?? 'MD5').toUpperCase())
  if (algorithm === undefined) return `the algorithm ${field('algorithm')} was not offered`
  const { method, realm, nonce, credentials } = expected
  if (field('realm') !== realm) return `the realm is "${field('realm')}" instead of "${realm}"`
  if (field('nonce') !== nonce) return 'the nonce is not ours'
  if (field('username') !== credentials.username) return `the username is "${field('username')}"`
  if (field('qop') !== 'auth') return `qop is "${field('qop')}" although "auth" was asked for`
  if (!/^[0-9a-f]{8}$/i.test(field('nc'))) return `nc is "${field('nc')}" instead of eight hex digits`

  const hash = (text: string) => createHash(algorithm.replace('-', '').toLowerCase()).update(text).digest('hex')
  const a1 = hash(`${credentials.username}:${realm}:${credentials.password}`)
  const a2 = hash(`${method}:${field('uri')}`)
  const right = hash([a1, nonce, field('nc'), field('cnonce'), 'auth', a2].join(':'))
  return equal(field('response'), right) ? undefined : 'the response does not fit the password'
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

/** Parameters of a Digest field value by name in lower case, quotes taken off. */
function parseDigest(value: string): Map<string, string> | undefined {
  const scheme = /^\s*digest\s+/i.exec(value)
  if (scheme === null) return undefined
  const parameters = value.slice(scheme[0].length).matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)
  return new Map(
    [...parameters].map(([, name = '', quoted, plain]) => [
      name.toLowerCase(),
      quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '',
    ]),
  )
}
