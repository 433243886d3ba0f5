import type { SipMessage } from '../engine/message/sip-message.ts'
import { noTimer, type TimerFields } from '../policy/session-timer.ts'
import type { ClientTransaction, IncomingRequest, IncomingResponse, SipPort, SipPortError } from '../sip/port.ts'
import { carriedReasons } from './reason-header.ts'
import type { Leg } from './leg.ts'
import type { Pin } from './offer-treatment.ts'
import { acknowledgeProvisional } from './prack.ts'
import { agreedBefore, carriedBody, carriedRequest, carriedResponse, lastDescription, learnAllow } from './relay.ts'
import { type SdpOrigin, withdrawn } from './sdp-origin.ts'
import type { SessionTimers } from './session-timers.ts'

/** What becomes of a re-INVITE. Exactly one of `connected`, `refused`, `failed` and `over` is called, and once. */
export interface ReInviteEvents {
  guard(run: () => void): void
  open(): () => void
  /** No other offer may go out until what comes back was called. */
  hold(): () => void
  /** A 2xx was passed on; the ACK of an INVITE is awaited. */
  connected(): void
  refused(response: IncomingResponse): void
  failed(error: SipPortError): void
  /** It was cancelled. */
  over(): void
  /** The peer it was sent to has no such dialog. */
  lost(status: number): void
  /** The peer has taken a change that came to nothing; this is what was agreed before. */
  putBack(before: string): void
}

export interface ReInviteParts {
  readonly from: Leg
  readonly to: Leg
  readonly request: IncomingRequest
  /** The description that goes on instead of that in the request. */
  readonly body: string | undefined
  /** Asked of the description that comes back; undefined when any will do. */
  readonly pin: Pin | undefined
  readonly sip: SipPort
  readonly timers: SessionTimers
}

/**
 * A re-INVITE on its way through the call, or an UPDATE to a peer that knows only re-INVITE (feature item 15). An offer it
 * brings is answered in the 2xx, so that the other side's 2xx is acknowledged at once; without an offer the 2xx brings
 * it, and the ACK waits for the answer in the ACK.
 */
export class ReInvite {
  readonly from: Leg
  readonly request: IncomingRequest
  readonly #parts: ReInviteParts
  readonly #to: Leg
  readonly #events: ReInviteEvents
  /** What was in force on the other leg, to go back to. */
  #before: SdpOrigin
  #asked: TimerFields = noTimer
  #transaction: ClientTransaction | undefined
  #cancelled = false
  #over = false
  #dueAck: IncomingResponse | undefined
  #onAcknowledged: () => void = () => {}
  #onOver: () => void = () => {}
  #onEnded: () => void = () => {}

  constructor(parts: ReInviteParts, events: ReInviteEvents) {
    this.#parts = parts
    this.from = parts.from
    this.#to = parts.to
    this.request = parts.request
    this.#events = events
    this.#before = parts.to.origin
    parts.request.onCancel((cancel) => events.guard(() => this.#cancel(cancel)))
  }

  /** False when Max-Forwards allows no further hop. */
  start(): boolean {
    if (this.#over) return true
    const { sip, timers, body } = this.#parts
    const { message, method } = this.request
    if (this.#transaction === undefined) this.#before = this.#to.origin
    this.#asked = timers.ask(this.from, this.#to, message)
    const outgoing = carriedRequest(message, this.#to, { timer: this.#asked, body })
    if (outgoing === undefined) {
      this.#end()
      return false
    }
    // An UPDATE without description refreshes; a re-INVITE without one would ask for an offer.
    const repeated = method === 'UPDATE' && message.body === '' ? { body: lastDescription(this.#to) } : {}
    const close = this.#events.open()
    this.#transaction = sip.send(
      { ...outgoing, ...repeated, method: 'INVITE' },
      {
        onResponse: (response) => {
          this.#events.guard(() => this.#onResponse(response))
          if (response.status < 200) return
          this.#onEnded()
          close()
        },
        onFailure: (error) => {
          this.#withdraw()
          this.#events.guard(() => !this.#end() && this.#events.failed(error))
          this.#onEnded()
          close()
        },
      },
    )
    return true
  }

  onAcknowledged(run: () => void): void {
    this.#onAcknowledged = run
  }

  onOver(run: () => void): void {
    this.#onOver = run
  }

  /** It is answered, one way or another. */
  over(): void {
    this.#onOver()
  }

  acknowledged(ack: SipMessage): void {
    // An answer in the ACK cannot be refused any more (RFC 3261 section 13.2.1).
    const body = this.#pinned(ack.body) ?? ack.body
    this.#dueAck?.ack({ body: carriedBody(ack, this.#to, body) })
    this.#dueAck = undefined
    this.#onAcknowledged()
  }

  /** The call ends before the ACK has come: the other side's 2xx must be acknowledged all the same. */
  abandon(): void {
    this.#dueAck?.ack()
    this.#dueAck = undefined
    this.#onAcknowledged()
  }

  /** Whoever asked has been answered and waits no longer. */
  giveUp(): void {
    this.#cancel(undefined)
  }

  /** The call ends; whoever asked has been answered. */
  stop(): void {
    this.#over = true
    this.#onOver()
  }

  #onResponse(response: IncomingResponse): void {
    const { status, message } = response
    if (status < 200) {
      acknowledgeProvisional(this.#parts.sip, response, () => this.#events.open())
      this.#progress(response)
    } else if (this.#cancelled) {
      if (status < 300) this.#restore(response)
      else this.#withdraw()
      if (status === 481 || status === 408) this.#events.lost(status)
    } else if (status < 300) this.#connect(response)
    // RFC 4028 section 7.3: once more, with the interval that the 422 wants.
    else if (status === 422 && !this.#over && this.#parts.timers.raise(this.#to, message, this.#asked)) this.start()
    else {
      this.#withdraw()
      if (!this.#end()) this.#events.refused(response)
    }
  }

  /** RFC 3261 section 14.1: after a failure "the session parameters MUST remain unchanged, as if no re-INVITE had been issued". */
  #withdraw(): void {
    this.#to.origin = withdrawn(this.#to.origin, this.#before)
  }

  #progress({ status, message }: IncomingResponse): void {
    if (status < 180 || this.#over || this.request.method !== 'INVITE') return
    this.request.respond(status, carriedResponse(message, this.from, status))
  }

  #connect(response: IncomingResponse): void {
    if (this.#end()) return response.ack()
    const { request } = this
    const { message } = response
    const body = this.#pinned(message.body)
    if (body === undefined) return this.#refuseAnswer(response)
    const offered = request.message.body !== '' || request.method === 'UPDATE'
    if (!offered && message.body !== '') this.#dueAck = response
    else response.ack()
    this.#events.connected()
    learnAllow(this.#to, message)
    const timer = this.#parts.timers.answered(this.from, this.#to, {
      request: request.message,
      response: message,
      asked: this.#asked,
    })
    const carried = carriedResponse(message, this.from, 200, { timer, body })
    const answersUpdate = request.method === 'UPDATE' && request.message.body === ''
    request.respond(200, {
      ...carried,
      ...(answersUpdate && { body: undefined }),
      onRefused: () => this.#events.guard(() => this.#restore(response)),
    })
  }

  #pinned(description: string): string | undefined {
    const { pin } = this.#parts
    return pin === undefined ? description : pin(description)
  }

  /** The peer has taken the offer with an answer, or has made an offer, that the other side may not have. */
  #refuseAnswer(response: IncomingResponse): void {
    this.#events.over()
    this.request.respond(488)
    this.#restore(response)
  }

  #cancel(cancel: SipMessage | undefined): void {
    if (this.#end()) return
    this.#cancelled = true
    if (this.#transaction !== undefined) {
      // The peer may have taken the offer already; until it says so it gets no other one (RFC 3264 section 4).
      this.#onEnded = this.#events.hold()
      this.#transaction.cancel(cancel === undefined ? [] : carriedReasons(cancel))
    }
    this.#events.over()
  }

  /**
   * The CANCEL crossed with a 2xx: one side has taken the change and the other has withdrawn it. The side that has taken
   * it is offered what was agreed before, so that both mean the same session again.
   */
  #restore(response: IncomingResponse): void {
    const offered = this.request.message.body !== ''
    response.ack(offered ? {} : { body: agreedBefore(this.#before.rest, this.#to) })
    this.#dueAck = undefined
    this.#onAcknowledged()
    if (offered) this.#events.putBack(this.#before.rest)
  }

  /** True when it had ended already. */
  #end(): boolean {
    const was = this.#over
    this.#over = true
    return was
  }
}
