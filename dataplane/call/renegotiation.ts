import type { Body, IncomingResponse, SipPort } from '../sip/port.ts'
import type { Leg } from './leg.ts'
import { type OwnOutcome, type OwnRequestEvents, ownRequest, sendOwnRequest } from './own-request.ts'
import { acknowledgeProvisional } from './prack.ts'
import { describe, lastDescription, learnAllow } from './relay.ts'
import { withdrawn } from './sdp-origin.ts'
import type { SessionTimers } from './session-timers.ts'

export interface RenegotiationParts {
  readonly sip: SipPort
  readonly timers: SessionTimers
  /** Who is asked for an offer, and who gets it. */
  readonly from: Leg
  readonly to: Leg
  readonly events: Pick<OwnRequestEvents, 'guard' | 'open'>
  /** Called once: both sides have agreed, or everything is as it was. */
  readonly done: (outcome: OwnOutcome['kind']) => void
}

/**
 * Has both sides of a call that is up agree anew: one is asked for an offer by a re-INVITE without one, the other gets it in
 * a re-INVITE of its own, and its answer is in the ACK to the first (RFC 3261 section 14.1, RFC 3725 section 4.1).
 */
export class Renegotiation {
  readonly #parts: RenegotiationParts
  /** The 2xx with the offer, while its ACK waits for the answer. */
  #dueAck: IncomingResponse | undefined

  constructor(parts: RenegotiationParts) {
    this.#parts = parts
  }

  start(): void {
    const { sip, timers, from, to, events } = this.#parts
    const asked = timers.own(from, to)
    const close = events.open()
    sip.send(
      { ...ownRequest(from, 'INVITE', asked), body: undefined },
      {
        onResponse: (response) => {
          const { status, message } = response
          if (status < 200) return acknowledgeProvisional(sip, response, () => events.open())
          events.guard(() => {
            if (status >= 300) return this.#over(status === 491 ? 'Glare' : 'Refused')
            learnAllow(from, message)
            timers.ownAnswered(from, to, message, asked)
            this.#offer(response)
          })
          close()
        },
        onFailure: ({ code }) => {
          events.guard(() => this.#over(code === 'InviteInProgress' ? 'Busy' : 'Refused'))
          close()
        },
      },
    )
  }

  /** The call ends: a 2xx must be acknowledged all the same (RFC 3261 section 13.2.2.4). */
  abandon(): void {
    this.#acknowledge(lastDescription(this.#parts.from))
  }

  #offer(response: IncomingResponse): void {
    const { sip, timers, from, to, events } = this.#parts
    const { body } = response.message
    this.#dueAck = response
    if (body === '' || to.state.at !== 'up') {
      this.#acknowledge(body === '' ? undefined : lastDescription(from))
      return this.#over('Refused')
    }
    const before = to.origin
    const asked = timers.own(to, from)
    const request = { ...ownRequest(to, 'INVITE', asked), body: describe(body, to) }
    const raise = ({ message }: IncomingResponse) => timers.raise(to, message, asked)
    sendOwnRequest(sip, request, { ...events, raise }, (outcome) => {
      if (outcome.kind !== 'Answered' || outcome.response.message.body === '') {
        to.origin = withdrawn(to.origin, before)
        this.#acknowledge(lastDescription(from))
        return this.#over(outcome.kind === 'Answered' ? 'Refused' : outcome.kind)
      }
      const { message } = outcome.response
      learnAllow(to, message)
      timers.ownAnswered(to, from, message, asked)
      this.#acknowledge(describe(message.body, from))
      this.#over('Answered')
    })
  }

  #acknowledge(body: Body | undefined): void {
    this.#dueAck?.ack({ body })
    this.#dueAck = undefined
  }

  #over(outcome: OwnOutcome['kind']): void {
    this.#parts.done(outcome)
  }
}
