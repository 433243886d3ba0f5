import type { SipMessage } from '../engine/message/sip-message.ts'
import type { Body, ClientTransaction, IncomingRequest, IncomingResponse, SipPort, SipPortError } from '../sip/port.ts'
import { carriedReasons } from './reason-header.ts'
import { hideOrigin } from './sdp-origin.ts'
import type { Leg } from './leg.ts'
import { carriedBody, carriedRequest, carriedResponse, ownRequestHeaders } from './relay.ts'

/** What becomes of a re-INVITE. Exactly one of `connected`, `refused`, `failed` and `over` is called, and once. */
export interface ReInviteEvents {
  guard(run: () => void): void
  open(): () => void
  /** A 2xx was passed on; its ACK is awaited. */
  connected(): void
  refused(response: IncomingResponse): void
  failed(error: SipPortError): void
  /** It was cancelled, and what had to be put right is. */
  over(): void
  /** The peer it was sent to has no such dialog. */
  lost(status: number): void
}

/**
 * A re-INVITE on its way through the call. An offer it brings is answered in the 2xx, so that the other side's 2xx is
 * acknowledged at once; without an offer the 2xx brings it, and the ACK waits for the answer in the ACK.
 */
export class ReInvite {
  readonly from: Leg
  readonly request: IncomingRequest
  readonly #to: Leg
  readonly #sip: SipPort
  readonly #events: ReInviteEvents
  /** Our last description on the other leg, to go back to. */
  readonly #before: string
  #transaction: ClientTransaction | undefined
  #cancel: SipMessage | undefined
  #over = false
  #dueAck: IncomingResponse | undefined
  #onAcknowledged: () => void = () => {}

  constructor(from: Leg, to: Leg, request: IncomingRequest, sip: SipPort, events: ReInviteEvents) {
    this.from = from
    this.#to = to
    this.request = request
    this.#sip = sip
    this.#events = events
    this.#before = to.origin.rest
    request.onCancel((cancel) => events.guard(() => this.#cancelled(cancel)))
  }

  /** False when Max-Forwards allows no further hop. */
  start(): boolean {
    if (this.#over) return true
    const outgoing = carriedRequest(this.request.message, this.#to)
    if (outgoing === undefined) {
      this.#end()
      return false
    }
    const close = this.#events.open()
    this.#transaction = this.#sip.send(outgoing, {
      onResponse: (response) => {
        this.#events.guard(() => this.#onResponse(response))
        if (response.status >= 200) close()
      },
      onFailure: (error) => {
        this.#events.guard(() => !this.#end() && this.#events.failed(error))
        close()
      },
    })
    return true
  }

  onAcknowledged(run: () => void): void {
    this.#onAcknowledged = run
  }

  acknowledged(ack: SipMessage): void {
    this.#dueAck?.ack({ body: carriedBody(ack, this.#to) })
    this.#dueAck = undefined
    this.#onAcknowledged()
  }

  /** The call ends before the ACK has come: the other side's 2xx must be acknowledged all the same. */
  abandon(): void {
    this.#dueAck?.ack()
    this.#dueAck = undefined
    this.#onAcknowledged()
  }

  /** The call ends; whoever asked has been answered. */
  stop(): void {
    this.#over = true
  }

  #onResponse(response: IncomingResponse): void {
    const { status, message } = response
    if (status < 200) {
      if (status >= 180 && !this.#over) this.request.respond(status, carriedResponse(message, this.from, status))
    } else if (this.#cancel !== undefined) {
      if (status < 300) this.#restore(response)
      if (status === 481 || status === 408) this.#events.lost(status)
    } else if (status < 300) this.#connect(response)
    else if (!this.#end()) this.#events.refused(response)
  }

  #connect(response: IncomingResponse): void {
    if (this.#end()) return response.ack()
    if (this.request.message.body === '' && response.message.body !== '') this.#dueAck = response
    else response.ack()
    this.#events.connected()
    this.request.respond(200, {
      ...carriedResponse(response.message, this.from, 200),
      onRefused: () => this.#events.guard(() => this.#restore(response)),
    })
  }

  #cancelled(cancel: SipMessage): void {
    if (this.#end()) return
    this.#cancel = cancel
    this.#transaction?.cancel(carriedReasons(cancel))
    this.#events.over()
  }

  /**
   * The CANCEL crossed with a 2xx: one side has taken the change and the other has withdrawn it. The side that has taken
   * it is offered what was agreed before, so that both mean the same session again.
   */
  #restore(response: IncomingResponse): void {
    const offered = this.request.message.body !== ''
    response.ack(offered ? {} : { body: this.#agreedBefore() })
    this.#dueAck = undefined
    this.#onAcknowledged()
    if (!offered || this.#before === '' || this.#to.origin.rest === this.#before) return
    const close = this.#events.open()
    this.#sip.send(
      {
        method: 'INVITE',
        dialogId: this.#to.dialogId,
        headers: [['Contact', this.#to.contact], ...ownRequestHeaders()],
        body: this.#agreedBefore(),
      },
      {
        onResponse: (answer) => {
          if (answer.status < 200) return
          answer.ack()
          close()
          if (answer.status === 481 || answer.status === 408) this.#events.guard(() => this.#events.lost(answer.status))
        },
        onFailure: close,
      },
    )
  }

  #agreedBefore(): Body | undefined {
    if (this.#before === '') return undefined
    const { sdp, origin } = hideOrigin(this.#before, this.#to.origin, this.#to.listener.address)
    this.#to.origin = origin
    return { content: sdp, type: 'application/sdp' }
  }

  /** True when it had ended already. */
  #end(): boolean {
    const was = this.#over
    this.#over = true
    return was
  }
}
