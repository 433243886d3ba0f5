import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { RunningConfig } from '../config/running.ts'
import type { Uri } from '../engine/message/uri.ts'
import { admissionRetryAfter } from '../policy/admission.ts'
import { redirectedTo } from '../policy/redirection.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import type { Attempt } from '../policy/targets.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type {
  ClientTransaction,
  HeaderList,
  IncomingRequest,
  IncomingResponse,
  OutgoingRequest,
  SipPort,
} from '../sip/port.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import type { CallFailure } from '../trunks/monitor.ts'
import { retryAfterSeconds } from '../engine/message/delta-seconds.ts'
import type { CallCredentials } from './call-credentials.ts'
import { bridgeInvite, type RingLimit, ringLimit } from './bridge-invite.ts'
import type { Uncarried } from '../media/media-port.ts'
import { type Hunt, type HuntEffect, type HuntEvent, step } from './hunt.ts'
import type { Leg } from './leg.ts'
import { asBefore, type Place, Places } from './places.ts'
import type { Progress } from './progress.ts'
import { ownRequestHeaders } from './relay.ts'
import type { RequestCredentials } from './trunk-credentials.ts'

export interface SetUpServices {
  readonly sip: SipPort
  readonly clock: Clock
  readonly log: Log
  readonly health: TrunkHealth
  /** The configuration that the call lives on. */
  readonly config: RunningConfig
  /** What becomes of provisional answers. */
  readonly progress: Pick<Progress, 'begin' | 'absorb' | 'openedOffer'>
  /** Gives a number in [0, 1). */
  readonly random: () => number
}

/** What the set-up of a call asks of the call. */
export interface SetUpHost {
  readonly invite: IncomingRequest
  readonly called: Uri
  readonly attempts: readonly Attempt[]
  /** Who answers when an INVITE is challenged. */
  readonly credentials: Pick<CallCredentials, 'of'>
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** Makes leg B of an attempt, which takes the place of the one before; none when its trunk may have no more calls. */
  newLegB(attempt: Attempt): Leg | undefined
  /** The caller's INVITE with its offer as it goes to the new leg B; a failure when its media cannot be anchored. */
  carryOffer(done: (offer: SipMessage | Uncarried) => void): void
  /** What the INVITE to that leg says of the session timer. */
  askTimer(leg: Leg): TimerFields
  /** Route that calls by way of this trunk take (RFC 3608 section 5). */
  serviceRoute(attempt: Attempt): readonly string[]
  /** Whether a longer session interval can meet the 422. */
  raiseTimer(leg: Leg, response: IncomingResponse): boolean
  dialogOpened(leg: Leg, dialogId: string): void
  progressed(response: IncomingResponse): void
  connected(response: IncomingResponse): void
  /** Without a response, or with one made up here, `headers` are what the caller is told besides. */
  refused(status: number, response: IncomingResponse | undefined, headers: HeaderList): void
  /** The call stays until what comes back was called: something is still in flight. */
  open(): () => void
}

/** Finds somebody to take the call: sends the INVITEs of leg B, one after the other, and watches the time. */
export class SetUp {
  readonly #host: SetUpHost
  readonly #services: SetUpServices
  readonly #sip: SipPort
  readonly #clock: Clock
  /** Attempts that have said how it is at their target. */
  readonly #observed = new Set<number>()
  /** By attempt, until its final answer: it holds the offer, and a call lasts. */
  readonly #transactions = new Map<number, ClientTransaction>()
  /** By attempt, once it was challenged. */
  readonly #credentials = new Map<number, RequestCredentials>()
  readonly #limit: RingLimit
  readonly #places: Places
  /** The last INVITE, and its final answer; undefined while there is none. */
  #sent: OutgoingRequest | undefined
  #refusal: { readonly trunk: string; readonly message: SipMessage } | undefined
  #hunt: Hunt = { at: 'trying', attempt: 0 }
  #cancelHeaders: HeaderList = []
  #silence: Timer | undefined
  #ringing: Timer | undefined

  constructor(host: SetUpHost, services: SetUpServices) {
    this.#host = host
    this.#services = services
    this.#sip = services.sip
    this.#clock = services.clock
    this.#places = new Places(host.attempts, host.called)
    const configured = host.attempts[0]?.sip.timers.inviteExpiresMilliseconds ?? 0
    this.#limit = ringLimit(host.invite.message, configured)
  }

  start(): void {
    const { milliseconds, status } = this.#limit
    // An invitation that has expired already goes nowhere.
    if (milliseconds === 0) return this.#feed({ type: 'expired', status })
    this.#ringing = this.#clock.after(milliseconds, () =>
      this.#host.guard(() => this.#feed({ type: 'expired', status })),
    )
    this.#run({ do: 'try', attempt: 0 }, undefined)
  }

  /** The caller gave up, or the call ends for another reason: nobody needs to be found any more. */
  stop(cancelHeaders: HeaderList): void {
    this.#cancelHeaders = cancelHeaders
    this.#feed({ type: 'callerGone' })
  }

  #feed(event: HuntEvent, response?: IncomingResponse): void {
    const [next, ...effects] = step(this.#hunt, event, this.#places.list)
    this.#hunt = next
    if (next.at !== 'trying') this.#silence?.cancel()
    if (next.at === 'answered' || next.at === 'over') this.#ringing?.cancel()
    for (const effect of effects) this.#run(effect, response)
  }

  #run(effect: HuntEffect, response: IncomingResponse | undefined): void {
    switch (effect.do) {
      case 'try':
        return this.#try(effect.attempt)
      case 'cancel':
        return this.#transactions.get(effect.attempt)?.cancel(this.#cancelHeaders)
      case 'refuse':
        return this.#host.refused(
          effect.status,
          response,
          effect.full === true ? [['Retry-After', admissionRetryAfter]] : [],
        )
      case 'progress':
        return response && this.#host.progressed(response)
      case 'connect':
        return response && this.#host.connected(response)
      case 'release':
        return response && this.#release(response)
    }
  }

  #try(index: number): void {
    const attempt = this.#places.list[index]
    if (attempt === undefined) return
    // It went down while others were tried.
    if (index > 0 && !this.#services.health.usable(attempt.trunk, attempt.target.name)) {
      return this.#feed({ type: 'failure', attempt: index, failure: notSent })
    }
    const leg = this.#host.newLegB(attempt)
    if (leg === undefined) return this.#feed({ type: 'failure', attempt: index, failure: full })
    const close = this.#host.open()
    this.#host.carryOffer((offer) => {
      if (this.#waitsFor(index)) {
        if ('ok' in offer)
          this.#feed({ type: 'failure', attempt: index, failure: { status: offer.status, local: true } })
        else this.#send(index, attempt, leg, offer)
      }
      close()
    })
  }

  #waitsFor(index: number): boolean {
    return this.#hunt.at !== 'over' && this.#hunt.attempt === index
  }

  #send(index: number, attempt: Place, leg: Leg, offer: SipMessage, refused = this.#refusalFor(attempt)): void {
    const { called } = attempt
    const { progress } = this.#services
    const timer = this.#host.askTimer(leg)
    const body = progress.openedOffer(leg, offer)
    const request = bridgeInvite(offer, called, attempt, leg, {
      ...{ ringMilliseconds: this.#limit.milliseconds, timer, body },
      asked: progress.begin(leg),
    })
    if (request === undefined) return this.#feed({ type: 'failure', attempt: index, failure: tooManyHops })
    this.#silence?.cancel()
    this.#silence = this.#clock.after(attempt.sip.timers.noResponseMilliseconds, () =>
      this.#host.guard(() => {
        this.#observe(index, { status: undefined, retryAfterSeconds: undefined })
        this.#feed({ type: 'silence', attempt: index })
      }),
    )
    const close = this.#host.open()
    const complete = this.#completed(index, attempt, request, refused !== undefined)
    this.#sent = complete
    this.#refusal = undefined
    const transaction = this.#sip.send(refused === undefined ? complete : sameCall(complete, refused), {
      onTrying: () => this.#host.guard(() => this.#feed({ type: 'trying', attempt: index })),
      onResponse: (response) => {
        if (response.status >= 200) this.#transactions.delete(index)
        this.#host.guard(() => {
          this.#remember(index, response)
          if (this.#mayRetry(index, leg, response)) this.#send(index, attempt, leg, offer, response.message)
          else this.#onResponse(index, leg, response)
        })
        if (response.status >= 200) close()
      },
      onFailure: () => {
        this.#transactions.delete(index)
        this.#host.guard(() => this.#feed({ type: 'failure', attempt: index, failure: notSent }))
        close()
      },
    })
    this.#transactions.set(index, transaction)
  }

  /**
   * A redirected call goes on with the identifiers of the INVITE before, if that is over. Another trunk is to learn
   * neither whom it called there, nor which address of ours that peer knows.
   */
  #refusalFor({ redirected, trunk }: Place): SipMessage | undefined {
    return redirected && this.#refusal?.trunk === trunk ? this.#refusal.message : undefined
  }

  /** A final answer that nobody waits for any more says nothing of the INVITE that was sent last. */
  #remember(index: number, { status, message }: IncomingResponse): void {
    const trunk = this.#places.list[index]?.trunk
    if (status >= 300 && trunk !== undefined && this.#waitsFor(index)) this.#refusal = { trunk, message }
    // A call lasts, and what its INVITE offered is of no use any more.
    else if (status >= 200) this.#sent = undefined
  }

  #completed(index: number, attempt: Place, plain: OutgoingRequest, again: boolean): OutgoingRequest {
    const request = again && this.#sent !== undefined ? asBefore(plain, this.#sent) : plain
    const routes = this.#host.serviceRoute(attempt).map((route) => ['Route', route] as const)
    const answers = this.#credentials.get(index)?.headers(request.uri ?? '') ?? []
    const added = [...attempt.diversion, ...routes, ...answers]
    return added.length === 0 ? request : { ...request, headers: [...request.headers, ...added] }
  }

  /**
   * While the hunt still waits for this target: the session interval was too short (RFC 4028 section 7.3), or the INVITE
   * was challenged (RFC 3261 section 22.2).
   */
  #mayRetry(index: number, leg: Leg, response: IncomingResponse): boolean {
    const hunt = this.#hunt
    const { status } = response
    if ((status !== 422 && status !== 401 && status !== 407) || hunt.at === 'over' || hunt.attempt !== index)
      return false
    if (status === 422) return this.#host.raiseTimer(leg, response)
    const credentials = this.#credentials.get(index) ?? this.#host.credentials.of(leg).forRequest('INVITE')
    this.#credentials.set(index, credentials)
    return credentials.meets(response)
  }

  #onResponse(attempt: number, leg: Leg, response: IncomingResponse): void {
    const { status, dialogId, local } = response
    if (status < 300 && dialogId !== undefined && leg.dialogId !== dialogId) this.#host.dialogOpened(leg, dialogId)
    if (status >= 200) this.#observe(attempt, failureOf(response))
    if (status < 200) {
      // Nothing but 18x says anything to a caller.
      const ringing = status >= 180 && status < 190
      if (!ringing && this.#waitsFor(attempt)) this.#services.progress.absorb(response)
      this.#feed({ type: ringing ? 'provisional' : 'trying', attempt }, response)
    } else if (status < 300) this.#feed({ type: 'answer', attempt }, response)
    else if (status < 400 && this.#redirected(attempt, response)) this.#feed({ type: 'redirected', attempt }, response)
    else this.#feed({ type: 'failure', attempt, failure: { status, local } }, response)
  }

  #redirected(index: number, response: IncomingResponse): boolean {
    const place = this.#places.list[index]
    if (place === undefined || place.sip.redirect.mode !== 'Consume' || !this.#waitsFor(index)) return false
    const { log } = this.#services
    const { places, because } = redirectedTo(response.message, place, place.called, this.#services)
    if (because.length > 0) {
      const { callId } = this.#host.invite.message
      log.info({ callId, trunk: place.trunk, because }, 'contacts of a redirection were left out')
    }
    return this.#places.redirect(index, response.status, places)
  }

  #observe(index: number, failure: CallFailure | undefined): void {
    const attempt = this.#places.list[index]
    if (attempt === undefined || this.#observed.has(index)) return
    this.#observed.add(index)
    this.#services.health.observe(attempt, failure)
  }

  #release(response: IncomingResponse): void {
    response.ack()
    const close = this.#host.open()
    this.#sip.send(
      { method: 'BYE', dialogId: response.dialogId, headers: ownRequestHeaders() },
      { onResponse: ({ status }) => status >= 200 && close(), onFailure: close },
    )
  }
}

/** RFC 3261 section 21.5.4: 503 speaks of the server, as silence does; every other answer speaks of the call. */
function failureOf({ status, local, message }: IncomingResponse): CallFailure | undefined {
  if (local) return { status: undefined, retryAfterSeconds: undefined }
  if (status !== 503) return undefined
  return { status, retryAfterSeconds: retryAfterSeconds(message) }
}

/**
 * A retry after 422 goes "with the same Call-ID, From and To" (RFC 4028 section 7.3) and a CSeq one higher. Of the answer
 * only what tells the calls apart is taken: the rest of its From is what the peer has made of ours.
 */
function sameCall(request: OutgoingRequest, { callId, cseq, fromTag }: SipMessage): OutgoingRequest {
  return {
    ...request,
    headers: [
      ...request.headers.map(([name, value]) => [name, name === 'From' ? `${value};tag=${fromTag}` : value] as const),
      ['Call-ID', callId],
      ['CSeq', `${cseq + 1} INVITE`],
    ],
  }
}

const notSent = { status: 503, local: true }
const full = { status: 503, local: true, full: true }
const tooManyHops = { status: 483, local: false }
