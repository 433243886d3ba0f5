import type { RegistrationConfig } from '#api/snapshot.ts'
import type { Timer } from '#lib/clock.ts'
import type { OpenListener } from '../config/running.ts'
import { retryAfterSeconds } from '../engine/message/delta-seconds.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type { HeaderList, IncomingResponse, SipPortError } from '../sip/port.ts'
import { type Challenge, challengesOf, type CredentialsHeader, DigestSession, strongest } from '../digest/digest.ts'
import type { Outside } from './outside.ts'
import { isTlsFailure, listenerUri, type Peer, unreachable } from './peer.ts'
import type { Endpoint } from './resolution.ts'
import {
  grantedSeconds,
  listsOthersOnly,
  mayAnswer,
  minExpiresSeconds,
  type Refusal,
  refusalOf,
} from './registration.ts'

/** RFC 3261 section 17.1.2.2: a transaction ends by itself after 64*T1, 32 s. This is for one that got lost in between. */
const lostMilliseconds = 35_000

/** What came of one exchange with the registrar. */
export type RegisterOutcome =
  | {
      readonly kind: 'Accepted'
      readonly status: number
      /** Seconds the binding is granted; 0 when it is gone. */
      readonly grantedSeconds: number
      /** Why it is none, when it is none. */
      readonly detail: string
      /** Route that calls of the account are to take (RFC 3608). */
      readonly serviceRoute: readonly string[]
    }
  | {
      readonly kind: 'Refused'
      readonly status: number
      readonly refusal: Refusal
      readonly detail: string
      readonly retryAfterSeconds: number | undefined
    }
  | { readonly kind: 'Silent'; readonly detail: string; readonly failure?: 'TlsFailed' }
  /** Something on our own side kept it from leaving. */
  | { readonly kind: 'NotSent'; readonly detail: string }

/** Who answers challenges, and of which realm. */
export type DigestAccount = Pick<RegistrationConfig, 'username' | 'password' | 'realm'>

/** A binding that another replica left: it is taken over with the next REGISTER. */
export interface Inherited {
  readonly contact: string
  readonly callId: string
  readonly cseq: number
}

/** More than any replica sends on the way to one answer, so that an heir is never behind in CSeq. */
const inheritedGap = 16

/** REGISTER until there is a verdict: with the challenges, the 423 and the silent addresses on the way to it. */
interface Exchange {
  readonly credentials: DigestAccount
  readonly done: (outcome: RegisterOutcome) => void
  expiresSeconds: number
  endpoint: Endpoint
  /** Names of the endpoints that were tried before. */
  readonly tried: Set<string>
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
  #cseq: number
  /** Contact of the replica before, which is to be removed. */
  #replaces: string | undefined
  readonly #config: RegistrationConfig
  /** Shortest lifetime that the registrar has said it takes, in seconds. */
  #minimumSeconds = 0
  #exchange: Exchange | undefined
  /** Where the binding was made: it is refreshed there, since a registrar may know nothing of its neighbour's. */
  #home: string | undefined
  #lost: Timer | undefined

  constructor(
    options: { config: RegistrationConfig; listener: OpenListener; peer: Peer; inherited: Inherited | undefined },
    outside: Outside,
  ) {
    const { config, listener, inherited } = options
    this.#config = config
    this.#peer = options.peer
    this.#outside = outside
    this.#registrarUri = `sip:${formatHostPort(config.host, undefined)}`
    this.#aor = `sip:${config.number}@${formatHostPort(config.host, undefined)}`
    this.#contactUri = contactUri(config, listener)
    this.binding = `${this.#aor} ${this.#contactUri}`
    // RFC 3261 section 10.3, step 7: of two REGISTERs with one Call-ID the registrar takes the higher CSeq.
    this.#callId = inherited?.callId ?? outside.token()
    this.#cseq = inherited === undefined ? 0 : inherited.cseq + inheritedGap
    this.#replaces = inherited?.contact === this.#contactUri ? undefined : inherited?.contact
    this.#fromTag = outside.token()
  }

  /** What the registrar holds after an answer that grants time. */
  get registered(): Inherited {
    return { contact: this.#contactUri, callId: this.#callId, cseq: this.#cseq }
  }

  get busy(): boolean {
    return this.#exchange !== undefined
  }

  /**
   * Asks for a lifetime in seconds, 0 to remove the binding, at the best endpoint of the peer; the others are tried when it
   * is silent or overloaded. `done` runs once, unless `cancel` comes before. False when the peer has no endpoint now.
   */
  register(request: { expiresSeconds: number; credentials: Exchange['credentials'] }, done: Exchange['done']): boolean {
    const [endpoint] = this.#peer.order(this.#outside.random, this.#home)
    if (endpoint === undefined) return false
    const expiresSeconds = request.expiresSeconds === 0 ? 0 : Math.max(request.expiresSeconds, this.#minimumSeconds)
    const fresh = { tried: new Set<string>(), answered: new Map(), lengthened: false, cseq: 0 }
    this.#send({ ...request, ...fresh, endpoint, expiresSeconds, done })
    return true
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
        nextHop: this.#peer.nextHop(exchange.endpoint),
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
      ['Contact', this.#contacts()],
      ['Expires', String(exchange.expiresSeconds)],
      // RFC 3327 section 5.1: a UA that understands Path says so.
      ['Supported', this.#config.bulk ? 'path, gin' : 'path'],
    ]
    // RFC 6140 section 5.2: "the REGISTER request … MUST contain a Require and Proxy-Require header field with 'gin'".
    if (this.#config.bulk) headers.push(['Require', 'gin'], ['Proxy-Require', 'gin'])
    const credentials = { username: exchange.credentials.username, password: exchange.credentials.password.reveal() }
    for (const [header, session] of this.#sessions) {
      headers.push([header, session.authorize(credentials, { method: 'REGISTER', uri: this.#registrarUri })])
    }
    return headers
  }

  /** One REGISTER takes the old binding away and puts the new one in its place: calls find one at any time. */
  #contacts(): string {
    const own = `<${this.#contactUri}>`
    return this.#replaces === undefined ? own : `${own}, <${this.#replaces}>;expires=0`
  }

  #answered(exchange: Exchange, response: IncomingResponse): void {
    const { status, message } = response
    if (response.local) return this.#silent(exchange, status, response.localReason)
    if (status === 503 && this.#goesOn(exchange, retryAfterSeconds(message))) return
    if (status !== 503) this.#peer.trust(exchange.endpoint)
    if (status < 300) {
      this.#home = exchange.endpoint.name
      const asked = exchange.expiresSeconds
      const granted = asked === 0 ? 0 : grantedSeconds(message, this.#contactUri, asked)
      if (asked > 0) this.#replaces = undefined
      const serviceRoute = message.values('Service-Route')
      const detail = listsOthersOnly(message, this.#contactUri)
        ? 'the registrar accepted, but does not list our Contact among the bindings'
        : 'the registrar accepted, but granted no time'
      return this.#finish(exchange, { kind: 'Accepted', status, grantedSeconds: granted, detail, serviceRoute })
    }
    if (this.#answersChallenge(exchange, response) || this.#lengthens(exchange, response)) return this.#send(exchange)
    if (this.#replaces !== undefined && status === 400) {
      // A registrar that does not take two Contacts: the old one has to lapse.
      this.#replaces = undefined
      return this.#send(exchange)
    }
    const foreign = foreignRealms(message, exchange.credentials)
    const tried = exchange.answered.size > 0 || this.#sessions.size > 0
    const refusal = refusalOf(status, tried || foreign !== undefined)
    // Tried with them once more, the next attempt would cost a try of the credentials for nothing.
    if (refusal.failure === 'AuthFailed') this.#sessions.clear()
    this.#finish(exchange, {
      kind: 'Refused',
      status,
      refusal,
      detail: foreign ?? refusalDetail(response, refusal),
      retryAfterSeconds: retryAfterSeconds(message),
    })
  }

  /**
   * Any realm is answered unless the account names its own. RFC 3261 section 22.2: a proxy may challenge on the way too, so
   * both headers are kept.
   */
  #answersChallenge(exchange: Exchange, response: IncomingResponse): boolean {
    const challenged = challengesOf(response.message)
    const challenge =
      challenged === undefined ? undefined : strongest(ofRealm(challenged.challenges, exchange.credentials))
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

  #silent(exchange: Exchange, status: number, reason?: string): void {
    if (this.#goesOn(exchange)) return
    const peer = this.#peer.describe(exchange.endpoint)
    const detail = status === 408 ? `no answer from ${peer}` : unreachable(peer, reason)
    this.#finish(exchange, { kind: 'Silent', detail, ...(isTlsFailure(reason) ? { failure: 'TlsFailed' } : {}) })
  }

  /** RFC 3263 section 4.3: after a 503, a timeout or a transport error the next server is tried. Whether there is one. */
  #goesOn(exchange: Exchange, retryAfter?: number): boolean {
    this.#peer.passOver(exchange.endpoint, retryAfter)
    exchange.tried.add(exchange.endpoint.name)
    const next = this.#peer.order(this.#outside.random).find(({ name }) => !exchange.tried.has(name))
    if (next === undefined) return false
    exchange.endpoint = next
    this.#send(exchange)
    return true
  }

  #finish(exchange: Exchange, outcome: RegisterOutcome): void {
    this.cancel()
    exchange.done(outcome)
  }
}

function refusalDetail({ status, reason, message }: IncomingResponse, { failure }: Refusal): string {
  const answer = `${status} ${reason}`.trimEnd()
  if (status === 420 && message.values('Unsupported').includes('gin')) {
    return `${answer}: the registrar does not know gin (RFC 6140); register its numbers one by one, without bulk`
  }
  if (failure === 'AuthFailed') return `${answer}: the registrar refuses the credentials`
  if (status === 401 || status === 407) return `${answer}: the challenge has no algorithm that can be answered`
  return status < 400 ? `${answer}: redirections are not followed; name that registrar` : answer
}

/** What is wrong when an answer challenges only for realms that the account is not for; undefined otherwise. */
function foreignRealms(message: SipMessage, account: DigestAccount): string | undefined {
  const offered = challengesOf(message)?.challenges ?? []
  if (account.realm === undefined || offered.length === 0 || ofRealm(offered, account).length > 0) return undefined
  const realms = [...new Set(offered.map(({ realm }) => `"${realm}"`))].join(', ')
  return `${message.status} with a challenge for realm ${realms}, but the account is for "${account.realm}"`
}

/** Challenges that the credentials are for. */
export function ofRealm(challenges: readonly Challenge[], { realm }: DigestAccount): readonly Challenge[] {
  return realm === undefined ? challenges : challenges.filter((challenge) => challenge.realm === realm)
}

/** RFC 6140 section 5.2: the Contact of many numbers has no user, and `bnc` says so. */
function contactUri({ contactUser, bulk }: RegistrationConfig, listener: OpenListener): string {
  return bulk ? `${listenerUri('', listener)};bnc` : listenerUri(contactUser, listener)
}

function unsendable(error: SipPortError): RegisterOutcome {
  return error.code === 'Disconnected'
    ? { kind: 'NotSent', detail: error.message }
    : { kind: 'Silent', detail: `REGISTER could not be sent: ${error.message}` }
}
