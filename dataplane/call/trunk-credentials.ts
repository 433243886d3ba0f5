import type { CredentialsOfTrunk } from '#api/snapshot.ts'
import type { HeaderList, IncomingResponse } from '../sip/port.ts'
import { type Challenge, challengesOf, type CredentialsHeader, DigestSession, strongest } from '../digest/digest.ts'
import { mayAnswer } from '../trunks/registration.ts'

/** What answers challenges. Without `realm` it answers those of any; `number` is whom it stands for. */
export type Account = Readonly<CredentialsOfTrunk>

/** What became of a challenge to a request of a call. */
export type ChallengeResult = 'Answered' | 'Unanswered'

/** Told of every challenge; `why` is a phrase, and there when it was not answered. */
export type OnChallenge = (result: ChallengeResult, why?: string) => void

/**
 * Challenges that one request is answered on: proxies on the way may each have a realm of their own, and a peer that
 * thinks of another one every time comes to an end.
 */
const mostAnswers = 6

interface Session {
  readonly digest: DigestSession
  readonly account: Account
}

/**
 * Answers the challenges of the peers of a trunk within one call (RFC 3261 section 22, feature item 29.1). "These
 * credentials MUST NOT be cached across dialogs" (section 22.3), so every call has its own.
 */
export class TrunkCredentials {
  readonly #accounts: readonly Account[]
  readonly #number: string
  readonly #token: () => string
  readonly #onChallenge: OnChallenge
  /** By header and realm: a nonce that comes again goes on being counted. */
  readonly #sessions = new Map<string, Session>()

  /** `number` is our own side's in the call; `token` gives unpredictable hex digits. */
  constructor(accounts: readonly Account[], number: string, token: () => string, onChallenge: OnChallenge = () => {}) {
    this.#accounts = accounts
    this.#number = number
    this.#token = token
    this.#onChallenge = onChallenge
  }

  /** For one request outside of a dialog, however often it is challenged. */
  forRequest(method: string): RequestCredentials {
    return new RequestCredentials(method, this, false)
  }

  /**
   * For one request inside a dialog. It goes to the Contact that the peer gave, which may be any URI: who is called behind
   * a carrier must not get an answer that is good for a call of its own. So nothing is answered but realms that the
   * credentials name, and those that have challenged the INVITE.
   */
  forRequestInside(method: string): RequestCredentials {
    return new RequestCredentials(method, this, true)
  }

  told(result: ChallengeResult, why?: string): void {
    this.#onChallenge(result, why)
  }

  /** Who answers challenges of the realm; undefined without an account for it, or where it may not be answered. */
  account(realm: string, inside: boolean): Account | undefined {
    const account = this.#accountFor(realm)
    return inside && account?.realm === undefined && !this.#hasAnswered(realm) ? undefined : account
  }

  /** The use of a challenge that is answered; kept as long as the call. */
  session(header: CredentialsHeader, challenge: Challenge, account: Account): Session {
    const key = `${header} ${challenge.realm}`
    const known = this.#sessions.get(key)
    if (known !== undefined && isSame(known.digest.challenge, challenge)) return known
    const session = { digest: new DigestSession(challenge, this.#token()), account }
    this.#sessions.set(key, session)
    return session
  }

  /** Why no challenge of these realms can be answered. */
  unanswered(challenges: readonly Challenge[]): string {
    const held = challenges.filter(({ realm }) => this.#accountFor(realm) !== undefined)
    if (held.length === 0) return `the trunk has no credentials for realm ${realmsOf(challenges)}`
    const realms = realmsOf(held)
    return `realm ${realms} has not challenged the INVITE of the call, and no credentials of the trunk name it as theirs`
  }

  #hasAnswered(realm: string): boolean {
    return this.#sessions.has(`Authorization ${realm}`) || this.#sessions.has(`Proxy-Authorization ${realm}`)
  }

  /** One of that realm before one of any; among equals that of the number, and else the first. */
  #accountFor(realm: string): Account | undefined {
    const named = this.#accounts.filter((account) => account.realm === realm)
    const candidates = named.length > 0 ? named : this.#accounts.filter((account) => account.realm === undefined)
    return candidates.find(({ number }) => number === this.#number) ?? candidates[0]
  }
}

/** The answers to the challenges that one request has met so far. */
export class RequestCredentials {
  readonly #method: string
  readonly #trunk: TrunkCredentials
  readonly #inside: boolean
  readonly #answers = new Map<string, { header: CredentialsHeader; session: Session; count: number }>()
  #count = 0

  /** `inside`: the request is one inside a dialog. */
  constructor(method: string, trunk: TrunkCredentials, inside: boolean) {
    this.#method = method
    this.#trunk = trunk
    this.#inside = inside
  }

  /**
   * Whether the request can be sent again with what answers the challenge. Each realm is answered once, and again only
   * where the nonce was too old.
   */
  meets(response: IncomingResponse): boolean {
    const challenged = response.local ? undefined : challengesOf(response.message)
    if (challenged === undefined) return false
    const why = this.#answer(challenged.header, challenged.challenges)
    this.#trunk.told(why === undefined ? 'Answered' : 'Unanswered', why)
    return why === undefined
  }

  /** Headers of the next request to a Request-URI. */
  headers(uri: string): HeaderList {
    return [...this.#answers.values()].map(({ header, session: { digest, account } }) => {
      const credentials = { username: account.username, password: account.password.reveal() }
      return [header, digest.authorize(credentials, { method: this.#method, uri })] as const
    })
  }

  /** Why nothing answers the challenges; undefined when something does. */
  #answer(header: CredentialsHeader, challenges: readonly Challenge[]): string | undefined {
    if (challenges.length === 0) return 'it has no Digest challenge of an algorithm and a qop that are known here'
    // Bodies are rewritten on their way through a call, so that nobody can vouch for them.
    const usable = challenges.filter(({ qop }) => qop !== 'auth-int')
    if (usable.length === 0) return 'it wants qop auth-int, which protects bodies too; have the peer offer qop auth'
    const fresh: { key: string; challenge: Challenge; account: Account; count: number }[] = []
    for (const challenge of strongestOfRealms(usable)) {
      const key = `${header} ${challenge.realm}`
      const { count = 0 } = this.#answers.get(key) ?? {}
      const account = this.#trunk.account(challenge.realm, this.#inside)
      if (account === undefined) continue
      if (!mayAnswer(challenge, count)) return `the credentials for realm "${challenge.realm}" were refused`
      fresh.push({ key, challenge, account, count: count + 1 })
    }
    if (fresh.length === 0) return this.#trunk.unanswered(usable)
    this.#count += fresh.length
    if (this.#count > mostAnswers) return 'it was challenged too often'
    for (const { key, challenge, account, count } of fresh) {
      this.#answers.set(key, { header, session: this.#trunk.session(header, challenge, account), count })
    }
    return undefined
  }
}

/** RFC 3261 section 22.3: a 407 may hold the challenges of several proxies, each to be answered. */
function strongestOfRealms(challenges: readonly Challenge[]): Challenge[] {
  const byRealm = Map.groupBy(challenges, ({ realm }) => realm)
  return [...byRealm.values()].flatMap((ofRealm) => strongest(ofRealm) ?? [])
}

function realmsOf(challenges: readonly Challenge[]): string {
  return [...new Set(challenges.map(({ realm }) => `"${realm}"`))].join(', ')
}

function isSame(a: Challenge, b: Challenge): boolean {
  return a.nonce === b.nonce && a.algorithm === b.algorithm && a.opaque === b.opaque && a.qop === b.qop
}
