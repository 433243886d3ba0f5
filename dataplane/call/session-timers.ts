import type { Clock, Timer } from '#lib/clock.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { glareMilliseconds } from '../policy/glare.ts'
import {
  answerAsk,
  answeredExpires,
  carriedAsk,
  deadlineMilliseconds,
  isCoupled,
  type LegTimer,
  originatedAsk,
  readTimer,
  refreshAfterMilliseconds,
  type Scope,
  scopeOf,
  type Side,
  timerOfAnswer,
  type TimerFields,
  type TimerSide,
  tooShort,
} from '../policy/session-timer.ts'
import type { Leg } from './leg.ts'
import type { OwnOutcome } from './own-request.ts'

/** What the session timers ask of the call. */
export interface SessionTimersHost {
  guard(run: () => void): void
  /** Sends a refresh of our own on the leg, if it is still wanted when its turn comes. */
  refresh(leg: Leg, refresh: Refresh): void
  /** Nobody has refreshed the leg in time. */
  expired(leg: Leg): void
}

export interface Refresh {
  readonly method: 'INVITE' | 'UPDATE'
  /** False when the leg has been refreshed meanwhile; then nothing is sent, and `done` is not called. */
  readonly wanted: () => boolean
  readonly done: (outcome: OwnOutcome) => void
}

/** What people are told of the timer of a leg. Times are milliseconds since 1970. */
export interface SessionRecord {
  readonly refresher: LegTimer['refresher'] | undefined
  readonly intervalSeconds: number | undefined
  /** When we refresh; undefined where a peer does. */
  readonly nextRefreshAt: number | undefined
  /** When the call ends unless it is refreshed. */
  readonly deadlineAt: number | undefined
  readonly because: string
}

interface Armed {
  readonly refresh: Timer | undefined
  readonly refreshAt: number | undefined
  readonly deadline: Timer
  readonly deadlineAt: number
}

/** While a refresh cannot be sent, or was refused, it is tried again after so long. */
const busyMilliseconds = 2_000
const refusedMilliseconds = 10_000

/** So long before the session expires there is a last try, whatever Retry-After wants: what it would spare is gone then. */
const lastTryMilliseconds = 5_000

/**
 * The session timers of a call (RFC 4028): what is said of them on either leg, who refreshes each, and what becomes of a
 * leg that nobody refreshes. Time runs from the last 2xx.
 */
export class SessionTimers {
  readonly #host: SessionTimersHost
  readonly #clock: Clock
  readonly #random: () => number
  readonly #armed = new Map<Side, Armed>()
  #raised = 0
  #stopped = false

  constructor(host: SessionTimersHost, { clock, random }: { clock: Clock; random: () => number }) {
    this.#host = host
    this.#clock = clock
    this.#random = random
  }

  /** Min-SE for the 422 that this request gets; undefined when its interval will do. */
  tooShort(from: Leg, request: SipMessage): number | undefined {
    return tooShort(sideOf(from), readTimer(request))
  }

  /** What a request that comes from the one leg says on the other. */
  ask(from: Leg, to: Leg, request: SipMessage): TimerFields {
    return carriedAsk(readTimer(request), sideOf(to), scope(from, to))
  }

  /** What a request of our own says. */
  own(to: Leg, other: Leg): TimerFields {
    return originatedAsk(sideOf(to), other.timer, scope(to, other))
  }

  /**
   * A 2xx came from the one leg and goes to the other, to the request it was made of: what it says there. Both timers
   * start anew.
   */
  answered(
    from: Leg,
    to: Leg,
    messages: { request: SipMessage; response: SipMessage; asked: TimerFields },
  ): TimerFields {
    const request = readTimer(messages.request)
    const response = readTimer(messages.response)
    const across = scope(from, to) === 'EndToEnd' ? answeredExpires(response, messages.asked) : undefined
    const { fields, timer, coupled } = answerAsk(sideOf(from), request, across, scope(from, to))
    from.timer = timer
    to.timer = timerOfAnswer(sideOf(to), response, messages.asked, coupled)
    this.#arm(from, to)
    this.#arm(to, from)
    return fields
  }

  /** A request of the leg is answered here: what the 2xx says. */
  answeredHere(from: Leg, to: Leg, request: SipMessage): TimerFields {
    const { fields, timer } = answerAsk(sideOf(from), readTimer(request), undefined, 'LegByLeg')
    from.timer = timer
    this.#arm(from, to)
    return fields
  }

  /** A 2xx to a request of our own. */
  ownAnswered(leg: Leg, other: Leg, response: SipMessage, asked: TimerFields): void {
    const answer = readTimer(response)
    // A peer that leaves the timer out of its answer to our refresh may still have it: to go on does no harm.
    if (answer.expires !== undefined || leg.timer?.refresher !== 'Sbc') {
      leg.timer = timerOfAnswer(sideOf(leg), answer, asked, isCoupled(leg.timer, other.timer))
    }
    this.#arm(leg, other)
  }

  /** A 422 to a request of ours: whether a longer interval may do, which the next one asks for. */
  raise(leg: Leg, response: SipMessage, asked: TimerFields): boolean {
    const minimum = readTimer(response).minimum
    const before = asked.expires?.seconds ?? 0
    if (minimum === undefined || minimum <= before || minimum > mostSeconds || this.#raised === mostRaises) return false
    this.#raised++
    leg.timerFloor = minimum
    return true
  }

  stop(): void {
    this.#stopped = true
    for (const armed of this.#armed.values()) disarm(armed)
    this.#armed.clear()
  }

  record({ side, timer, sip }: Leg): SessionRecord {
    const armed = this.#armed.get(side)
    const wall = (at: number | undefined) =>
      at === undefined ? undefined : Math.round(this.#clock.wallTime() + at - this.#clock.now())
    return {
      refresher: timer?.refresher,
      intervalSeconds: timer?.expiresSeconds,
      nextRefreshAt: wall(armed?.refreshAt),
      deadlineAt: wall(armed?.deadlineAt),
      because:
        timer?.because ?? (sip.sessionTimer.mode === 'Disabled' ? 'session timers are disabled here' : 'none agreed'),
    }
  }

  #arm(leg: Leg, other: Leg): void {
    const before = this.#armed.get(leg.side)
    if (before !== undefined) disarm(before)
    this.#armed.delete(leg.side)
    const { timer } = leg
    if (timer === undefined || this.#stopped) return
    const { refresher } = timer
    const deadline = deadlineMilliseconds(timer)
    const refreshIn = refresher === 'Sbc' ? refreshAfterMilliseconds(timer, this.#random()) : undefined
    const now = this.#clock.now()
    this.#armed.set(leg.side, {
      refresh: refreshIn === undefined ? undefined : this.#refreshIn(refreshIn, leg, other),
      refreshAt: refreshIn === undefined ? undefined : now + refreshIn,
      deadline: this.#clock.after(deadline, () => this.#host.guard(() => this.#host.expired(leg))),
      deadlineAt: now + deadline,
    })
  }

  #refreshIn(milliseconds: number, leg: Leg, other: Leg): Timer {
    return this.#clock.after(milliseconds, () => this.#host.guard(() => this.#refresh(leg, other)))
  }

  #refresh(leg: Leg, other: Leg): void {
    const armed = this.#armed.get(leg.side)
    if (armed === undefined) return
    // Anything that has refreshed the leg meanwhile has set its own time.
    const wanted = () => this.#armed.get(leg.side) === armed
    this.#host.refresh(leg, {
      method: refreshMethod(leg),
      wanted,
      done: (outcome) => wanted() && this.#refreshed(leg, other, armed, outcome),
    })
  }

  #refreshed(leg: Leg, other: Leg, armed: Armed, outcome: OwnOutcome): void {
    switch (outcome.kind) {
      case 'Answered':
      case 'Lost':
        return
      case 'LongerInterval':
        return this.#refresh(leg, other)
      case 'NotAllowed':
        leg.allowsUpdate = false
        return this.#refresh(leg, other)
      case 'Busy':
        return this.#again(armed, busyMilliseconds, leg, other)
      case 'Glare':
        return this.#again(armed, glareMilliseconds(leg.side, this.#random), leg, other)
      case 'Refused':
        return this.#again(armed, this.#untilNextTry(armed, outcome.retryAfterMilliseconds), leg, other)
    }
  }

  #untilNextTry({ deadlineAt }: Armed, wanted = refusedMilliseconds): number {
    const left = deadlineAt - lastTryMilliseconds - this.#clock.now()
    return left > 0 ? Math.min(wanted, left) : wanted
  }

  /** RFC 4028 section 7.4: a refresh that fails leaves the session as it was, until it expires. */
  #again(armed: Armed, milliseconds: number, leg: Leg, other: Leg): void {
    this.#armed.set(leg.side, {
      ...armed,
      refresh: this.#refreshIn(milliseconds, leg, other),
      refreshAt: this.#clock.now() + milliseconds,
    })
  }
}

/** In one call. */
const mostRaises = 8

/** A day; a peer that wants more is not served. */
const mostSeconds = 86_400

function sideOf({ side, sip, timer, timerFloor }: Leg): TimerSide {
  return { side, policy: sip.sessionTimer, timer, floor: timerFloor }
}

function scope(one: Leg, other: Leg): Scope {
  return scopeOf(one.sip, other.sip)
}

function refreshMethod({ sip, allowsUpdate, origin }: Leg): 'INVITE' | 'UPDATE' {
  const { method } = sip.sessionTimer
  // Without a description to repeat a re-INVITE would ask for an offer.
  if (origin.rest === '') return 'UPDATE'
  if (method === 'Update') return allowsUpdate === false ? 'INVITE' : 'UPDATE'
  return method === 'Auto' && allowsUpdate === true ? 'UPDATE' : 'INVITE'
}

function disarm({ refresh, deadline }: Armed): void {
  refresh?.cancel()
  deadline.cancel()
}
