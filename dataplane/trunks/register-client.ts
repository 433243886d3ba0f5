import type { RegistrationConfig } from '#api/snapshot.ts'
import type { Timer } from '#lib/clock.ts'
import type { OpenListener } from '../config/running.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { HeaderList, IncomingResponse, SipPortError } from '../sip/port.ts'
import { challengesOf, type CredentialsHeader, DigestSession, strongest } from './digest.ts'
import type { Outside } from './outside.ts'
import { listenerUri, type Peer } from './peer.ts'
import {
  grantedSeconds,
  mayAnswer,
  minExpiresSeconds,
  type Refusal,
  refusalOf,
  retryAfterSeconds,
} from './registration.ts'

/** RFC 3261 section 17.1.2.2: a transaction ends by itself after 64*T1, 32 s. This is for one that got lost in between. */
const lostMilliseconds = 35_000

/** What came of one exchange with the registrar. */
export type RegisterOutcome =
  /** Seconds the binding is granted; 0 when it is gone. */
  | { readonly kind: 'Accepted'; readonly status: number; readonly grantedSeconds: number }
  | {
      readonly kind: 'Refused'
      readonly status: number
      readonly refusal: Refusal
      readonly detail: string
      readonly retryAfterSeconds: number | undefined
    }
  | { readonly kind: 'Silent'; readonly detail: string }
  /** Something on our own side kept it from leaving. */
  | { readonly kind: 'NotSent'; readonly detail: string }

/** REGISTER until there is a verdict: with the challenges, the 423 and the silent addresses on the way to it. */
interface Exchange {
  readonly credentials: Pick<RegistrationConfig, 'username' | 'password'>
  readonly done: (outcome: RegisterOutcome) => void
  expiresSeconds: number
  address: string
  /** Addresses that did not answer. */
  silent: number
  /** Challenges answered, by the header that answers. */
  readonly answered: Map<CredentialsHeader, number>
  lengthened: boolean
  cseq: number
}

/** Sends REGISTER for one address of record and one Contact of ours to one registrar. One exchange at a time. */
export class RegisterClient {
  /** Address of record and Contact: two clients with the same would overwrite each other's binding. */
  readonly binding: string
  readonly #peer: Peer
  readonly #outside: Outside
  /** RFC 3261 section 10.2: "The Request-URI names the domain of the location service", without a user. */
  readonly #registrarUri: string
  readonly #aor: string
  readonly #contactUri: string
  /** RFC 3261 section 10.2: "All registrations from a UAC SHOULD use the same Call-ID", and CSeq goes up by one. */
  readonly #callId: string
  readonly #fromTag: string
  /** Nonces in use: they are good for the next REGISTER too, with nc one higher, until the registrar says otherwise. */
  readonly #sessions = new Map<CredentialsHeader, DigestSession>()
  #cseq = 0
  /** Shortest lifetime that the registrar has said it takes, in seconds. */
  #minimumSeconds = 0
  #exchange: Exchange | undefined
  #lost: Timer | undefined

  constructor(options: { config: RegistrationConfig; listener: OpenListener; peer: Peer }, outside: Outside) {
    const { config, listener } = options
    this.#peer = options.peer
    this.#outside = outside
    this.#registrarUri = `sip:${formatHostPort(config.host, undefined)}`
    this.#aor = `sip:${config.number}@${formatHostPort(config.host, undefined)}`
    this.#contactUri = listenerUri(config.number, listener)
    this.binding = `${this.#aor} ${this.#contactUri}`
    this.#callId = outside.token()
    this.#fromTag = outside.token()
  }

  get busy(): boolean {
    return this.#exchange !== undefined
  }

  /**
   * Asks for a lifetime in seconds, 0 to remove the binding, at an address of the peer; the others are tried when it is
   * silent. `done` runs once, unless `cancel` comes before.
   */
  register(
    request: { expiresSeconds: number; address: string; credentials: Exchange['credentials'] },
    done: Exchange['done'],
  ): void {
    const expiresSeconds = request.expiresSeconds === 0 ? 0 : Math.max(request.expiresSeconds, this.#minimumSeconds)
    this.#send({ ...request, expiresSeconds, done, silent: 0, answered: new Map(), lengthened: false, cseq: 0 })
  }

  cancel(): void {
    this.#exchange = undefined
    this.#lost?.cancel()
  }

  #send(exchange: Exchange): void {
    const cseq = ++this.#cseq
    exchange.cseq = cseq
    this.#exchange = exchange
    // Later answers belong to a request that was given up, or has been sent again.
    const current = () => this.#exchange === exchange && exchange.cseq === cseq
    this.#lost?.cancel()
    this.#lost = this.#outside.clock.after(lostMilliseconds, () => {
      if (current()) this.#silent(exchange, 408)
    })
    this.#outside.sip.send(
      {
        method: 'REGISTER',
        uri: this.#registrarUri,
        nextHop: this.#peer.nextHop(exchange.address),
        headers: this.#headers(exchange),
      },
      {
        onResponse: (response) => {
          if (response.status >= 200 && current()) this.#answered(exchange, response)
        },
        onFailure: (error) => {
          if (current()) this.#finish(exchange, unsendable(error))
        },
      },
    )
  }

  #headers(exchange: Exchange): HeaderList {
    const headers: [string, string][] = [
      ['From', `<${this.#aor}>;tag=${this.#fromTag}`],
      ['To', `<${this.#aor}>`],
      ['Call-ID', this.#callId],
      ['CSeq', `${exchange.cseq} REGISTER`],
      ['Contact', `<${this.#contactUri}>`],
      ['Expires', String(exchange.expiresSeconds)],
    ]
    const credentials = { username: exchange.credentials.username, password: exchange.credentials.password.reveal() }
    for (const [header, session] of this.#sessions) {
      headers.push([header, session.authorize(credentials, { method: 'REGISTER', uri: this.#registrarUri })])
    }
    return headers
  }

  #answered(exchange: Exchange, response: IncomingResponse): void {
    const { status, message } = response
    if (response.local) return this.#silent(exchange, status)
    if (status < 300) {
      const asked = exchange.expiresSeconds
      const granted = asked === 0 ? 0 : grantedSeconds(message, this.#contactUri, asked)
      return this.#finish(exchange, { kind: 'Accepted', status, grantedSeconds: granted })
    }
    if (this.#answersChallenge(exchange, response) || this.#lengthens(exchange, response)) return this.#send(exchange)
    const refusal = refusalOf(status, exchange.answered.size > 0 || this.#sessions.size > 0)
    // Tried with them once more, the next attempt would cost a try of the credentials for nothing.
    if (refusal.failure === 'AuthFailed') this.#sessions.clear()
    this.#finish(exchange, {
      kind: 'Refused',
      status,
      refusal,
      detail: refusalDetail(response, refusal),
      retryAfterSeconds: retryAfterSeconds(message),
    })
  }

  /**
   * Any realm of the registrar is answered, since an account belongs to the registrar. RFC 3261 section 22.2: a proxy may
   * challenge on the way too, so both headers are kept.
   */
  #answersChallenge(exchange: Exchange, response: IncomingResponse): boolean {
    const challenged = challengesOf(response.message)
    const challenge = challenged === undefined ? undefined : strongest(challenged.challenges)
    if (challenged === undefined || challenge === undefined) return false
    const before = exchange.answered.get(challenged.header) ?? 0
    if (!mayAnswer(challenge, before)) return false
    exchange.answered.set(challenged.header, before + 1)
    this.#sessions.set(challenged.header, new DigestSession(challenge, this.#outside.token()))
    return true
  }

  /** RFC 3261 section 10.2.8: after a 423 the UA may try again with an interval of at least its Min-Expires. */
  #lengthens(exchange: Exchange, { status, message }: IncomingResponse): boolean {
    const minimum = status === 423 ? minExpiresSeconds(message) : undefined
    if (minimum === undefined || minimum <= exchange.expiresSeconds || exchange.expiresSeconds === 0) return false
    // Once in an exchange: a registrar that raises its bid each time would never come to an end.
    if (exchange.lengthened) return false
    exchange.lengthened = true
    this.#minimumSeconds = minimum
    exchange.expiresSeconds = minimum
    return true
  }

  #silent(exchange: Exchange, status: number): void {
    const address = this.#peer.describe(exchange.address)
    this.#peer.passOver(exchange.address)
    exchange.silent++
    const next = this.#peer.addresses[0]
    if (next !== undefined && exchange.silent < this.#peer.addresses.length) {
      exchange.address = next
      return this.#send(exchange)
    }
    const detail = status === 408 ? `no answer from ${address}` : `${address} cannot be reached`
    this.#finish(exchange, { kind: 'Silent', detail })
  }

  #finish(exchange: Exchange, outcome: RegisterOutcome): void {
    this.cancel()
    exchange.done(outcome)
  }
}

function refusalDetail({ status, reason }: IncomingResponse, { failure }: Refusal): string {
  const answer = `${status} ${reason}`.trimEnd()
  if (failure === 'AuthFailed') return `${answer}: the registrar refuses the credentials`
  if (status === 401 || status === 407) return `${answer}: the challenge has no algorithm that can be answered`
  return answer
}

function unsendable(error: SipPortError): RegisterOutcome {
  return error.code === 'Disconnected'
    ? { kind: 'NotSent', detail: error.message }
    : { kind: 'Silent', detail: `REGISTER could not be sent: ${error.message}` }
}
