import { answersHere } from '#api/session-behaviour.ts'
import type { Timer } from '#lib/clock.ts'
import { SerialQueue } from '#lib/queue.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { glareMilliseconds } from '../policy/glare.ts'
import { noTimer } from '../policy/session-timer.ts'
import type { HeaderList, IncomingRequest, IncomingResponse, SipPortError } from '../sip/port.ts'
import { callerStatus } from './failure-map.ts'
import type { Leg } from './leg.ts'
import { answerHere, answerOptions, isWatched, refusalOf } from './mid-call-answers.ts'
import { midcallMode, type Treatment, treatEarlyUpdate, treatOffer, treatOfferInPrack } from './offer-treatment.ts'
import { type OwnOutcome, ownRequest, sendOwnRequest } from './own-request.ts'
import type { CarriedUpdate, Carriage, MidCallHost, MidCallServices, Sent, Unacknowledged } from './mid-call.types.ts'
import { Renegotiation } from './renegotiation.ts'
import { ReInvite } from './re-invite.ts'
import { carriedRequest, carriedResponse, learnAllow } from './relay.ts'
import { hideOrigin, isSameDescription, withdrawn } from './sdp-origin.ts'
import type { Refresh } from './session-timers.ts'

/** Requests that may wait for one another in a call; at one second each, more would time out. */
const mostWaiting = 16

/**
 * How long the other side may take over an UPDATE, in milliseconds: RFC 3311 section 5.2 wants the answer promptly, and
 * whoever asked gives up after 32 s.
 */
const updateMilliseconds = 10_000

/** Stands for the transaction of a 2xx that a renegotiation has to acknowledge. */
const renegotiated = 'renegotiated'

/** How often a side is offered what was agreed before, and how long after an offer that met another one. */
const mostOffers = 8
const offerAgainMilliseconds = 3_000

/**
 * Carries the requests inside a call from leg to leg, and the answers back; sends the refreshes of our own. They go one
 * after the other, in the order they came; the wait for the answer to a re-INVITE of a peer, which may take a person's
 * decision, does not hold up the others.
 */
export class MidCall {
  readonly #host: MidCallHost
  readonly #services: MidCallServices
  readonly #queue = new SerialQueue(mostWaiting)
  /** Requests without final answer, and the leg they came on. */
  readonly #unanswered = new Map<IncomingRequest, Leg>()
  #reInvite: ReInvite | undefined
  /** By transaction; each side may have one. */
  readonly #unacknowledged = new Map<string, Unacknowledged>()
  /** The leg that a re-INVITE of our own is on. */
  #own: Leg | undefined
  /** Whose UPDATE or PRACK with an offer is unanswered; in the name of whom, where it is one of ours. */
  #offering: { readonly request: object; readonly from: Leg } | undefined
  /** Whose offer was consumed before the call was answered, to be asked for once it is up. */
  #consumed: Leg | undefined
  #stopped = false

  constructor(host: MidCallHost, services: MidCallServices) {
    this.#host = host
    this.#services = services
  }

  /** Nothing is carried until what comes back was called: the ACK of a 2xx is outstanding. */
  hold(): () => void {
    return this.#queue.hold()
  }

  /** Takes any request inside the call but ACK, BYE and CANCEL. */
  receive(from: Leg, to: Leg, request: IncomingRequest): void {
    const { method, message } = request
    learnAllow(from, message)
    if (method === 'OPTIONS' && isWatched(from, to)) return answerOptions(request)
    const refusal = refusalOf(from, to, request, this.#services) ?? this.#glare(from, request)
    if (refusal !== undefined) return request.respond(refusal.status, { headers: refusal.headers })
    if (!exchangesOffers(method)) return this.#push(from, request, (done) => this.#carry(from, to, request, done))
    const early = from.state.at === 'setUp'
    const treatment = early ? treatEarlyUpdate(message, from, to) : treatOffer(message, from, to)
    if (treatment.do !== 'carry') return this.#endHere(from, to, request, treatment)
    const convert = method === 'UPDATE' && to.allowsUpdate === false
    if (method === 'INVITE' || convert) return this.#startReInvite(from, to, request, treatment)
    if (message.body !== '') this.#offering = { request, from }
    this.#push(from, request, (done) => this.#carry(from, to, request, done, treatment))
  }

  /** An offer in the caller's PRACK. Gives whether it goes on; otherwise it has its answer. */
  offeredInPrack(from: Leg, to: Leg, request: IncomingRequest): boolean {
    const refusal = this.#glare(from, request)
    const treatment = treatOfferInPrack(request.message, from, to)
    if (refusal !== undefined) request.respond(refusal.status, { headers: refusal.headers })
    else if (treatment.do !== 'carry') this.#endHere(from, to, request, treatment)
    else return true
    return false
  }

  /** An offer in the name of that side is open until what comes back was called; undefined while another one is. */
  offer(from: Leg): (() => void) | undefined {
    if (this.#offering !== undefined) return undefined
    const request = {}
    this.#offering = { request, from }
    return () => this.#settle(request)
  }

  /** The call is up: what was consumed before is agreed on anew (feature item 15), where offers cross at all. */
  renegotiate(left = mostOffers): void {
    const from = this.#consumed
    const to = from === undefined ? undefined : this.#host.otherLeg(from)
    if (from === undefined || to === undefined || midcallMode(from, to) !== 'PassThrough' || left === 0) return
    const { sip, timers, clock, random } = this.#services
    const again = (offers: number, milliseconds = offerAgainMilliseconds) =>
      clock.after(milliseconds, () => this.#host.guard(() => this.renegotiate(offers)))
    const taken = this.#queue.push((next) => {
      if (this.#stopped) return next()
      if (this.#inviteIsPending) {
        again(left)
        return next()
      }
      const events = { guard: (run: () => void) => this.#host.guard(run), open: () => this.#host.open() }
      const done = (kind: OwnOutcome['kind']) => {
        this.#own = undefined
        this.#unacknowledged.delete(renegotiated)
        if (kind === 'Glare') again(left - 1, glareMilliseconds(from.side, random))
        else if (kind === 'Busy') again(left - 1)
        else this.#consumed = undefined
        next()
      }
      const renegotiation = new Renegotiation({ sip, timers, from, to, events, done })
      this.#own = from
      this.#unacknowledged.set(renegotiated, { acknowledged() {}, abandon: () => renegotiation.abandon() })
      renegotiation.start()
    })
    if (!taken) again(left)
  }

  /** Offers a side what holds for the other one, until it takes it. */
  offerAgain(leg: Leg, description: string): void {
    this.#putBack(leg, hideOrigin(description, leg.origin, leg.listener.address).origin.rest)
  }

  /** An ACK that is not that of the call's first INVITE. */
  acknowledged(request: IncomingRequest): void {
    const acknowledged = this.#unacknowledged.get(request.transactionId)
    this.#unacknowledged.delete(request.transactionId)
    acknowledged?.acknowledged(request.message)
  }

  /** Sends a refresh of our own when its turn comes. */
  refresh(leg: Leg, { method, wanted, done }: Refresh): void {
    const other = this.#host.otherLeg(leg)
    if (other === undefined || leg.state.at !== 'up') return done({ kind: 'Busy' })
    const taken = this.#queue.push((next) => {
      if (this.#stopped || !wanted()) return next()
      if (method === 'INVITE' && this.#inviteIsPending) {
        next()
        return done({ kind: 'Busy' })
      }
      this.#sendOwn(leg, other, method, (outcome) => {
        next()
        done(outcome)
      })
    })
    if (!taken) done({ kind: 'Busy' })
  }

  /**
   * RFC 3261 section 15.1.2: on BYE, pending requests of the dialog are answered, "It is RECOMMENDED that a 487 (Request
   * Terminated) response be generated".
   */
  stop(): void {
    this.#stopped = true
    this.#queue.clear()
    this.#reInvite?.stop()
    for (const request of this.#unanswered.keys()) request.respond(487)
    this.#unanswered.clear()
    for (const unacknowledged of this.#unacknowledged.values()) unacknowledged.abandon()
    this.#unacknowledged.clear()
  }

  get #inviteIsPending(): boolean {
    return this.#reInvite !== undefined || this.#unacknowledged.size > 0 || this.#own !== undefined
  }

  /**
   * RFC 3261 section 14.2: a second INVITE of the same side gets "a 500 (Server Internal Error) response … and MUST include
   * a Retry-After header field with a randomly chosen value of between 0 and 10 seconds"; one that crosses with ours gets
   * 491. RFC 3311 section 5.2 says the same of an UPDATE with an offer.
   */
  #glare(from: Leg, { method, message }: IncomingRequest) {
    if (method !== 'INVITE' && message.body === '') return undefined
    if (method !== 'INVITE' && method !== 'UPDATE' && method !== 'PRACK') return undefined
    if (this.#own === from) return { status: 491, headers: [] }
    const inviter = this.#inviter(from, method)
    if (inviter === undefined) return undefined
    return inviter === from.side ? { status: 500, headers: this.#retryAfter() } : { status: 491, headers: [] }
  }

  /** Whose INVITE is pending, the first one of the call included. */
  #inviter(from: Leg, method: string): Leg['side'] | undefined {
    if (this.#reInvite !== undefined) return this.#reInvite.from.side
    if (this.#offering !== undefined) return this.#offering.from.side
    return method === 'INVITE' && from.state.at === 'setUp' ? 'A' : undefined
  }

  #push(from: Leg, request: IncomingRequest, task: (done: () => void) => void): void {
    this.#unanswered.set(request, from)
    if (!this.#queue.push(task)) this.#answer(request, 500, this.#retryAfter())
  }

  #carry(from: Leg, to: Leg, request: IncomingRequest, done: () => void, { body, pin }: Carriage = {}): void {
    const timed = request.method === 'UPDATE' && from.state.at !== 'setUp'
    const asked = timed ? this.#services.timers.ask(from, to, request.message) : noTimer
    const before = to.origin
    const outgoing = carriedRequest(request.message, to, { timer: timed ? asked : undefined, body })
    if (outgoing === undefined) {
      this.#answer(request, 483)
      return done()
    }
    const close = this.#host.open()
    let late = false
    const patience = this.#patience(request, () => {
      late = true
    })
    const over = () => {
      patience?.cancel()
      close()
      done()
    }
    this.#services.sip.send(outgoing, {
      onResponse: (response) => {
        if (response.status < 200) return
        this.#host.guard(() => {
          if (response.status >= 300) to.origin = withdrawn(to.origin, before)
          if (late) this.#tooLate(to, before.rest, response)
          else if (timed)
            this.#answeredUpdate({ from, to, request, body, pin }, { asked, before: before.rest }, response)
          else this.#answered(request, from, to, response)
        })
        over()
      },
      onFailure: (error) => {
        to.origin = withdrawn(to.origin, before)
        this.#host.guard(() => late || this.#failed(request, from, to, error))
        over()
      },
    })
  }

  /** RFC 3311 section 5.2: an UPDATE that cannot be answered promptly gets 504. */
  #patience(request: IncomingRequest, giveUp: () => void): Timer | undefined {
    if (request.method !== 'UPDATE') return undefined
    return this.#services.clock.after(updateMilliseconds, () =>
      this.#host.guard(() => {
        this.#answer(request, 504)
        giveUp()
      }),
    )
  }

  /** One side has taken the change and the other was told that it came to nothing: the first is put back. */
  #tooLate(to: Leg, before: string, { status, message }: IncomingResponse): void {
    if (status === 481 || status === 408) return this.#host.lost(to, status)
    if (status < 300 && message.body !== '') this.#putBack(to, before)
  }

  #answeredUpdate(update: CarriedUpdate, { asked, before }: Sent, response: IncomingResponse): void {
    const { from, to, request, pin } = update
    const { timers } = this.#services
    const { status, message } = response
    if (status === 422 && timers.raise(to, message, asked)) {
      return this.#push(from, request, (done) => this.#carry(from, to, request, done, update))
    }
    if (status >= 300) return this.#answered(request, from, to, response)
    learnAllow(to, message)
    const body = pin === undefined ? message.body : pin(message.body)
    if (body === undefined) {
      this.#answer(request, 488)
      return this.#putBack(to, before)
    }
    this.#settle(request)
    const timer = timers.answered(from, to, { request: request.message, response: message, asked })
    request.respond(200, carriedResponse(message, from, 200, { timer, body }))
  }

  #startReInvite(from: Leg, to: Leg, request: IncomingRequest, { body, pin }: Carriage): void {
    const { sip, timers } = this.#services
    const reInvite = new ReInvite(
      { from, to, request, body, pin, sip, timers },
      {
        guard: (run) => this.#host.guard(run),
        open: () => this.#host.open(),
        hold: () => this.#queue.hold(),
        connected: () => this.#reInviteConnected(reInvite),
        refused: (response) => {
          this.#over(reInvite)
          this.#answered(request, from, to, response)
        },
        failed: (error) => {
          this.#over(reInvite)
          this.#failed(request, from, to, error)
        },
        over: () => this.#over(reInvite),
        lost: (status) => this.#host.lost(to, status),
        putBack: (before) => this.#putBack(to, before),
      },
    )
    this.#reInvite = reInvite
    const patience = this.#patience(request, () => reInvite.giveUp())
    reInvite.onOver(() => patience?.cancel())
    this.#unanswered.set(request, from)
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
    this.#settle(reInvite.request)
    if (reInvite.request.method === 'INVITE') {
      const { transactionId } = reInvite.request
      const release = this.#queue.hold()
      this.#unacknowledged.set(transactionId, reInvite)
      reInvite.onAcknowledged(() => {
        this.#unacknowledged.delete(transactionId)
        release()
      })
    }
    this.#over(reInvite)
  }

  #over(reInvite: ReInvite): void {
    reInvite.over()
    this.#settle(reInvite.request)
    if (this.#reInvite === reInvite) this.#reInvite = undefined
  }

  #endHere(from: Leg, to: Leg, request: IncomingRequest, treatment: Exclude<Treatment, { do: 'carry' }>): void {
    if (treatment.do === 'answer') {
      if (treatment.renegotiates === true) this.#consumed = from
      this.#answerHere(from, to, request, treatment.body)
    } else request.respond(treatment.status, { headers: treatment.status === 500 ? this.#retryAfter() : [] })
  }

  /** It goes no further: the other side hears nothing. */
  #answerHere(from: Leg, to: Leg, request: IncomingRequest, body?: string): void {
    const { timers } = this.#services
    const timer = from.state.at === 'setUp' ? noTimer : timers.answeredHere(from, to, request.message)
    if (request.method === 'INVITE') {
      const release = this.#queue.hold()
      this.#unacknowledged.set(request.transactionId, { acknowledged: release, abandon: release })
    }
    answerHere(request, from, timer, body)
  }

  #sendOwn(leg: Leg, other: Leg, method: 'INVITE' | 'UPDATE', done: (outcome: OwnOutcome) => void): void {
    const { sip, timers } = this.#services
    const asked = timers.own(leg, other)
    if (method === 'INVITE') this.#own = leg
    const events = {
      guard: (run: () => void) => this.#host.guard(run),
      open: () => this.#host.open(),
      raise: ({ message }: IncomingResponse) => timers.raise(leg, message, asked),
    }
    sendOwnRequest(sip, ownRequest(leg, method, asked), events, (outcome) => {
      if (method === 'INVITE') this.#own = undefined
      if (outcome.kind === 'Answered') {
        learnAllow(leg, outcome.response.message)
        timers.ownAnswered(leg, other, outcome.response.message, asked)
      }
      done(outcome)
      if (outcome.kind === 'Lost') this.#host.lost(leg, outcome.status)
      else if (outcome.kind === 'Answered') this.#passOn(outcome.response.message, leg, other)
    })
  }

  /** The answer to a refresh should repeat the last description; a peer that moves its media by it must not be lost. */
  #passOn({ method, body }: SipMessage, leg: Leg, other: Leg): void {
    if (method !== 'INVITE' || body === '' || isSameDescription(body, other.origin)) return
    if (other.state.at !== 'up' || answersHere(midcallMode(leg, other))) return
    this.#queue.push((next) => {
      // An offer that is under way brings the news.
      if (this.#stopped || this.#inviteIsPending) return next()
      const before = other.origin
      const { origin } = hideOrigin(body, before, other.listener.address)
      other.origin = { ...origin, carried: origin.rest }
      this.#sendOwn(other, leg, 'INVITE', ({ kind }) => {
        if (kind !== 'Answered') other.origin = withdrawn(other.origin, before)
        next()
      })
    })
  }

  /** Offers what was agreed before to a side that has taken a change which came to nothing. */
  #putBack(leg: Leg, before: string): void {
    const other = this.#host.otherLeg(leg)
    if (before === '' || leg.origin.rest === before || other === undefined || this.#stopped) return
    leg.origin = { ...hideOrigin(before, leg.origin, leg.listener.address).origin, carried: before }
    this.#offerBefore(leg, other, before, mostOffers)
  }

  #offerBefore(leg: Leg, other: Leg, before: string, left: number): void {
    const { clock, random } = this.#services
    const again = (offers: number, milliseconds = offerAgainMilliseconds) =>
      clock.after(milliseconds, () => this.#host.guard(() => this.#offerBefore(leg, other, before, offers)))
    if (this.#stopped || left === 0) return
    const taken = this.#queue.push((next) => {
      const { rest } = leg.origin
      if (!this.#stopped && this.#inviteIsPending) again(left)
      // Once nothing is open: another offer has been agreed on meanwhile, unless this is in force.
      if (this.#stopped || this.#inviteIsPending || rest !== before) return next()
      this.#sendOwn(leg, other, 'INVITE', ({ kind }) => {
        if (kind === 'Glare') again(left - 1, glareMilliseconds(leg.side, random))
        else if (kind === 'Busy' || kind === 'Refused') again(left - 1)
        next()
      })
    })
    if (!taken) again(left)
  }

  #answered(request: IncomingRequest, from: Leg, to: Leg, response: IncomingResponse): void {
    // A target that the hunt has left says that it is not in the call any more; the caller still is.
    if (this.#host.otherLeg(from) !== to) return this.#answer(request, 500, this.#retryAfter())
    const status = callerStatus(response.status)
    this.#settle(request)
    request.respond(status, carriedResponse(response.message, from, status))
    if (response.status === 481 || response.status === 408) this.#host.lost(to, response.status)
  }

  #failed(request: IncomingRequest, from: Leg, to: Leg, error: SipPortError): void {
    if (this.#host.otherLeg(from) !== to) return this.#answer(request, 500, this.#retryAfter())
    this.#answer(request, failureStatus[error.code])
    if (error.code === 'DialogGone') this.#host.lost(to, 481)
  }

  /** It has its final answer, or gets it now. */
  #settle(request: object): void {
    this.#unanswered.delete(request as IncomingRequest)
    if (this.#offering?.request === request) this.#offering = undefined
  }

  #answer(request: IncomingRequest, status: number, headers: HeaderList = []): void {
    this.#settle(request)
    request.respond(status, { headers })
  }

  #retryAfter(): HeaderList {
    return [['Retry-After', String(Math.floor(this.#services.random() * 11))]]
  }
}

const failureStatus: Readonly<Record<SipPortError['code'], number>> = {
  DialogGone: 481,
  InviteInProgress: 491,
  Disconnected: 500,
  Rejected: 500,
}

function exchangesOffers(method: string): boolean {
  return method === 'INVITE' || method === 'UPDATE'
}
