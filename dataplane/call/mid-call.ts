import { SerialQueue } from '#lib/queue.ts'
import type { HeaderList, IncomingRequest, IncomingResponse, SipPort, SipPortError } from '../sip/port.ts'
import { callerStatus } from './failure-map.ts'
import { carriedMethods, unsupportedOptions } from './header-relay.ts'
import type { Leg } from './leg.ts'
import { ReInvite } from './re-invite.ts'
import { carriedRequest, carriedResponse, hasCarriedBody } from './relay.ts'

/** What the mid-call requests ask of the call. */
export interface MidCallHost {
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** The call stays until what comes back was called: something is still in flight. */
  open(): () => void
  /** RFC 3261 section 12.2.1.2: after 481 or 408 "the UAC SHOULD terminate the dialog". */
  lost(leg: Leg, status: number): void
}

/** Requests that may wait for one another in a call; at one second each, more would time out. */
const mostWaiting = 16

/**
 * Carries the requests inside a call from leg to leg, and the answers back. They go one after the other, in the order
 * they came; the wait for the answer to a re-INVITE, which may take a person's decision, does not hold up the others.
 */
export class MidCall {
  readonly #host: MidCallHost
  readonly #sip: SipPort
  readonly #random: () => number
  readonly #queue = new SerialQueue(mostWaiting)
  /** Requests without final answer, and the leg they came on. */
  readonly #unanswered = new Map<IncomingRequest, Leg>()
  #reInvite: ReInvite | undefined
  /** A re-INVITE we have answered, whose ACK is outstanding. */
  #unacknowledged: ReInvite | undefined

  constructor(host: MidCallHost, { sip, random }: { sip: SipPort; random: () => number }) {
    this.#host = host
    this.#sip = sip
    this.#random = random
  }

  /** Nothing is carried until what comes back was called: the ACK of a 2xx is outstanding. */
  hold(): () => void {
    return this.#queue.hold()
  }

  /** Takes any request inside the call but ACK, BYE and CANCEL. */
  receive(from: Leg, to: Leg, request: IncomingRequest): void {
    const refusal = this.#refusal(from, to, request)
    if (refusal !== undefined) return request.respond(refusal.status, { headers: refusal.headers })
    this.#unanswered.set(request, from)
    if (request.method === 'INVITE') return this.#receiveReInvite(from, to, request)
    if (this.#queue.push((done) => this.#carry(from, to, request, done))) return
    this.#unanswered.delete(request)
    request.respond(500, { headers: this.#retryAfter() })
  }

  /** An ACK that is not that of the call's first INVITE. */
  acknowledged(request: IncomingRequest): void {
    if (this.#unacknowledged?.request.transactionId !== request.transactionId) return
    const acknowledged = this.#unacknowledged
    this.#unacknowledged = undefined
    acknowledged.acknowledged(request.message)
  }

  /**
   * RFC 3261 section 15.1.2: on BYE, pending requests of the dialog are answered, "It is RECOMMENDED that a 487 (Request
   * Terminated) response be generated".
   */
  stop(): void {
    this.#queue.clear()
    this.#reInvite?.stop()
    for (const request of this.#unanswered.keys()) request.respond(487)
    this.#unanswered.clear()
    this.#unacknowledged?.abandon()
    this.#unacknowledged = undefined
  }

  #refusal(from: Leg, to: Leg, { method, message }: IncomingRequest) {
    if (!carried.includes(method)) return { status: 405, headers: [['Allow', carriedMethods.join(', ')]] as HeaderList }
    const options = unsupportedOptions(message)
    if (options.length > 0) return { status: 420, headers: [['Unsupported', options.join(', ')]] as HeaderList }
    const exchangesOffers = method === 'INVITE' || method === 'UPDATE'
    if (exchangesOffers && !hasCarriedBody(message)) {
      return { status: 415, headers: [['Accept', 'application/sdp']] as HeaderList }
    }
    if (to.dialogId === undefined) return { status: 500, headers: this.#retryAfter() }
    const mayCross = method === 'INVITE' || (method === 'UPDATE' && message.body !== '')
    const inviter = mayCross ? this.#inviter(from, method) : undefined
    if (inviter === undefined) return undefined
    // RFC 3261 section 14.2: a second INVITE of the same side gets "a 500 (Server Internal Error) response … and MUST
    // include a Retry-After header field with a randomly chosen value of between 0 and 10 seconds"; one that crosses with
    // ours gets 491. RFC 3311 section 5.2 says the same of an UPDATE with an offer.
    return inviter === from.side ? { status: 500, headers: this.#retryAfter() } : { status: 491, headers: [] }
  }

  /** Whose INVITE is pending, the first one of the call included. */
  #inviter(from: Leg, method: string): Leg['side'] | undefined {
    if (this.#reInvite !== undefined) return this.#reInvite.from.side
    return method === 'INVITE' && from.state.at === 'setUp' ? 'A' : undefined
  }

  #carry(from: Leg, to: Leg, request: IncomingRequest, done: () => void): void {
    const outgoing = carriedRequest(request.message, to)
    if (outgoing === undefined) {
      this.#answer(request, 483)
      return done()
    }
    const close = this.#host.open()
    const over = () => {
      close()
      done()
    }
    this.#sip.send(outgoing, {
      onResponse: (response) => {
        if (response.status < 200) return
        this.#host.guard(() => this.#answered(request, from, to, response))
        over()
      },
      onFailure: (error) => {
        this.#host.guard(() => this.#failed(request, to, error))
        over()
      },
    })
  }

  #receiveReInvite(from: Leg, to: Leg, request: IncomingRequest): void {
    const reInvite = new ReInvite(from, to, request, this.#sip, {
      guard: (run) => this.#host.guard(run),
      open: () => this.#host.open(),
      connected: () => this.#reInviteConnected(reInvite),
      refused: (response) => {
        this.#over(reInvite)
        this.#answered(request, from, to, response)
      },
      failed: (error) => {
        this.#over(reInvite)
        this.#failed(request, to, error)
      },
      over: () => this.#over(reInvite),
      lost: (status) => this.#host.lost(to, status),
    })
    this.#reInvite = reInvite
    const waits = this.#queue.push((done) => {
      if (!reInvite.start()) {
        this.#over(reInvite)
        this.#answer(request, 483)
      }
      done()
    })
    if (waits) return
    this.#over(reInvite)
    this.#answer(request, 500, this.#retryAfter())
  }

  /** The 2xx is on its way. RFC 3261 section 14.1: no further INVITE before its ACK has come. */
  #reInviteConnected(reInvite: ReInvite): void {
    this.#unanswered.delete(reInvite.request)
    reInvite.onAcknowledged(this.#queue.hold())
    this.#unacknowledged = reInvite
    this.#over(reInvite)
  }

  #over(reInvite: ReInvite): void {
    this.#unanswered.delete(reInvite.request)
    if (this.#reInvite === reInvite) this.#reInvite = undefined
  }

  #answered(request: IncomingRequest, from: Leg, to: Leg, response: IncomingResponse): void {
    const status = callerStatus(response.status)
    this.#unanswered.delete(request)
    request.respond(status, carriedResponse(response.message, from, status))
    if (response.status === 481 || response.status === 408) this.#host.lost(to, response.status)
  }

  #failed(request: IncomingRequest, to: Leg, error: SipPortError): void {
    this.#answer(request, failureStatus[error.code])
    if (error.code === 'DialogGone') this.#host.lost(to, 481)
  }

  #answer(request: IncomingRequest, status: number, headers: HeaderList = []): void {
    this.#unanswered.delete(request)
    request.respond(status, { headers })
  }

  #retryAfter(): HeaderList {
    return [['Retry-After', String(Math.floor(this.#random() * 11))]]
  }
}

const failureStatus: Readonly<Record<SipPortError['code'], number>> = {
  DialogGone: 481,
  InviteInProgress: 491,
  Disconnected: 500,
  Rejected: 500,
}

const carried = ['INVITE', 'UPDATE', 'INFO', 'OPTIONS']
