import { detached } from '#lib/detached.ts'
import type { Log } from '#lib/log.ts'
import type { Clock } from '#lib/clock.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { decodeUser, type Uri } from '../engine/message/uri.ts'
import type { OpenListener, RunningConfig } from '../config/running.ts'
import type { Attempt } from '../policy/targets.ts'
import type { Verdict } from '../policy/decide.ts'
import type { HeaderList, IncomingRequest, IncomingResponse, ResponseOptions, SipPort } from '../sip/port.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import { Anchoring, type AnchoringHost } from './anchoring.ts'
import type { CallEvents, CallRecord, CallState, EndCause, LegRecord } from './call-record.ts'
import type { CallTable, DialogOwner } from './call-table.ts'
import { CallCredentials, type OnTrunkChallenge } from './call-credentials.ts'
import { challengedPort } from './challenged-port.ts'
import { callerStatus } from './failure-map.ts'
import { callingNumber, callingUser, contactAt } from './identity-headers.ts'
import { InDialogKeepalive, type KeepaliveHost } from './in-dialog-keepalive.ts'
import { type Leg, type LegEvent, newLeg, step } from './leg.ts'
import { MidCall } from './mid-call.ts'
import type { MidCallHost } from './mid-call.types.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import type { OwnOutcome } from './own-request.ts'
import { Progress } from './progress.ts'
import { carriedReasons, lostReason, sipReason } from './reason-header.ts'
import { passedOn } from './places.ts'
import { carriedBody, carriedResponse, learnAllow, ownRequestHeaders } from './relay.ts'
import type { EnginePool } from '../media/engine-pool.ts'
import type { Side, Uncarried } from '../media/media-port.ts'
import { SetUp, type SetUpHost } from './set-up.ts'
import { type Refresh, SessionTimers, type SessionTimersHost } from './session-timers.ts'
import { newToken } from './token.ts'

/** What calls share. */
export interface CallServices {
  readonly sip: SipPort
  /** What carries media that is anchored. */
  readonly engines: Pick<EnginePool, 'choose'>
  readonly health: TrunkHealth
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly table: CallTable<Call>
  /** Whether a call may be sent to a trunk, by the configuration it lives on; if so, it is counted there. */
  readonly admitsTo: (call: Call, trunk: string, config: RunningConfig) => boolean
  readonly events: CallEvents
  readonly onChallenge: OnTrunkChallenge
}

/** A call to be set up: who asks, and where it may go. */
export interface NewCall {
  readonly invite: IncomingRequest
  readonly called: Uri
  readonly verdict: Verdict & { kind: 'Route' }
  readonly because: readonly string[]
  /** Listener it came in on. */
  readonly listener: OpenListener
  /** The configuration it starts with, and lives on. */
  readonly config: RunningConfig
}

/**
 * One call: leg A to the caller, leg B to whoever takes it. Each leg is a state and a step; here their effects are run,
 * and requests are given to what they concern: the set-up, the mid-call requests, or the end.
 */
export class Call implements DialogOwner, SetUpHost, MidCallHost, SessionTimersHost, KeepaliveHost, AnchoringHost {
  readonly id = newToken()
  readonly invite: IncomingRequest
  readonly called: Uri
  readonly attempts: readonly Attempt[]
  readonly credentials: CallCredentials
  readonly #new: NewCall
  readonly #services: CallServices
  readonly #startedAt: number
  /** One tag for all answers of the call, whoever answers on leg B, and however often it forks. */
  readonly #toTag = newToken()
  readonly #a: Leg
  /** SIP, with challenges answered. */
  readonly #sip: SipPort
  /** Undefined when media goes around the fleet wherever the call goes. */
  readonly #media: Anchoring | undefined
  readonly #setUp: SetUp
  readonly #progress: Progress
  readonly #midCall: MidCall
  readonly #timers: SessionTimers
  readonly #keepalive: InDialogKeepalive
  readonly #dialogs = new Set<string>()
  #b: Leg | undefined
  #attempt: Attempt | undefined
  #ringing = false
  #answeredAt: number | undefined
  /** The 2xx of leg B whose ACK waits for the caller's answer to its offer. */
  #dueAck: IncomingResponse | undefined
  #releaseQueue: () => void = () => {}
  #endReasons: HeaderList = []
  #ended = false
  #forgotten = false
  /** An error has come in between, so the count of what is in flight cannot be trusted any more. */
  #broken = false
  #inFlight = 0

  constructor(call: NewCall, services: CallServices) {
    const { invite, called, verdict, listener } = call
    this.#new = call
    this.#services = services
    this.invite = invite
    this.called = called
    this.attempts = verdict.attempts
    this.#startedAt = services.clock.wallTime()
    this.#a = newLeg({
      side: 'A',
      trunk: verdict.trunk.name,
      target: undefined,
      peer: `${invite.source.address}:${invite.source.port}`,
      listener,
      contact: contactAt(listener, called.user),
      sip: verdict.inbound,
    })
    learnAllow(this.#a, invite.message)
    this.credentials = new CallCredentials(call, services.onChallenge)
    this.#sip = challengedPort(services.sip, this.credentials)
    const anchors = verdict.attempts.some((attempt) => this.#anchors(attempt))
    this.#media = anchors ? new Anchoring(this, { ...services, sip: this.#sip }) : undefined
    const inside = { ...services, sip: this.#media?.port ?? this.#sip }
    this.#timers = new SessionTimers(this, services)
    this.#keepalive = new InDialogKeepalive(this, inside)
    this.#midCall = new MidCall(this, { ...inside, timers: this.#timers })
    this.#progress = new Progress(this, this.#a, { sip: inside.sip, midCall: this.#midCall })
    this.#setUp = new SetUp(this, { ...inside, config: call.config, progress: this.#progress })
  }

  start(): void {
    this.invite.onCancel((cancel) => this.guard(() => this.#cancelled(carriedReasons(cancel))))
    this.#services.table.add(this)
    this.#services.events.started?.(this.record)
    this.guard(() => this.#setUp.start())
  }

  get inboundTrunk(): string {
    return this.#a.trunk
  }

  get record(): CallRecord {
    const { verdict, because, config } = this.#new
    return {
      id: this.id,
      revision: config.revision,
      state: this.#state(),
      calling: callingNumber(this.invite.message),
      called: decodeUser(this.called),
      startedAt: this.#startedAt,
      answeredAt: this.#answeredAt,
      legA: { ...this.#legRecord(this.#a), trunk: verdict.trunk.name },
      legB:
        this.#b === undefined || this.#attempt === undefined
          ? undefined
          : { ...this.#legRecord(this.#b), target: this.#attempt.target.name, route: this.#attempt.route },
      mediaEngine: this.#media?.engine,
      because,
    }
  }

  /** Ends the call from here: an answer or CANCEL while it is set up, BYE to both sides afterwards. */
  hangUp(why: string, status: number): void {
    this.guard(() => {
      this.invite.respond(status, { toTag: this.#toTag })
      this.#end({ kind: 'Ended', why }, sipReason(status, 'Ended by the network'))
    })
  }

  /** The SIP server is gone and all dialogs with it. */
  drop(why: string): void {
    this.#apply(this.#a, 'gone')
    if (this.#b !== undefined) this.#apply(this.#b, 'gone')
    this.#end({ kind: 'Ended', why }, [])
  }

  onRequest(request: IncomingRequest, dialogId: string): void {
    if (this.#media === undefined) return this.#receive(request, dialogId)
    this.#media.receive(this.sideOf(dialogId), request, (carried) => this.#receive(carried, dialogId))
  }

  #receive(request: IncomingRequest, dialogId: string): void {
    const from = dialogId === this.#a.dialogId ? this.#a : this.#b?.dialogId === dialogId ? this.#b : undefined
    const to = from === this.#a ? this.#b : this.#a
    if (request.method === 'ACK')
      return from === this.#a ? this.#acknowledged(request) : this.#midCall.acknowledged(request)
    // Both sides hung up at once: the BYEs crossed.
    if (request.method === 'BYE' && from?.state.at === 'ended') return request.respond(200)
    if (from === undefined || from.state.at === 'ended') return request.respond(481)
    if (request.method === 'BYE') return this.#released(from, request)
    if (request.method === 'PRACK') return this.#progress.acknowledged(from, request)
    if (to === undefined) return request.respond(481)
    this.#midCall.receive(from, to, request)
  }

  onDialogLost(dialogId: string, reason: string): void {
    const leg = dialogId === this.#a.dialogId ? this.#a : this.#b?.dialogId === dialogId ? this.#b : undefined
    if (leg === undefined) return
    this.#services.log.info({ call: this.id, leg: leg.side, reason }, 'a dialog was lost')
    this.#apply(leg, 'gone')
    this.lost(leg, 408)
  }

  // What the set-up asks for.

  newLegB(attempt: Attempt): Leg | undefined {
    const { target, address, port, listener, sip, trunk } = attempt
    if (!this.#services.admitsTo(this, trunk, this.#new.config)) return undefined
    this.#attempt = attempt
    this.#b = newLeg({
      side: 'B',
      trunk,
      target: target.name,
      peer: `${address}:${port}`,
      listener,
      contact: contactAt(listener, callingUser(this.invite.message)),
      sip,
    })
    this.#media?.anchor(this.#anchors(attempt))
    return this.#b
  }

  carryOffer(done: (offer: SipMessage | Uncarried) => void): void {
    if (this.#media === undefined) done(this.invite.message)
    else this.#media.carryOffer(done)
  }

  dialogOpened(leg: Leg, dialogId: string): void {
    if (this.#forgotten) return
    leg.dialogId = detached(dialogId)
    this.credentials.dialogOpened(leg, leg.dialogId)
    this.#dialogs.add(leg.dialogId)
    this.#services.table.bind(leg.dialogId, this)
  }

  serviceRoute({ trunk }: Attempt): readonly string[] {
    const accounts = this.#new.config.trunks.get(trunk)?.registrations ?? []
    return accounts.length === 0 ? [] : this.#services.health.serviceRoute(trunk, callingNumber(this.invite.message))
  }

  askTimer(leg: Leg): TimerFields {
    leg.timerAsked = this.#timers.ask(this.#a, leg, this.invite.message)
    return leg.timerAsked
  }

  raiseTimer(leg: Leg, { message }: IncomingResponse): boolean {
    return this.#timers.raise(leg, message, leg.timerAsked)
  }

  progressed(response: IncomingResponse): void {
    this.#ringing = true
    if (this.#b !== undefined) this.#progress.carry(this.#b, response)
  }

  connected(response: IncomingResponse): void {
    const b = this.#b
    if (b === undefined) return
    this.#dueAck = response
    this.#apply(b, 'answered')
    if (!this.#progress.answerComesInAck(response.message)) this.#acknowledgeB(undefined)
    this.#apply(this.#a, 'answered')
    this.#releaseQueue = this.#midCall.hold()
    this.#answeredAt = this.#services.clock.wallTime()
    learnAllow(b, response.message)
    const timer = this.#timers.answered(this.#a, b, {
      request: this.invite.message,
      response: response.message,
      asked: b.timerAsked,
    })
    for (const leg of [this.#a, b]) this.#keepalive.start(leg)
    this.#media?.answered()
    this.invite.respond(200, {
      ...this.#progress.answered(b, response.message, timer),
      toTag: this.#toTag,
      onDialog: (dialogId) => this.dialogOpened(this.#a, dialogId),
      // The CANCEL was there first: the caller has got 487.
      onRefused: () => this.guard(() => this.#cancelled([])),
    })
    this.#services.events.answered?.(this.record)
  }

  refused(status: number, response: IncomingResponse | undefined, headers: HeaderList): void {
    const heard = response?.local === true ? undefined : response?.message
    const contacts = this.#b === undefined || heard === undefined ? [] : passedOn(heard, this.#a, this.#b)
    const told = heard === undefined || contacts.length > 0 ? status : callerStatus(status)
    const carried = heard === undefined ? { headers } : carriedResponse(heard, this.#a, told, { contacts })
    this.invite.respond(told, { ...carried, toTag: this.#toTag })
    this.#end({ kind: 'Refused', status: told }, [])
  }

  // What the progress of the set-up asks for.

  answerCaller(status: number, options: ResponseOptions): void {
    this.invite.respond(status, {
      ...options,
      toTag: this.#toTag,
      onDialog: (dialogId) => this.dialogOpened(this.#a, dialogId),
    })
  }

  // What anchored media asks for.

  leg(side: Side): Leg | undefined {
    return side === 'A' ? this.#a : this.#b
  }

  offer(leg: Leg, done: (outcome: OwnOutcome) => void): void {
    this.#midCall.refresh(leg, { method: 'INVITE', wanted: () => !this.#ended, done })
  }

  mediaEnded(why: 'Silent' | 'Lost'): void {
    this.#services.log.warn({ call: this.id, engine: this.#media?.engine, why }, 'a call ends for want of its media')
    this.#end({ kind: 'Media', why }, why === 'Silent' ? sipReason(408, 'Media timeout') : sipReason(500, 'Media lost'))
  }

  sideOf(dialogId: string): Side {
    return dialogId === this.#a.dialogId ? 'A' : 'B'
  }

  mediaFailed(status: number, reason: string): void {
    this.#services.log.error({ call: this.id, engine: this.#media?.engine, reason }, 'a call lost its media engine')
    this.hangUp('the media engine failed', status)
  }

  // What the mid-call requests and the session timers ask for.

  otherLeg(leg: Leg): Leg | undefined {
    return leg === this.#a ? this.#b : this.#a
  }

  refresh(leg: Leg, refresh: Refresh): void {
    this.#midCall.refresh(leg, refresh)
  }

  /** RFC 4028 section 10: whoever does not refresh ends a session that was not refreshed. */
  expired(leg: Leg): void {
    this.#services.log.info({ call: this.id, leg: leg.side, timer: leg.timer }, 'a session expired without refresh')
    this.#end({ kind: 'Expired', leg: leg.side }, sipReason(408, 'Session timer expired'))
  }

  lost(leg: Leg, status: number): void {
    // A target that the hunt has left is none of the call any more.
    if (leg !== this.#a && leg !== this.#b) return
    // A peer that does not answer may still think that it is in the call; one that says 481 does not.
    if (status !== 408) this.#apply(leg, 'gone')
    this.#end({ kind: 'Lost', leg: leg.side }, lostReason(status))
  }

  open(): () => void {
    this.#inFlight++
    let open = true
    return () => {
      if (!open) return
      open = false
      this.#inFlight--
      this.#settle()
    }
  }

  guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#services.log.error({ call: this.id, error }, 'a call failed inside the fleet; it is ended')
      this.#endBroken()
    }
  }

  /** When the legs differ, anchored media wins. */
  #anchors(attempt: Attempt): boolean {
    return attempt.sip.media.mode === 'Anchor' || this.#a.sip.media.mode === 'Anchor'
  }

  #cancelled(reasons: HeaderList): void {
    this.#apply(this.#a, 'gone')
    this.#end({ kind: 'Cancelled' }, reasons)
  }

  #released(from: Leg, request: IncomingRequest): void {
    // RFC 3261 section 15.1.2: what is pending in the dialog is answered with 487 before the BYE is.
    if (from.side === 'A') this.invite.respond(487, { toTag: this.#toTag })
    this.#midCall.stop()
    request.respond(200, { headers: [] })
    this.#apply(from, 'gone')
    this.#end({ kind: 'Released', by: from.side }, carriedReasons(request.message))
  }

  #acknowledged(request: IncomingRequest): void {
    if (request.transactionId !== this.invite.transactionId) return this.#midCall.acknowledged(request)
    if (this.#a.state.at !== 'unacknowledged') return
    this.#acknowledgeB(request)
    this.#apply(this.#a, 'acknowledged')
    this.#releaseQueue()
    this.#progress.up()
  }

  #acknowledgeB(ack: IncomingRequest | undefined): void {
    const b = this.#b
    if (this.#dueAck === undefined || b === undefined) return
    this.#dueAck.ack(ack === undefined ? {} : { body: carriedBody(ack.message, b) })
    this.#dueAck = undefined
    this.#apply(b, 'acknowledged')
  }

  /** Both legs, if they are there yet, come to their end. The first cause counts. */
  #end(cause: EndCause, reasons: HeaderList): void {
    if (this.#ended) return
    this.#ended = true
    this.#endReasons = reasons
    // Passed over when the caller has its answer.
    if (this.#a.state.at === 'setUp') this.invite.respond(480, { toTag: this.#toTag })
    this.#timers.stop()
    this.#keepalive.stop()
    this.#midCall.stop()
    this.#setUp.stop(reasons)
    this.#media?.release()
    this.#apply(this.#a, 'hangUp')
    if (this.#b !== undefined) this.#apply(this.#b, 'hangUp')
    this.#services.events.ended?.(this.record, cause)
    this.#settle()
  }

  /** The error may have come in the middle of the end, so what belongs to the end is done again: it does no harm. */
  #endBroken(): void {
    this.#broken = true
    try {
      this.invite.respond(500, { toTag: this.#toTag })
      this.#end({ kind: 'Ended', why: 'error' }, sipReason(500, 'Server Internal Error'))
      this.#apply(this.#a, 'hangUp')
      if (this.#b !== undefined) this.#apply(this.#b, 'hangUp')
      this.#settle()
    } catch (error) {
      this.#services.log.error({ call: this.id, error }, 'a call could not be ended in order; it is forgotten')
      this.#forget()
    }
  }

  #apply(leg: Leg, event: LegEvent): void {
    const [next, ...effects] = step(leg.side, leg.state, event)
    leg.state = next
    for (const effect of effects) {
      if (effect === 'bye') this.#sendBye(leg)
      else {
        this.#dueAck?.ack()
        this.#dueAck = undefined
      }
    }
    if (next.at === 'ended') this.#settle()
  }

  #sendBye({ dialogId }: Leg): void {
    const close = this.open()
    this.#sip.send(
      { method: 'BYE', dialogId, headers: [...ownRequestHeaders(), ...this.#endReasons] },
      { onResponse: ({ status }) => status >= 200 && close(), onFailure: close },
    )
  }

  /** Forgets the call when both legs have ended and nothing of it is in flight any more. */
  #settle(): void {
    if (!this.#ended || (this.#inFlight > 0 && !this.#broken)) return
    if (this.#a.state.at !== 'ended' || (this.#b !== undefined && this.#b.state.at !== 'ended')) return
    this.#forget()
  }

  #forget(): void {
    this.#forgotten = true
    this.#services.table.remove(this, this.#dialogs)
  }

  #state(): CallState {
    if (this.#ended) return 'Ending'
    if (this.#answeredAt !== undefined) return 'Up'
    return this.#ringing ? 'Ringing' : 'Trying'
  }

  #legRecord(leg: Leg): LegRecord {
    const { trunk, peer, listener, dialogId } = leg
    return { trunk, peer, listener: listener.name, dialogId, session: this.#timers.record(leg) }
  }
}
