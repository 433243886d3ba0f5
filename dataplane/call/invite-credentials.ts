import type { RegistrationConfig } from '#api/snapshot.ts'
import type { HeaderList, IncomingResponse } from '../sip/port.ts'
import { challengesOf, type CredentialsHeader, DigestSession, strongest } from '../trunks/digest.ts'
import { mayAnswer } from '../trunks/registration.ts'

/** Answers the challenges to one INVITE with the accounts of its trunk (feature item 29.1). */
export class InviteCredentials {
  readonly #accounts: readonly RegistrationConfig[]
  readonly #calling: string
  readonly #token: () => string
  readonly #sessions = new Map<
    CredentialsHeader,
    { session: DigestSession; account: RegistrationConfig; count: number }
  >()

  /** `calling` is the number that calls; `token` gives unpredictable hex digits. */
  constructor(accounts: readonly RegistrationConfig[], calling: string, token: () => string) {
    this.#accounts = accounts
    this.#calling = calling
    this.#token = token
  }

  /** Whether the INVITE can be sent again with what answers the challenge. Credentials are tried once for a nonce. */
  meets(response: IncomingResponse): boolean {
    const challenged = response.local ? undefined : challengesOf(response.message)
    if (challenged === undefined) return false
    const answerable = challenged.challenges.filter(({ realm }) => this.#accountFor(realm) !== undefined)
    const challenge = strongest(answerable)
    const account = challenge === undefined ? undefined : this.#accountFor(challenge.realm)
    const { count = 0 } = this.#sessions.get(challenged.header) ?? {}
    if (challenge === undefined || account === undefined || !mayAnswer(challenge, count)) return false
    const session = new DigestSession(challenge, this.#token())
    this.#sessions.set(challenged.header, { session, account, count: count + 1 })
    return true
  }

  /** Headers of the next INVITE to a Request-URI. */
  headers(uri: string): HeaderList {
    return [...this.#sessions].map(([header, { session, account }]) => {
      const credentials = { username: account.username, password: account.password.reveal() }
      return [header, session.authorize(credentials, { method: 'INVITE', uri })] as const
    })
  }

  /** One of that realm before one of any; among equals that of the number that calls, and else the first. */
  #accountFor(realm: string): RegistrationConfig | undefined {
    const named = this.#accounts.filter((account) => account.realm === realm)
    const candidates = named.length > 0 ? named : this.#accounts.filter((account) => account.realm === undefined)
    return candidates.find(({ number }) => number === this.#calling) ?? candidates[0]
  }
}
