import type { SipMessage } from '../engine/message/sip-message.ts'
import type {
  ClientTransaction,
  IncomingRequest,
  IncomingResponse,
  OutgoingRequest,
  SipPort,
  TransactionEvents,
} from '../sip/port.ts'
import { AnchoredRequest, withoutOffer } from './anchored-request.ts'
import type { CallMedia, Carried, Side, Uncarried } from './media-port.ts'
import { descriptionIn } from './session-description.ts'
import { withBody } from './with-body.ts'

/** What the gate asks of the call. */
export interface MediaGateHost {
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** The leg that has the dialog. */
  sideOf(dialogId: string): Side
  /** The engine has failed where one side has been told already: the call cannot go on. */
  mediaFailed(status: number, reason: string): void
}

/**
 * Stands between SIP and a call whose media is anchored. Every description that comes is carried through the engine
 * before the call sees its message, so that a call knows nothing of engines; meanwhile whatever else comes for the call
 * waits, and nothing overtakes. Before `anchor`, everything passes as it is.
 */
export class MediaGate {
  /** The call sends through this. */
  readonly port: SipPort
  readonly #host: MediaGateHost
  readonly #waiting: (() => void)[] = []
  #busy = false
  #over = false
  #media: CallMedia | undefined
  /** The side whose offer has no final answer yet. */
  #offering: Side | undefined
  /** The INVITE whose answer has brought that offer, so that ACK or PRACK brings the answer. */
  #answerDue: OutgoingRequest | undefined
  /** The last offer of leg B in an answer to the first INVITE, and the tag of its fork; whether PRACK has answered it. */
  #offered: { readonly tag: string; readonly carried: string; answered: boolean } | undefined
  /** What each fork of leg B has answered, by its tag, and whose answer the engine has. */
  readonly #answers = new Map<string, string>()
  #answered = ''

  constructor(host: MediaGateHost, sip: SipPort) {
    this.#host = host
    this.port = {
      onRequest: (handler) => sip.onRequest(handler),
      onDialogLost: (handler) => sip.onDialogLost(handler),
      send: (request, events) => this.#send(sip, request, events),
    }
  }

  /** Name of the engine that has the call; undefined while none has. */
  get engine(): string | undefined {
    return this.#media?.engine
  }

  get media(): CallMedia | undefined {
    return this.#media
  }

  /** Another target is tried: its media has nothing to do with that of the one before. Undefined: it goes around. */
  anchor(media: CallMedia | undefined): void {
    this.#media?.release()
    this.#media = media
    this.#offering = undefined
    this.#answerDue = undefined
    this.#offered = undefined
    this.#answers.clear()
    this.#answered = ''
  }

  /** The call is over. */
  release(): void {
    this.#over = true
    this.#media?.release()
  }

  /** Carries the offer of the caller's INVITE; a failure when it cannot be. */
  offer(invite: SipMessage, done: (offer: SipMessage | Uncarried) => void): void {
    const sdp = descriptionIn(invite)
    const media = this.#media
    if (sdp === undefined || media === undefined) return done(invite)
    this.#offering = 'A'
    this.#carry(media, 'offer', 'A', sdp, (carried) => done(carried.ok ? withBody(invite, carried.sdp) : carried))
  }

  /** A request inside the call, but BYE, which ends what waits. */
  receive(from: Side, request: IncomingRequest, run: (request: IncomingRequest) => void): void {
    if (request.method === 'BYE') return run(request)
    this.#pass(() => {
      const media = this.#media
      const sdp = descriptionIn(request.message)
      if (request.method === 'ACK') return this.#receiveAnswer(media, from, request, run)
      const inPrack = request.method === 'PRACK'
      // RFC 3262 section 5: an offer in a reliable provisional answer is answered in its PRACK.
      if (inPrack && sdp !== undefined && this.#answerDue !== undefined) {
        if (this.#offered !== undefined) this.#offered.answered = true
        return this.#receiveAnswer(media, from, request, run)
      }
      if (media === undefined || sdp === undefined || !exchangesOffers(request.method)) return run(request)
      // RFC 3261 section 14.2 and RFC 3311 section 5.2: an offer while another one is open.
      if (this.#offering !== undefined) {
        const glare = this.#offering !== from
        if (inPrack) return run(withoutOffer(request, glare ? 491 : 500))
        return request.respond(glare ? 491 : 500, glare ? {} : { headers: [['Retry-After', '1']] })
      }
      this.#offering = from
      const over = () => (this.#offering = undefined)
      const anchored = new AnchoredRequest(request, media, over)
      this.#carry(media, 'offer', from, sdp, (carried) => {
        // Cancelled meanwhile, it has its answer, and nobody needs to hear of it.
        if (anchored.over) return
        if (carried.ok) run(anchored.with(withBody(request.message, carried.sdp)))
        else if (inPrack) run(withoutOffer(anchored, carried.status))
        else anchored.respond(carried.status)
      })
    })
  }

  #receiveAnswer(
    media: CallMedia | undefined,
    from: Side,
    ack: IncomingRequest,
    run: (request: IncomingRequest) => void,
  ): void {
    const sdp = descriptionIn(ack.message)
    const due = this.#answerDue
    // Without the answer to an offer inside the dialog, the ACK that goes on withdraws it.
    if (sdp !== undefined || (due !== undefined && opensDialog(due))) this.#answerDue = undefined
    if (this.#offering !== undefined && this.#offering !== from) this.#offering = undefined
    if (media === undefined || sdp === undefined) return run(ack)
    this.#carry(media, 'answer', from, sdp, (carried) => {
      if (!carried.ok) this.#failed(media, carried)
      run(new AnchoredRequest(ack, media, () => {}).with(withBody(ack.message, carried.ok ? carried.sdp : '')))
    })
  }

  #send(sip: SipPort, request: OutgoingRequest, events: TransactionEvents): ClientTransaction {
    const media = this.#media
    if (media === undefined || request.method === 'BYE') return sip.send(request, events)
    return sip.send(request, {
      ...events,
      onResponse: (response) => this.#pass(() => this.#receiveResponse(media, request, response, events)),
      onFailure: (error) =>
        this.#pass(() => {
          if (this.#isOpen(request)) this.#close(() => media.withdraw())
          events.onFailure(error)
        }),
    })
  }

  #receiveResponse(
    media: CallMedia,
    request: OutgoingRequest,
    response: IncomingResponse,
    events: TransactionEvents,
  ): void {
    const { message, status } = response
    const sdp = status < 300 && exchangesOffers(request.method) ? descriptionIn(message) : undefined
    if (sdp === undefined) return this.#receiveUndescribed(media, request, response, events)
    const from = request.dialogId === undefined ? 'B' : this.#host.sideOf(request.dialogId)
    // RFC 3261 section 13.2.1: in an answer to an INVITE without one it is an offer.
    const act = request.body === undefined ? 'offer' : 'answer'
    // RFC 3311 section 5.1 and RFC 3262 section 5: only an answer can come back to UPDATE and PRACK.
    if (act === 'offer' && request.method !== 'INVITE') return events.onResponse(withAnother(response, ''))
    const offersFirst = opensDialog(request) && act === 'offer' && media === this.#media
    // RFC 3261 section 13.2.1: "Once the UAS has sent or received an answer to the initial offer, it MUST NOT generate
    // subsequent offers in any responses to the initial INVITE." What it says again is no offer.
    if (offersFirst && this.#offered?.answered === true && this.#offered.tag === message.toTag) {
      return events.onResponse(withAnother(response, this.#offered.carried))
    }
    if (media === this.#media) {
      this.#offering = act === 'offer' ? from : undefined
      this.#answerDue = act === 'offer' ? request : undefined
      if (opensDialog(request) && act === 'answer') this.#answers.set((this.#answered = message.toTag), sdp)
    }
    this.#carry(media, act, from, sdp, (carried) => {
      // A reliable answer is not said again.
      if (!carried.ok && (status >= 200 || message.has('RSeq'))) this.#failed(media, carried)
      const told = carried.ok ? carried.sdp : ''
      if (offersFirst) this.#offered = { tag: message.toTag, carried: told, answered: false }
      events.onResponse(this.#watched(media, request, withAnother(response, told)))
    })
  }

  /** A 2xx whose fork has answered before, while the engine has the answer of another one: that of this fork holds. */
  #receiveUndescribed(
    media: CallMedia,
    request: OutgoingRequest,
    response: IncomingResponse,
    events: TransactionEvents,
  ): void {
    const { status, message } = response
    if (status >= 300 && this.#isOpen(request)) this.#close(() => media.withdraw())
    const answers = opensDialog(request) && media === this.#media && status >= 200 && status < 300
    const before = answers && this.#answered !== message.toTag ? this.#answers.get(message.toTag) : undefined
    if (before === undefined) return events.onResponse(this.#watched(media, request, response))
    this.#answered = message.toTag
    this.#carry(media, 'answer', 'B', before, (carried) => {
      if (!carried.ok) this.#failed(media, carried)
      events.onResponse(response)
    })
  }

  /** Its answer has brought an offer inside the dialog that has no answer yet. */
  #isOpen(request: OutgoingRequest): boolean {
    return this.#answerDue === request && !opensDialog(request)
  }

  #close(how: () => void): void {
    this.#answerDue = undefined
    this.#offering = undefined
    how()
  }

  /**
   * An ACK that leaves while its answer is due has not come from the other side. With a description the call has answered
   * by itself, with what the other side has said before; without one the offer came to nothing.
   */
  #watched(media: CallMedia, request: OutgoingRequest, response: IncomingResponse): IncomingResponse {
    if (!this.#isOpen(request)) return response
    const ack: IncomingResponse['ack'] = (options) => {
      if (this.#isOpen(request)) {
        this.#close(() => (options?.body === undefined ? media.withdraw() : media.settle()))
      }
      response.ack(options)
    }
    const { status, reason, local, dialogId, message } = response
    return { status, reason, local, dialogId, message, ack }
  }

  #failed(media: CallMedia, { status, reason }: Uncarried): void {
    if (media === this.#media && !this.#over) this.#host.mediaFailed(status, reason)
  }

  #carry(media: CallMedia, act: 'offer' | 'answer', from: Side, sdp: string, then: (carried: Carried) => void): void {
    this.#busy = true
    media[act](from, sdp, (carried) => {
      this.#busy = false
      this.#host.guard(() => then(carried))
      this.#drain()
    })
  }

  #pass(run: () => void): void {
    if (!this.#busy && this.#waiting.length === 0) return run()
    this.#waiting.push(run)
    this.#drain()
  }

  #drain(): void {
    while (!this.#busy) {
      const run = this.#waiting.shift()
      if (run === undefined) return
      this.#host.guard(run)
    }
  }
}

function exchangesOffers(method: string): boolean {
  return method === 'INVITE' || method === 'UPDATE' || method === 'PRACK'
}

function opensDialog({ method, dialogId }: OutgoingRequest): boolean {
  return method === 'INVITE' && dialogId === undefined
}

function withAnother(response: IncomingResponse, body: string): IncomingResponse {
  const { status, reason, local, dialogId, message } = response
  return { status, reason, local, dialogId, message: withBody(message, body), ack: (options) => response.ack(options) }
}
