import type { SipMessage } from '../dataplane/engine/message/sip-message.ts'
import { readTimer, type Role } from '../dataplane/policy/session-timer.ts'
import { parseNameAddr } from '../dataplane/engine/message/name-addr.ts'

/**
 * What a peer can do with session timers. `uac` and `uas`: it refreshes only in that role of the first INVITE; `update`
 * refreshes by UPDATE, the others by re-INVITE, of which `reInvite` allows nothing else.
 */
export const kinds = ['none', 'uac', 'uas', 'both', 'update', 'reInvite'] as const
export type Kind = (typeof kinds)[number]

/** Where a dialog sends, and what it is told of. */
export interface DialogPort {
  readonly hostPort: string
  send(text: string): void
  /** Sends a request again until it is answered (RFC 3261 section 17.1.2.2). */
  request(branch: string, text: string, onFinal: (response: SipMessage) => void): void
}

/** What the peers have seen of all calls. */
export interface Seen {
  up: number
  refreshed: number
  /** The session of a call has expired at a peer that was to be refreshed. */
  missed: number
  /** A refresh came less than a quarter of the interval after another. */
  doubled: number
  /** BYE that nobody had asked for. */
  ended: number
  /** Requests that got no answer, or another than a success. */
  refused: number
  /** INVITEs that were refused and sent as another call. */
  calledAgain: number
}

export const sdp =
  'v=0\r\no=peer 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n'

/** One end of a call, as a plain user agent with or without session timers (RFC 4028). */
export class SessionDialog {
  readonly #port: DialogPort
  readonly #kind: Kind
  readonly #seen: Seen
  readonly callId: string
  readonly localTag: string
  remoteTag = ''
  target: string
  #cseq = 1
  #seconds = 0
  #refreshes = false
  #refreshedAt = 0
  #timer: NodeJS.Timeout | undefined
  #pending = false
  #over = false

  constructor(port: DialogPort, kind: Kind, seen: Seen, ids: { callId: string; localTag: string; target: string }) {
    this.#port = port
    this.#kind = kind
    this.#seen = seen
    this.callId = ids.callId
    this.localTag = ids.localTag
    this.target = ids.target
  }

  get allow(): string {
    return this.#kind === 'update' || this.#kind === 'both'
      ? 'INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE'
      : 'INVITE, ACK, CANCEL, BYE, OPTIONS'
  }

  /** Header lines of the first INVITE. */
  asks(seconds: number): string[] {
    if (this.#kind === 'none') return [`Allow: ${this.allow}`]
    const role = this.#kind === 'uac' || this.#kind === 'uas' ? `;refresher=${this.#kind}` : ''
    return [`Allow: ${this.allow}`, 'Supported: timer', `Session-Expires: ${seconds}${role}`]
  }

  /** Header lines of our 2xx, and what they make of the timer (RFC 4028 section 9). */
  answers(request: SipMessage): [string, string][] {
    const { supported, expires } = readTimer(request)
    const fields: [string, string][] = [['Allow', this.allow]]
    if (this.#kind === 'none') return fields
    fields.push(['Supported', 'timer'])
    if (!supported || expires === undefined) {
      this.#arm(0, false)
      return fields
    }
    const role: Role = expires.refresher ?? (this.#kind === 'uac' ? 'uac' : 'uas')
    fields.push(['Session-Expires', `${expires.seconds};refresher=${role}`])
    if (role === 'uac') fields.push(['Require', 'timer'])
    this.#arm(expires.seconds, role === 'uas')
    return fields
  }

  /** A 2xx to a request of ours. */
  learn(response: SipMessage): void {
    this.remoteTag = response.toTag
    const contact = response.get('Contact')
    this.target = (contact === undefined ? undefined : parseNameAddr(contact)?.uri) ?? this.target
    const { expires } = readTimer(response)
    if (this.#kind !== 'none') this.#arm(expires?.seconds ?? 0, expires?.refresher === 'uac')
  }

  get pending(): boolean {
    return this.#pending
  }

  /** The other side has refreshed the session. */
  refreshed(): void {
    const now = performance.now()
    if (this.#refreshedAt > 0 && now - this.#refreshedAt < this.#seconds * 250) this.#seen.doubled++
    this.#refreshedAt = now
    this.#seen.refreshed++
  }

  text(method: string, parts: { headers?: readonly string[]; body?: string; branch: string; cseq?: number }): string {
    const { headers = [], body = '', branch, cseq = ++this.#cseq } = parts
    return [
      `${method} ${this.target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.#port.hostPort};branch=${branch}`,
      'Max-Forwards: 70',
      `From: <sip:peer@${this.#port.hostPort}>;tag=${this.localTag}`,
      `To: <sip:2000@${this.#port.hostPort}>${this.remoteTag === '' ? '' : `;tag=${this.remoteTag}`}`,
      `Call-ID: ${this.callId}`,
      `CSeq: ${cseq} ${method}`,
      `Contact: <sip:peer@${this.#port.hostPort}>`,
      ...headers,
      ...(body === '' ? [] : ['Content-Type: application/sdp']),
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n')
  }

  acknowledge(cseq: number): void {
    this.#port.send(this.text('ACK', { branch: newBranch(), cseq }))
  }

  /** No timer of it fires any more. */
  end(): void {
    this.#over = true
    clearTimeout(this.#timer)
  }

  #arm(seconds: number, refreshes: boolean): void {
    clearTimeout(this.#timer)
    this.#seconds = seconds
    this.#refreshes = refreshes
    if (seconds === 0 || this.#over) return
    if (refreshes) this.#timer = setTimeout(() => this.#refresh(), seconds * 500)
    else this.#timer = setTimeout(() => this.#seen.missed++, seconds * 1000)
  }

  #refresh(): void {
    if (this.#over || !this.#refreshes) return
    this.#pending = true
    const method = this.#kind === 'update' ? 'UPDATE' : 'INVITE'
    const branch = newBranch()
    const headers = [`Allow: ${this.allow}`, 'Supported: timer', `Session-Expires: ${this.#seconds};refresher=uac`]
    const text = this.text(method, { branch, headers, body: method === 'INVITE' ? sdp : '' })
    this.#port.request(branch, text, (response) => {
      this.#pending = false
      if (method === 'INVITE' && response.status < 300) this.acknowledge(response.cseq)
      if (this.#over) return
      if (response.status < 300) this.learn(response)
      // RFC 3261 section 14.1.
      else if (response.status === 491 || response.status === 500) {
        this.#timer = setTimeout(() => this.#refresh(), 500 + Math.random() * 2000)
      } else this.#seen.refused++
    })
  }
}

let serial = 0

export function newBranch(): string {
  return `z9hG4bK-${process.pid}-${(serial++).toString(36)}`
}
