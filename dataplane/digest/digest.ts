import { createHash } from 'node:crypto'
import { splitList } from '../engine/message/list.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'

/**
 * HTTP digest as SIP uses it: RFC 3261 section 22, RFC 7616, RFC 8760. What both sides compute, and the client's side: pure
 * but for the counter that a session keeps. Knows nothing of REGISTER: any request that is challenged can be answered.
 */

/** One challenge that can be answered. `realm`, `nonce` and `opaque` stand as they were quoted, escapes included. */
export interface Challenge {
  readonly realm: string
  readonly nonce: string
  readonly opaque: string | undefined
  /** The token of the challenge; undefined when it named none, which means MD5. */
  readonly algorithm: string | undefined
  readonly hash: Hash
  /** Whether the key is bound to the first nonce and cnonce (`-sess`). */
  readonly session: boolean
  /** Quality of protection to answer with; undefined for the form of RFC 2069, which has none. */
  readonly qop: 'auth' | 'auth-int' | undefined
  /** The credentials were right, only the nonce was too old. */
  readonly stale: boolean
}

export type Hash = 'md5' | 'sha256' | 'sha512-256'

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** Header that carries the credentials: `Authorization` answers a 401, `Proxy-Authorization` a 407. */
export type CredentialsHeader = 'Authorization' | 'Proxy-Authorization'

const hashes: ReadonlyMap<string, Hash> = new Map([
  ['md5', 'md5'],
  ['sha-256', 'sha256'],
  ['sha-512-256', 'sha512-256'],
])
const strength: Readonly<Record<Hash, number>> = { md5: 0, sha256: 1, 'sha512-256': 2 }

/** The challenges of a 401 or 407 that can be answered, in order, and the header to answer with; undefined for others. */
export function challengesOf(
  response: SipMessage,
): { readonly header: CredentialsHeader; readonly challenges: readonly Challenge[] } | undefined {
  if (response.status === 401) {
    return { header: 'Authorization', challenges: parseChallenges(response.lines('WWW-Authenticate')) }
  }
  if (response.status === 407) {
    return { header: 'Proxy-Authorization', challenges: parseChallenges(response.lines('Proxy-Authenticate')) }
  }
  return undefined
}

/**
 * Reads the values of WWW-Authenticate or Proxy-Authenticate. SIP wants one challenge a header line (RFC 3261 section
 * 7.3.1), HTTP allows several in one: both are read. What is no Digest, is not well formed, or uses an algorithm or a
 * quality of protection that is not known here is left out.
 */
export function parseChallenges(values: readonly string[]): Challenge[] {
  const challenges: Challenge[] = []
  for (const value of values) {
    for (const { scheme, parameters } of readSchemes(value)) {
      if (scheme !== 'digest') continue
      const challenge = readChallenge(parameters)
      if (challenge !== undefined) challenges.push(challenge)
    }
  }
  return challenges
}

/**
 * The challenge to answer: the strongest algorithm, and of equals the first. RFC 8760 section 2.4: "it SHOULD use the
 * topmost header field that it supports unless a local policy dictates otherwise". Ours does, since whoever can reorder
 * headers on the way could otherwise choose MD5.
 */
export function strongest(challenges: readonly Challenge[]): Challenge | undefined {
  let best: Challenge | undefined
  for (const challenge of challenges) {
    if (best === undefined || strength[challenge.hash] > strength[best.hash]) best = challenge
  }
  return best
}

/** One nonce in use: counts the requests that were sent with it. Made anew for every new nonce. */
export class DigestSession {
  readonly challenge: Challenge
  readonly #cnonce: string
  #count = 0

  /** `cnonce` must be unpredictable and safe inside quotes, as hex digits are. */
  constructor(challenge: Challenge, cnonce: string) {
    this.challenge = challenge
    this.#cnonce = cnonce
  }

  /** Value of the header for the next request; no two requests may share one. `uri` is the Request-URI as it is sent. */
  authorize(credentials: Credentials, request: { method: string; uri: string; body?: string }): string {
    const { challenge } = this
    this.#count++
    const nc = this.#count.toString(16).padStart(8, '0')
    const response = digestResponse(challenge, credentials, { ...request, nc, cnonce: this.#cnonce })
    const parameters = [
      `username=${quote(credentials.username)}`,
      `realm="${challenge.realm}"`,
      `nonce="${challenge.nonce}"`,
      `uri="${request.uri}"`,
      `response="${response}"`,
    ]
    if (challenge.algorithm !== undefined) parameters.push(`algorithm=${challenge.algorithm}`)
    // RFC 3261 section 22.4, 8: "a cnonce value MUST NOT be sent […] if no qop directive has been sent".
    if (challenge.qop !== undefined) {
      parameters.push(`cnonce="${this.#cnonce}"`, `qop=${challenge.qop}`, `nc=${nc}`)
    }
    if (challenge.opaque !== undefined) parameters.push(`opaque="${challenge.opaque}"`)
    return `Digest ${parameters.join(', ')}`
  }
}

/** The `response` of RFC 7616 section 3.4.1, and of RFC 2069 where there is no qop. */
export function digestResponse(
  challenge: Pick<Challenge, 'realm' | 'nonce' | 'hash' | 'session' | 'qop'>,
  { username, password }: Credentials,
  request: { method: string; uri: string; body?: string; nc: string; cnonce: string },
): string {
  const { realm, nonce, hash, session, qop } = challenge
  const { method, uri, nc, cnonce } = request
  const user = digest(hash, `${username}:${realm}:${password}`)
  const key = session ? digest(hash, `${user}:${nonce}:${cnonce}`) : user
  const subject = digest(
    hash,
    qop === 'auth-int' ? `${method}:${uri}:${digest(hash, request.body ?? '')}` : `${method}:${uri}`,
  )
  return qop === undefined
    ? digest(hash, `${key}:${nonce}:${subject}`)
    : digest(hash, `${key}:${nonce}:${nc}:${cnonce}:${qop}:${subject}`)
}

function digest(hash: Hash, text: string): string {
  return createHash(hash).update(text, 'utf8').digest('hex')
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

function readChallenge(parameters: ReadonlyMap<string, string>): Challenge | undefined {
  const realm = parameters.get('realm')
  const nonce = parameters.get('nonce')
  if (realm === undefined || nonce === undefined) return undefined
  const algorithm = parameters.get('algorithm')
  const named = (algorithm ?? 'MD5').toLowerCase()
  const session = named.endsWith('-sess')
  const hash = hashes.get(session ? named.slice(0, -5) : named)
  if (hash === undefined) return undefined
  const offered = parameters.get('qop')
  const qop = offered === undefined ? undefined : chooseQop(offered)
  if (offered !== undefined && qop === undefined) return undefined
  // RFC 3261 section 22.4, 8: "any algorithms that have a dependency on the cnonce (including "MD5-Sess") require that
  // the qop directive be sent".
  if (session && qop === undefined) return undefined
  return {
    realm,
    nonce,
    opaque: parameters.get('opaque'),
    algorithm,
    hash,
    session,
    qop,
    stale: parameters.get('stale')?.toLowerCase() === 'true',
  }
}

/** Plain auth first, since what rewrites bodies on the way breaks auth-int. */
function chooseQop(offered: string): 'auth' | 'auth-int' | undefined {
  const options = offered
    .toLowerCase()
    .split(',')
    .map((option) => option.trim())
  return options.includes('auth') ? 'auth' : options.includes('auth-int') ? 'auth-int' : undefined
}

/** Takes `Scheme a=b, c="d, e"` apart, several schemes in a row too. Names are lower case, values without their quotes. */
export function readSchemes(value: string): { scheme: string; parameters: Map<string, string> }[] {
  const schemes: { scheme: string; parameters: Map<string, string> }[] = []
  for (const part of splitList(value)) {
    const opening = /^([!#$%&'*+\-.^_`|~\w]+)[ \t]+(?=[^= \t])/.exec(part)
    if (opening?.[1] !== undefined) schemes.push({ scheme: opening[1].toLowerCase(), parameters: new Map() })
    const parameter = opening === null ? part : part.slice(opening[0].length)
    const equals = parameter.indexOf('=')
    const current = schemes.at(-1)
    if (equals < 0 || current === undefined) continue
    const name = parameter.slice(0, equals).trim().toLowerCase()
    if (!current.parameters.has(name)) current.parameters.set(name, unquote(parameter.slice(equals + 1).trim()))
  }
  return schemes
}

/** RFC 7616 section 1.3: unq(X) is "the value of the quoted-string X without the surrounding quotes". */
function unquote(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}
