import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { DigestAlgorithm } from '#api/authentication.ts'
import type { InboundAuthenticationConfig } from '#api/snapshot.ts'
import type { Clock } from '#lib/clock.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { decodeUser, parseUri } from '../engine/message/uri.ts'
import type { HeaderList } from '../sip/port.ts'
import { digestResponse, type Hash, readSchemes } from './digest.ts'
import { FailureLimit } from './failure-limit.ts'
import { makeNonce, type NonceScope, readNonce } from './nonce.ts'
import { NonceCounts } from './nonce-counts.ts'

/** A request that has to prove whose it is. */
export interface ClaimingRequest {
  readonly message: SipMessage
  readonly source: { readonly address: string }
}

/**
 * What the proof came to. `Challenged`: there was none. `Stale`: its nonce is too old, or not ours. `Replayed`: its count
 * was taken before. `Refused`: the user does not exist, or the password is wrong. `Malformed`: it cannot be read.
 * `Limited`: there were too many wrong ones before, and it was not looked at. `NoKey`: there is no key for nonces yet.
 */
export type Proof = 'Accepted' | 'Challenged' | 'Stale' | 'Replayed' | 'Refused' | 'Malformed' | 'Limited' | 'NoKey'

export type ProofVerdict =
  | { readonly proof: 'Accepted'; readonly user: string }
  | {
      readonly proof: Exclude<Proof, 'Accepted'>
      /** The answer. */
      readonly status: number
      readonly headers: HeaderList
      /** For the log, as a phrase; undefined where nothing is wrong. */
      readonly why?: string
    }

/** Credentials in our realm, as they were sent. `username` has its escapes taken off. */
interface Claim {
  readonly username: string
  readonly nonce: string
  readonly uri: string
  readonly algorithm: DigestAlgorithm
  readonly cnonce: string
  readonly nc: string
  readonly response: string
}

/** A call is set up within seconds of its challenge; a client that goes on with a nonce is told to take the next one. */
const nonceMilliseconds = 300_000

/** So far ahead may the clock of the replica be that has made a nonce. */
const skewMilliseconds = 60_000

const hashes: Readonly<Record<DigestAlgorithm, Hash>> = { 'SHA-256': 'sha256', MD5: 'md5' }
const hexDigits: Readonly<Record<Hash, number>> = { md5: 32, sha256: 64, 'sha512-256': 64 }

/**
 * The server's side of digest (RFC 3261 section 22, RFC 7616, RFC 8760), for requests of any method: nonces that every
 * replica with the same key takes, `qop=auth` always, each count of a nonce once at this replica (docs/decisions/0021).
 */
export class DigestServer {
  readonly #clock: Clock
  /** Milliseconds since 1970 where the clock that never goes back stands at 0: nonces must not become younger. */
  readonly #epoch: number
  readonly #counts: NonceCounts
  readonly #limit = new FailureLimit()
  /** What the password of an unknown user is compared with, so that it takes as long as that of a known one. */
  readonly #nobody = randomBytes(16).toString('hex')
  #sweptAt: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#epoch = clock.wallTime() - clock.now()
    this.#counts = new NonceCounts(this.#now())
    this.#sweptAt = this.#now()
  }

  verify({ message, source }: ClaimingRequest, policy: InboundAuthenticationConfig): ProofVerdict {
    const key = policy.nonceKey?.reveal()
    if (key === undefined) {
      const headers: HeaderList = [['Retry-After', '5']]
      return { proof: 'NoKey', status: 503, headers, why: 'the control side has sent no key for nonces' }
    }
    const scope: NonceScope = { key, realm: policy.realm, address: source.address }
    const claim = readClaim(message, policy)
    if (claim === undefined) return this.#challenge(policy, scope, 'Challenged')
    if (typeof claim === 'string') return { proof: 'Malformed', status: 400, headers: [], why: claim }
    const now = this.#now()
    if (!this.#limit.allows(source.address, claim.username, now)) {
      return { proof: 'Limited', status: 403, headers: [], why: 'there were too many wrong answers before' }
    }
    const nonce = readNonce(claim.nonce, scope)
    // RFC 7616 section 3.3 on stale: "The server SHOULD only set stale to true if it receives a request for which the nonce
    // is invalid". The password is not looked at: nobody can try passwords with a nonce that was not given to him.
    if (nonce === undefined || !this.#isFresh(claim.nonce, nonce.madeAt, now)) {
      return this.#challenge(policy, scope, 'Stale')
    }
    const user = this.#userOf(claim, message.method, policy)
    if (user === undefined) {
      this.#limit.failed(source.address, claim.username, now)
      return { ...this.#challenge(policy, scope, 'Refused'), why: whyRefused(claim, policy) }
    }
    this.#sweep(now)
    const counted = this.#counts.take(claim.nonce, nonce.madeAt, Number.parseInt(claim.nc, 16))
    return counted ? { proof: 'Accepted', user } : this.#challenge(policy, scope, 'Replayed')
  }

  #now(): number {
    return Math.floor(this.#epoch + this.#clock.now())
  }

  #isFresh(nonce: string, madeAt: number, now: number): boolean {
    const age = now - madeAt
    return age <= nonceMilliseconds && age >= -skewMilliseconds && this.#counts.knows(nonce, madeAt)
  }

  /** Name of the user whose password fits; undefined when there is none. */
  #userOf(claim: Claim, method: string, { realm, users }: InboundAuthenticationConfig): string | undefined {
    const user = users.find(({ username }) => username === claim.username)
    const password = user?.password.reveal() ?? this.#nobody
    const { nonce, algorithm, uri, nc, cnonce } = claim
    const right = digestResponse(
      { realm, nonce, hash: hashes[algorithm], session: false, qop: 'auth' },
      { username: claim.username, password },
      { method, uri, nc, cnonce },
    )
    const fits = timingSafeEqual(Buffer.from(right, 'latin1'), Buffer.from(claim.response, 'latin1'))
    return fits ? user?.name : undefined
  }

  #challenge(
    { realm, algorithms, role }: InboundAuthenticationConfig,
    scope: NonceScope,
    proof: 'Challenged' | 'Stale' | 'Replayed' | 'Refused',
  ) {
    const nonce = makeNonce(scope, this.#now())
    const name = role === 'Proxy' ? 'Proxy-Authenticate' : 'WWW-Authenticate'
    const stale = proof === 'Stale' || proof === 'Replayed' ? ', stale=true' : ''
    // RFC 8760 section 2.3: "the UAS MUST add a separate header field for each" algorithm, "in the order of preference".
    const headers: HeaderList = algorithms.map(
      (algorithm) =>
        [name, `Digest realm="${realm}", nonce="${nonce}", algorithm=${algorithm}, qop="auth"${stale}`] as const,
    )
    return { proof, status: role === 'Proxy' ? 407 : 401, headers }
  }

  /** What is too old to be used need not be remembered. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < nonceMilliseconds / 10) return
    this.#sweptAt = now
    this.#counts.forget(now - nonceMilliseconds - 1)
  }
}

/**
 * The credentials of a request in the realm; a phrase when they cannot be used, and undefined when there are none. Those
 * of other realms are for others on the way (RFC 3261 section 22.3), and of several in ours the first counts, so that
 * one request is one try.
 */
function readClaim(message: SipMessage, policy: InboundAuthenticationConfig): Claim | string | undefined {
  const name = policy.role === 'Proxy' ? 'Proxy-Authorization' : 'Authorization'
  for (const value of message.lines(name)) {
    const [first] = readSchemes(value)
    if (first?.scheme !== 'digest' || first.parameters.get('realm') !== policy.realm) continue
    return readParameters(first.parameters, message.uri, policy.algorithms)
  }
  return undefined
}

function readParameters(
  given: ReadonlyMap<string, string>,
  requestUri: string,
  algorithms: readonly DigestAlgorithm[],
): Claim | string {
  const text = (name: string) => given.get(name) ?? ''
  const missing = ['username', 'nonce', 'uri', 'response', 'cnonce', 'nc', 'qop'].find((name) => text(name) === '')
  // RFC 2069 has no qop and no count: whoever hears one such answer could use it again.
  if (missing !== undefined) return `the credentials have no ${missing}`
  if (text('qop').toLowerCase() !== 'auth') return 'the credentials have a qop that was not offered'
  const named = (given.get('algorithm') ?? 'MD5').toUpperCase()
  const algorithm = algorithms.find((offered) => offered === named)
  if (algorithm === undefined) return 'the credentials have an algorithm that was not offered'
  const response = text('response').toLowerCase()
  if (!/^[0-9a-f]+$/.test(response) || response.length !== hexDigits[hashes[algorithm]]) {
    return 'the response is no digest of its algorithm'
  }
  if (!/^[0-9a-f]{8}$/i.test(text('nc'))) return 'nc is not eight hex digits'
  if (!namesSameUser(text('uri'), requestUri)) return 'the uri of the credentials names another user than the request'
  return {
    username: text('username').replaceAll(/\\(.)/g, '$1'),
    nonce: text('nonce'),
    uri: text('uri'),
    algorithm,
    cnonce: text('cnonce'),
    nc: text('nc'),
    response,
  }
}

/**
 * RFC 3261 section 22.4: as proxies may change the Request-URI, "it is not necessarily a failure if the two fields are not
 * equivalent". Host and parameters may differ; with another user, whoever has heard the credentials of one call could make
 * another one to any number at a replica that has not seen them.
 */
function namesSameUser(uri: string, requestUri: string): boolean {
  const [a, b] = [parseUri(uri), parseUri(requestUri)]
  return a !== undefined && b !== undefined && decodeUser(a) === decodeUser(b)
}

function whyRefused({ username }: Claim, { users }: InboundAuthenticationConfig): string {
  const user = users.find((one) => one.username === username)
  return user === undefined ? 'there is no such user' : `the password of user ${user.name} is wrong`
}
