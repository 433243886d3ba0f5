import { randomBytes } from 'node:crypto'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { parseNameAddr } from '../../dataplane/engine/message/name-addr.ts'
import { parseUri } from '../../dataplane/engine/message/uri.ts'
import { algorithms, buildChallenge, checkAuthorization, type Credentials } from './digest-check.ts'
import type { Headers, Respond } from './peer-socket.ts'

/** A registrar that demands the right password of every account (RFC 3261 section 10.3 and 22). */
export class Registrar {
  readonly #realm: string
  /** By the user part of the address of record. */
  readonly #accounts: ReadonlyMap<string, Credentials>
  readonly #nonce = randomBytes(16).toString('hex')
  readonly #bindings = new Map<string, string>()

  constructor(realm: string, accounts: ReadonlyMap<string, Credentials>) {
    this.#realm = realm
    this.#accounts = accounts
  }

  /** Contacts by the user part of the address of record. */
  get bindings(): ReadonlyMap<string, string> {
    return this.#bindings
  }

  register(request: SipMessage, respond: Respond): void {
    const number = parseUri(parseNameAddr(request.get('To') ?? '')?.uri ?? '')?.user
    const credentials = number === undefined ? undefined : this.#accounts.get(number)
    if (number === undefined || credentials === undefined) return respond(404, `No Account ${number ?? ''}`.trimEnd())

    const authorization = request.get('Authorization')
    if (authorization === undefined) return respond(401, 'Unauthorized', this.#challenges())
    const expected = { method: 'REGISTER', realm: this.#realm, nonce: this.#nonce, credentials }
    const flaw = checkAuthorization(authorization, expected)
    if (flaw !== undefined) return respond(403, `Forbidden: ${flaw.replaceAll('"', "'")}`)

    const contact = parseNameAddr(request.get('Contact') ?? '')
    if (contact === undefined) return respond(400, 'Missing Contact')
    const asked = contact.params.find(([name]) => name.toLowerCase() === 'expires')?.[1] ?? request.get('Expires')
    const seconds = Number(asked ?? '3600')
    if (seconds === 0) {
      this.#bindings.delete(number)
      return respond(200, 'OK')
    }
    this.#bindings.set(number, contact.uri)
    respond(200, 'OK', [['Contact', `<${contact.uri}>;expires=${seconds}`]])
  }

  #challenges(): Headers {
    return algorithms.map((algorithm) => ['WWW-Authenticate', buildChallenge(this.#realm, this.#nonce, algorithm)])
  }
}
