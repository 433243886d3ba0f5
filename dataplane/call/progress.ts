import type { SipMessage } from '../engine/message/sip-message.ts'
import { reliableSequence } from '../engine/message/reliability.ts'
import { withBody } from '../media/with-body.ts'
import { askCallee, type CalleeAsked, callerTakes, provisionalWay } from '../policy/reliable-provisionals.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import type { Body, HeaderList, IncomingRequest, IncomingResponse, ResponseOptions, SipPort } from '../sip/port.ts'
import { acknowledgeProvisional, prackOf } from './prack.ts'
import { ChangedAnswer } from './changed-answer.ts'
import type { Leg } from './leg.ts'
import type { MidCall } from './mid-call.ts'
import { earlyMode, openedAnswer, openedOffer } from './offer-treatment.ts'
import {
  acceptedBodies,
  carriedBody,
  carriedResponse,
  describe,
  hasCarriedBody,
  lastDescription,
  learnAllow,
} from './relay.ts'

/** What the progress of a call that is set up asks of the call. */
export interface ProgressHost {
  readonly invite: IncomingRequest
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** The call stays until what comes back was called: something is still in flight. */
  open(): () => void
  otherLeg(leg: Leg): Leg | undefined
  /** Answers the caller's INVITE. */
  answerCaller(status: number, options: ResponseOptions): void
}

type MidCallOffers = Pick<MidCall, 'offeredInPrack' | 'offer' | 'offerAgain' | 'renegotiate'>

/** A provisional answer that went to the caller reliably. */
interface Unacknowledged {
  readonly leg: Leg
  /** The callee's, when it waits for a PRACK itself. */
  readonly due: IncomingResponse | undefined
  readonly described: boolean
}

/** One early dialog of leg B. */
interface Fork {
  /** What it has answered reliably, as it was carried to the caller's side. */
  description: string
  agreed: boolean
}

/**
 * Provisional answers on their way from callee to caller, and PRACK on its way back (RFC 3262). Where both take them
 * reliably, PRACK goes from end to end, with what offer or answer is in it; where only one does, the other half is played
 * here. Callees may be several, by hunting or by forks; the caller has one answer, once that was reliable, and hears of
 * another by UPDATE or after the call is answered.
 */
export class Progress {
  readonly #host: ProgressHost
  readonly #sip: SipPort
  readonly #midCall: MidCallOffers
  readonly #a: Leg
  readonly #changedAnswer: ChangedAnswer
  readonly #offered: boolean
  readonly #takes: ReturnType<typeof callerTakes>
  readonly #unacknowledged: Unacknowledged[] = []
  /** Those of the target that is tried now, by their tag. */
  #forks = new Map<string, Fork>()
  /** The fork whose description the caller has for good, on the leg that it was on. */
  #told: { readonly leg: Leg; readonly tag: string } | undefined

  constructor(host: ProgressHost, a: Leg, { sip, midCall }: { sip: SipPort; midCall: MidCallOffers }) {
    this.#host = host
    this.#sip = sip
    this.#midCall = midCall
    this.#a = a
    this.#changedAnswer = new ChangedAnswer(
      {
        guard: (run) => host.guard(run),
        open: () => host.open(),
        offerEarly: () => this.#offerEarly(),
        offerOnceUp: (description) => midCall.offerAgain(a, description),
      },
      a,
      sip,
    )
    const { message } = host.invite
    this.#offered = message.body !== ''
    this.#takes = callerTakes(message, a.sip.reliable1xx)
  }

  /** Another target is tried. Gives what its INVITE says of 100rel. */
  begin({ sip }: Leg): CalleeAsked {
    this.#forks = new Map()
    return askCallee(this.#host.invite.message, sip.reliable1xx, this.#takes)
  }

  /** The description that goes to the callee instead of the caller's. */
  openedOffer(leg: Leg, { body }: SipMessage): string | undefined {
    return openedOffer(body, this.#a, leg)
  }

  /**
   * A description in the 2xx of an INVITE without one is an offer, and its answer comes in the caller's ACK (RFC 3261 section
   * 13.2.1), unless a reliable answer had it before, and PRACK the answer to it.
   */
  answerComesInAck(success: SipMessage): boolean {
    return !this.#offered && this.#told === undefined && success.body !== ''
  }

  /** A provisional answer that nobody but us hears of. */
  absorb(response: IncomingResponse): void {
    acknowledgeProvisional(this.#sip, response, () => this.#host.open())
  }

  /** Passes on what the callee says before it answers. */
  carry(leg: Leg, response: IncomingResponse): void {
    const { message, status } = response
    learnAllow(leg, message)
    const reliable = reliableSequence(message) !== undefined
    const described = message.body !== ''
    const agreed = this.#told !== undefined
    this.#learn(leg, message, reliable)
    const way = provisionalWay(this.#takes, { reliable, described }, { offered: this.#offered, agreed })
    if (reliable && way === 'Reliable') {
      // A description that the caller does not get cannot be answered by it.
      if (described && agreed && !this.#offered) this.#acknowledge(leg, response, lastDescription(leg))
    } else if (reliable) this.#acknowledge(leg, response)
    const waits = reliable && way === 'Reliable' && !(described && agreed && !this.#offered)
    if (agreed && described) this.#changed(leg, message)
    if (way === 'Silent') return
    const told = agreed ? withBody(message, '') : message
    const body = agreed ? undefined : this.#opened(leg, message)
    const carried = carriedResponse(told, this.#a, status, { body })
    if (way !== 'Reliable') return this.#host.answerCaller(status, carried)
    if (described) this.#told ??= { leg, tag: message.toTag }
    const sent = { leg, due: waits ? response : undefined, described: described && !agreed }
    this.#unacknowledged.push(sent)
    const onRefused = () => this.#host.guard(() => this.#refused(sent))
    this.#host.answerCaller(status, { ...carried, headers: reliably(carried), onRefused })
  }

  /** The server did not send it, since too many wait before it or the INVITE is over: the caller will acknowledge none of it. */
  #refused(refused: Unacknowledged): void {
    const index = this.#unacknowledged.indexOf(refused)
    if (index === -1) return
    this.#unacknowledged.splice(index, 1)
    if (refused.described) this.#told = undefined
    // An offer that the caller does not get cannot be answered by it.
    const unanswered = refused.described && !this.#offered
    if (this.#a.state.at === 'setUp' && !unanswered) this.#pass(refused, undefined)
  }

  /** The PRACK of the oldest provisional answer that the caller has not acknowledged. */
  acknowledged(from: Leg, request: IncomingRequest): void {
    // That of a callee concerns a re-INVITE, of which nothing waits for it.
    if (from !== this.#a) return request.respond(request.message.body === '' ? 200 : 488)
    this.#acknowledged(request, this.#unacknowledged.shift())
    this.#changedAnswer.tell()
  }

  /** The call is up: what the caller could not be told before it is told now. */
  up(): void {
    this.#forks.clear()
    this.#changedAnswer.tell()
    this.#midCall.renegotiate()
  }

  #acknowledged(request: IncomingRequest, first: Unacknowledged | undefined): void {
    const { message } = request
    if (!hasCarriedBody(message)) {
      this.#pass(first, undefined)
      return request.respond(415, { headers: acceptedBodies })
    }
    const isAnswer = !this.#offered && !this.#a.agreed
    if (first?.described === true && (this.#offered || message.body !== '')) this.#a.agreed = true
    if (message.body === '' || isAnswer) {
      request.respond(200, { headers: [] })
      this.#pass(first, first === undefined ? undefined : carriedBody(message, first.leg))
    } else if (first?.due === undefined || !this.#a.agreed || first.leg !== this.#host.otherLeg(this.#a)) {
      this.#pass(first, undefined)
      request.respond(488)
    } else if (this.#midCall.offeredInPrack(this.#a, first.leg, request))
      this.#carryOffer(request, first.leg, first.due)
    else this.#pass(first, undefined)
  }

  /**
   * The 2xx of the callee, as the caller hears it. RFC 3261 section 13.2.1: once it has an answer it "MUST ignore any session
   * descriptions in subsequent responses to the initial INVITE", and a callee that has answered reliably need not repeat it.
   */
  answered(leg: Leg, message: SipMessage, timer: TimerFields): ResponseOptions {
    const said = this.#forks.get(message.toTag)?.description ?? ''
    const restored = message.body === '' && this.#offered && said !== '' ? said : undefined
    if (this.#told !== undefined) {
      if (message.body !== '' || restored !== undefined) this.#changed(leg, message, restored)
      leg.fork = undefined
      return carriedResponse(withBody(message, ''), this.#a, 200, { timer })
    }
    leg.fork = undefined
    const carried = carriedResponse(message, this.#a, 200, { timer, body: this.#opened(leg, message) })
    if (message.body !== '' || !this.#offered) return carried
    return { ...carried, body: restored === undefined ? lastDescription(this.#a) : describe(restored, this.#a) }
  }

  /** The description that goes to the caller instead of the callee's. */
  #opened(leg: Leg, { body }: SipMessage): string | undefined {
    return openedAnswer(body, this.#host.invite.message.body, this.#a, leg)
  }

  #offerEarly(): (() => void) | undefined {
    const b = this.#host.otherLeg(this.#a)
    return b === undefined || earlyMode(this.#a, b) !== 'PassThrough' ? undefined : this.#midCall.offer(b)
  }

  #learn(leg: Leg, message: SipMessage, reliable: boolean): void {
    const { toTag, body } = message
    const fork = this.#forks.get(toTag) ?? { description: '', agreed: false }
    this.#forks.set(toTag, fork)
    if (reliable && body !== '' && this.#offered && !fork.agreed) {
      fork.description = this.#opened(leg, message) ?? body
    }
    if (this.#told?.leg === leg && this.#told.tag !== toTag) return
    leg.fork = this.#forks.size > 1 ? toTag : undefined
    leg.agreed = fork.agreed
  }

  /** Sends the callee the PRACK that is due. */
  #pass(unacknowledged: Unacknowledged | undefined, body: Body | undefined): void {
    if (unacknowledged?.due !== undefined) this.#acknowledge(unacknowledged.leg, unacknowledged.due, body)
  }

  #acknowledge(leg: Leg, response: IncomingResponse, body?: Body): void {
    const prack = prackOf(response, { fork: this.#forks.size > 1 ? response.message.toTag : undefined, body })
    if (prack === undefined) return
    const close = this.#host.open()
    this.#sip.send(prack, { onResponse: ({ status }) => status >= 200 && close(), onFailure: close })
    this.#agree(leg, response.message, body !== undefined)
  }

  #agree(leg: Leg, { toTag, body }: SipMessage, answered: boolean): void {
    const fork = this.#forks.get(toTag)
    if (fork === undefined || (this.#offered ? body === '' : !answered)) return
    fork.agreed = true
    if (leg.fork === undefined || leg.fork === toTag) leg.agreed = true
  }

  /** RFC 3262 section 5: an offer in PRACK has its answer in the 2xx to it. */
  #carryOffer(request: IncomingRequest, leg: Leg, due: IncomingResponse): void {
    const prack = prackOf(due, {
      fork: this.#forks.size > 1 ? due.message.toTag : undefined,
      body: carriedBody(request.message, leg),
    })
    const settled = this.#midCall.offer(this.#a)
    if (prack === undefined || settled === undefined) return request.respond(500)
    const close = this.#host.open()
    const over = (answer: () => void) => {
      settled()
      this.#host.guard(answer)
      close()
    }
    this.#agree(leg, due.message, false)
    this.#sip.send(prack, {
      onResponse: ({ status, message }) => {
        if (status < 200) return
        if (status >= 300) return over(() => request.respond(status === 488 || status === 606 ? status : 500))
        over(() => request.respond(200, carriedResponse(message, this.#a, 200)))
      },
      onFailure: () => over(() => request.respond(500)),
    })
  }

  /** What a callee says to the caller's offer, when the caller has an answer already. */
  #changed(leg: Leg, message: SipMessage, said?: string): void {
    const told = this.#told
    const fork = this.#forks.get(message.toTag)
    if (told === undefined || (fork?.agreed === true && told.leg === leg && told.tag === message.toTag)) return
    const description = said ?? this.#opened(leg, message) ?? message.body
    this.#told = { leg, tag: message.toTag }
    leg.fork = this.#forks.size > 1 ? message.toTag : undefined
    leg.agreed = fork?.agreed === true
    this.#changedAnswer.hear(description)
  }
}

function reliably({ headers = [] }: ResponseOptions): HeaderList {
  return [...headers, ['Require', '100rel']]
}
