import type { IncomingResponse, SipPort } from '../sip/port.ts'
import { allow } from './header-relay.ts'
import type { Leg } from './leg.ts'
import { describe, ownRequestHeaders } from './relay.ts'
import { isSameDescription, withdrawn } from './sdp-origin.ts'

/** What a changed answer asks of the call. */
export interface ChangedAnswerHost {
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** The call stays until what comes back was called: something is still in flight. */
  open(): () => void
  /** An offer to the caller before the call is answered is open until what comes back was called; undefined while none may be. */
  offerEarly(): (() => void) | undefined
  /** Offers it once the call is up. */
  offerOnceUp(description: string): void
}

/**
 * What the caller has to hear of the callee, after an answer that holds for good (RFC 3262 section 5): another target or
 * another fork has answered. It is offered in an UPDATE (RFC 3311 section 5.1), where the caller knows that, and else by a
 * re-INVITE once the call is up; what the caller answers is its answer to the first offer once more.
 */
export class ChangedAnswer {
  readonly #host: ChangedAnswerHost
  readonly #sip: SipPort
  readonly #a: Leg
  #wanted: string | undefined
  #updating = false

  constructor(host: ChangedAnswerHost, a: Leg, sip: SipPort) {
    this.#host = host
    this.#a = a
    this.#sip = sip
  }

  /** The newest counts. */
  hear(description: string): void {
    this.#wanted = !this.#updating && isSameDescription(description, this.#a.origin) ? undefined : description
    this.tell()
  }

  /** Tells it if that can be now. */
  tell(): void {
    const { state, agreed, allowsUpdate } = this.#a
    const wanted = this.#wanted
    if (wanted === undefined || this.#updating) return
    if (state.at === 'up') {
      this.#wanted = undefined
      this.#host.offerOnceUp(wanted)
    } else if (state.at === 'setUp' && agreed && allowsUpdate === true) {
      const settled = this.#host.offerEarly()
      if (settled !== undefined) this.#update(wanted, settled)
    }
  }

  #update(description: string, settled: () => void): void {
    const a = this.#a
    const before = a.origin
    const close = this.#host.open()
    this.#updating = true
    const over = (taken: boolean) => {
      this.#updating = false
      settled()
      if (!taken) a.origin = withdrawn(a.origin, before)
      else if (this.#wanted !== undefined && isSameDescription(this.#wanted, a.origin)) this.#wanted = undefined
      // One that was refused is offered again when the call is up.
      if (taken || a.state.at === 'up') this.#host.guard(() => this.tell())
      close()
    }
    this.#sip.send(
      {
        method: 'UPDATE',
        dialogId: a.dialogId,
        headers: [['Contact', a.contact], ...ownRequestHeaders(), ['Allow', allow]],
        body: describe(description, a),
      },
      {
        onResponse: ({ status }: IncomingResponse) => {
          if (status >= 200) over(status < 300)
        },
        onFailure: () => over(false),
      },
    )
  }
}
