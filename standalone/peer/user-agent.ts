import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { parseNameAddr } from '../../dataplane/engine/message/name-addr.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { formatHostPort, parseUri } from '../../dataplane/engine/message/uri.ts'
import {
  type Endpoint,
  type Headers,
  type OutgoingRequest,
  PeerSocket,
  type PeerSocketOptions,
  type Respond,
} from './peer-socket.ts'
import type { Registrar } from './registrar.ts'
import { formatSession } from './session-description.ts'

export interface UserAgentOptions extends Omit<PeerSocketOptions, 'onRequest'> {
  /** Domain of its own address, which nobody else has. */
  readonly domain: string
  /** Where it wants its media. */
  readonly mediaAddress: string
  readonly registrar: Registrar | undefined
}

/** A call that this user agent placed. */
export interface Call {
  readonly callId: string
  readonly localTag: string
  readonly from: string
  /** To with the tag of who answered. */
  readonly to: string
  /** Contact of who answered: where requests of the call go. */
  readonly remoteTarget: string
  readonly cseq: number
}

const allow = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE'

/**
 * A scripted user agent: it takes every call that reaches it, answers OPTIONS and REGISTER, and places calls when told
 * to. It speaks UDP and keeps session timers (RFC 4028) as the one who refreshes.
 */
export class UserAgent {
  readonly #options: UserAgentOptions
  readonly #dialogs = new Set<string>()
  readonly #socket: PeerSocket
  #version = 1

  constructor(options: UserAgentOptions) {
    this.#options = options
    this.#socket = new PeerSocket({ ...options, onRequest: (request, respond) => this.#answer(request, respond) })
  }

  /** Rejects with the system error when the endpoint cannot be bound. */
  open(): Promise<void> {
    return this.#socket.bind()
  }

  get endpoint(): Endpoint {
    return this.#socket.endpoint
  }

  close(): void {
    this.#socket.close()
  }

  /** Calls a number through the fleet; resolves when the call is up and acknowledged, rejects when it is refused. */
  async call(numbers: { called: string; calling: string }, fleet: Endpoint, expiresSeconds: number): Promise<Call> {
    const callId = `${randomBytes(12).toString('hex')}@${this.#options.domain}`
    const localTag = randomBytes(6).toString('hex')
    const from = `"${this.#options.name}" <sip:${numbers.calling}@${this.#options.domain}>;tag=${localTag}`
    const uri = `sip:${numbers.called}@${formatHostPort(fleet.host, fleet.port)}`
    const invite = this.#inDialog({ callId, localTag, from, to: `<${uri}>`, remoteTarget: uri, cseq: 1 }, 'INVITE')
    const response = await this.#socket.request(this.#withSession(invite, expiresSeconds))
    if (response.status >= 300) {
      throw new Error(`${this.#options.name} was answered ${response.status} ${response.reason} to its INVITE`)
    }
    const contact = parseNameAddr(response.get('Contact') ?? '')
    if (contact === undefined) throw new Error(`the answer to the INVITE has no Contact, which RFC 3261 12.1.1 demands`)
    const call = { callId, localTag, from, to: response.get('To') ?? '', remoteTarget: contact.uri, cseq: 1 }
    this.#socket.acknowledge(response, this.#inDialog(call, 'ACK'))
    return call
  }

  /** Refreshes the session with a re-INVITE (RFC 4028 section 7.4). */
  async refresh(call: Call, expiresSeconds: number): Promise<Call> {
    const next = { ...call, cseq: call.cseq + 1 }
    const response = await this.#socket.request(this.#withSession(this.#inDialog(next, 'INVITE'), expiresSeconds))
    if (response.status >= 300) {
      throw new Error(`${this.#options.name} was answered ${response.status} ${response.reason} to its session refresh`)
    }
    this.#socket.acknowledge(response, this.#inDialog(next, 'ACK'))
    return next
  }

  async hangUp(call: Call): Promise<void> {
    const response = await this.#socket.request(this.#inDialog({ ...call, cseq: call.cseq + 1 }, 'BYE'))
    if (response.status >= 300) {
      throw new Error(`${this.#options.name} was answered ${response.status} ${response.reason} to its BYE`)
    }
  }

  #inDialog(call: Call, method: string): OutgoingRequest {
    return {
      method,
      uri: call.remoteTarget,
      destination: endpointOf(call.remoteTarget),
      headers: [
        ['From', call.from],
        ['To', call.to],
        ['Call-ID', call.callId],
        ['CSeq', `${call.cseq} ${method}`],
        ['Contact', this.#contact()],
      ],
    }
  }

  #withSession(request: OutgoingRequest, expiresSeconds: number): OutgoingRequest {
    const session: Headers = [
      ['Allow', allow],
      ['Supported', 'timer'],
      ['Session-Expires', `${expiresSeconds};refresher=uac`],
      ['Min-SE', '90'],
    ]
    return { ...request, headers: [...request.headers, ...session], body: this.#session() }
  }

  #answer(request: SipMessage, respond: Respond): void {
    const { method } = request
    const known = this.#dialogs.has(request.callId)
    if (method === 'ACK') return
    if (method === 'INVITE') return this.#answerInvite(request, respond)
    if (method === 'REGISTER' && this.#options.registrar !== undefined) {
      return this.#options.registrar.register(request, respond)
    }
    if (request.toTag !== '' && !known) return respond(481, 'Call/Transaction Does Not Exist')
    if (method === 'BYE') this.#dialogs.delete(request.callId)
    if (method === 'REGISTER') return respond(405, 'Method Not Allowed', [['Allow', allow]])
    respond(200, 'OK', [['Allow', allow]])
  }

  #answerInvite(request: SipMessage, respond: Respond): void {
    const contact = ['Contact', this.#contact()] as const
    if (request.toTag === '') {
      this.#dialogs.add(request.callId)
      respond(180, 'Ringing', [contact])
    } else if (!this.#dialogs.has(request.callId)) {
      return respond(481, 'Call/Transaction Does Not Exist')
    }
    respond(200, 'OK', [contact, ['Allow', allow], ...sessionTimerAnswer(request)], this.#session())
  }

  #contact(): string {
    return `<sip:${this.#options.name}@${this.#socket.hostPort}>`
  }

  #session(): string {
    const { name, mediaAddress } = this.#options
    return formatSession({ user: name, mediaAddress, mediaPort: 40_000, version: this.#version++ })
  }
}

/** RFC 4028 section 9: a UAS that takes the interval says so, names the refresher, and requires the extension. */
function sessionTimerAnswer(request: SipMessage): Headers {
  const asked = request.get('Session-Expires')
  if (asked === undefined) return []
  return [
    ['Supported', 'timer'],
    ['Require', 'timer'],
    ['Session-Expires', `${Number.parseInt(asked)};refresher=uac`],
  ]
}

/** Where a URI leads. Throws when its host is no address: all there is to talk to is on this machine. */
function endpointOf(text: string): Endpoint {
  const uri = parseUri(text)
  const host = uri?.host.replace(/^\[|\]$/g, '') ?? ''
  if (uri === undefined || isIP(host) === 0) throw new Error(`"${text}" does not name an IP address to send to`)
  return { host, port: uri.port ?? 5060 }
}
