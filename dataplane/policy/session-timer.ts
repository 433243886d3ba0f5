import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import { answersHere, type ResolvedSessionTimer } from '#api/session-behaviour.ts'
import { sourceOf } from '../engine/message/chars.ts'
import { ParamCursor, unquote } from '../engine/message/params.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'

/**
 * Who refreshes a session. Never `uac` or `uas`: those are roles in one transaction, and a refresh that the callee sends
 * makes it the `uac`. RFC 4028 section 7.4.
 */
export type Party = 'PeerA' | 'PeerB' | 'Sbc'
export type Role = 'uac' | 'uas'
export type Side = 'A' | 'B'

/** `EndToEnd`: one timer for both legs, and the refreshes of one peer reach the other. */
export type Scope = 'EndToEnd' | 'LegByLeg'

/** The session timer of one leg, as its last 2xx has it. */
export interface LegTimer {
  readonly expiresSeconds: number
  /** On either leg the other peer may be it: its refreshes come through. */
  readonly refresher: Party
  /** How that came about, for people. */
  readonly because: string
}

/** Of one leg, what a negotiation starts from. */
export interface TimerSide {
  readonly side: Side
  readonly policy: ResolvedSessionTimer
  /** The timer that runs. */
  readonly timer: LegTimer | undefined
  /** Min-SE of a 422 on this leg, in seconds: RFC 4028 section 7.1 wants it kept for the whole call. */
  readonly floor: number
}

/** What a message says of the session timer, or shall say. */
export interface TimerFields {
  /** `timer` in Supported. */
  readonly supported: boolean
  /** `timer` in Require; in a 2xx only. */
  readonly required: boolean
  readonly expires: { readonly seconds: number; readonly refresher: Role | undefined } | undefined
  /** Min-SE in seconds; undefined without. */
  readonly minimum: number | undefined
}

export const noTimer: TimerFields = { supported: false, required: false, expires: undefined, minimum: undefined }

/**
 * In seconds. RFC 4028 section 4: "The absolute minimum for the Session-Expires header field is 90 seconds", and section 5
 * of Min-SE: "its value MUST NOT be less than 90 seconds". A peer that says less is held to that.
 */
const absoluteMinimum = 90

const deltaSeconds = /^(\d{1,9})\s*(?:;|$)/

/** Reads the fields of RFC 4028. A Session-Expires or Min-SE that is no number of seconds counts as not there. */
export function readTimer(message: SipMessage): TimerFields {
  const value = message.get('Session-Expires')
  const seconds = value === undefined ? undefined : deltaSeconds.exec(value)?.[1]
  const role = value === undefined ? undefined : refresherIn(value)
  const minimum = deltaSeconds.exec(message.get('Min-SE') ?? '')?.[1]
  const required = hasTimer(message.values('Require'))
  return {
    // RFC 4028 section 8.1: a proxy puts no refresher into Session-Expires, so whoever did supports the timer.
    supported: required || role !== undefined || hasTimer(message.values('Supported')),
    required,
    expires: seconds === undefined ? undefined : { seconds: Number(seconds), refresher: role },
    minimum: minimum === undefined ? undefined : Number(minimum),
  }
}

function refresherIn(value: string): Role | undefined {
  const semicolon = value.indexOf(';')
  if (semicolon < 0) return undefined
  const cursor = new ParamCursor(sourceOf(value))
  cursor.reset(semicolon, value.length)
  while (cursor.next()) {
    if (!cursor.named('refresher')) continue
    const role = unquote(cursor.value).toLowerCase()
    return role === 'uac' || role === 'uas' ? role : undefined
  }
  return undefined
}

function hasTimer(options: readonly string[]): boolean {
  return options.some((option) => option.toLowerCase() === 'timer')
}

/**
 * The header fields but Supported, in which other options may stand beside `timer`. Require is for responses: in an
 * INVITE it would get 420 of a peer that knows no timers.
 */
export function writeTimer({ required, expires, minimum }: TimerFields): [name: string, value: string][] {
  const fields: [string, string][] = []
  if (expires !== undefined) {
    const role = expires.refresher === undefined ? '' : `;refresher=${expires.refresher}`
    fields.push(['Session-Expires', `${expires.seconds}${role}`])
  }
  if (minimum !== undefined) fields.push(['Min-SE', String(minimum)])
  if (required) fields.push(['Require', 'timer'])
  return fields
}

/** Feature item 5: end to end, unless one of the legs wants it by itself or answers refreshes itself. */
export function scopeOf(a: ResolvedSipBehaviour, b: ResolvedSipBehaviour): Scope {
  return keepsToItself(a) || keepsToItself(b) ? 'LegByLeg' : 'EndToEnd'
}

function keepsToItself({ sessionTimer: { mode, takeRefresherRole }, midcall }: ResolvedSipBehaviour): boolean {
  if (answersHere(midcall.mode)) return true
  return mode === 'LegByLeg' || (mode !== 'Disabled' && takeRefresherRole === 'Always')
}

/**
 * Min-SE for a 422 to this request; undefined when its interval will do. RFC 4028 section 9: a UAS may refuse an interval
 * below its minimum, but not to a UAC without support for timers, which could not do anything with the 422 (section 6).
 */
export function tooShort({ policy, floor }: TimerSide, asked: TimerFields): number | undefined {
  const minimum = Math.max(policy.minSeSeconds, floor)
  if (policy.mode === 'Disabled' || !asked.supported || asked.expires === undefined) return undefined
  return asked.expires.seconds < minimum ? minimum : undefined
}

/** The party as its role in a transaction in which we are the client: whoever is not that peer is on our side. */
export function roleOf(party: Party, side: Side): Role {
  return party === peerOf(side) ? 'uas' : 'uac'
}

export function peerOf(side: Side): Party {
  return side === 'A' ? 'PeerA' : 'PeerB'
}

/**
 * What goes out in a request that a request of the other leg makes necessary: the INVITE of leg B, or a re-INVITE or
 * UPDATE that is carried. End to end the interval and the role are those of the request (R1 of feature item 26: what the
 * caller asked, with or without refresher). A request that is silent must not put out a timer that runs on the other leg.
 */
export function carriedAsk(asked: TimerFields, to: TimerSide, scope: Scope): TimerFields {
  const { policy, timer, floor } = to
  if (policy.mode === 'Disabled') return noTimer
  const given = scope === 'EndToEnd' ? asked.expires : undefined
  const least = Math.max(
    absoluteMinimum,
    floor,
    scope === 'EndToEnd' ? (asked.minimum ?? 0) : 0,
    // Section 8.1: a request without support for timers that has too small an interval is not rejected, since that "would
    // result in a call failure"; Min-SE is inserted, and Session-Expires raised to it.
    given === undefined || asked.supported ? 0 : policy.minSeSeconds,
  )
  const wanted = given ?? ownAsk(asked, to)
  const expires = wanted && { ...wanted, seconds: Math.max(wanted.seconds, least) }
  return {
    supported: policy.takeRefresherRole !== 'Never' || asked.supported || scope === 'LegByLeg' || timer !== undefined,
    required: false,
    expires,
    // RFC 4028 section 7.1: Session-Expires is not below Min-SE.
    minimum: Math.min(Math.max(least, policy.minSeSeconds), expires?.seconds ?? Infinity),
  }
}

function ownAsk(asked: TimerFields, { side, policy, timer }: TimerSide): TimerFields['expires'] {
  if (timer !== undefined) return { seconds: timer.expiresSeconds, refresher: roleOf(timer.refresher, side) }
  const always = policy.takeRefresherRole === 'Always'
  if (asked.expires === undefined && !policy.alwaysRequest && !always) return undefined
  const refresher =
    always || policy.preferRefresher === 'Sbc' ? 'uac' : policy.preferRefresher === 'Peer' ? 'uas' : undefined
  return { seconds: policy.expiresSeconds, refresher }
}

/**
 * What goes out in a re-INVITE or UPDATE that is our own. R2 of feature item 26: the interval and the inverted role of
 * the other leg's last 2xx, which is to name the same party from here; R3: always with all of it. A leg that we refresh
 * ourselves has its own.
 */
export function originatedAsk(to: TimerSide, other: LegTimer | undefined, scope: Scope): TimerFields {
  const { side, policy, floor } = to
  if (policy.mode === 'Disabled') return noTimer
  const own = to.timer?.refresher === 'Sbc' || scope === 'LegByLeg' ? to.timer : (other ?? to.timer)
  const seconds = Math.max(own?.expiresSeconds ?? policy.expiresSeconds, floor, absoluteMinimum)
  return {
    supported: true,
    required: false,
    expires: { seconds, refresher: roleOf(own?.refresher ?? 'Sbc', side) },
    minimum: Math.min(Math.max(floor, policy.minSeSeconds), seconds),
  }
}

/**
 * What a 2xx says of the interval, as far as it may: by RFC 4028 section 9 a UAS lowers it no further than to the Min-SE of
 * the request, and one that does is not followed there.
 */
export function answeredExpires(answer: TimerFields, asked: TimerFields): TimerFields['expires'] {
  const least = Math.max(asked.minimum ?? 0, absoluteMinimum)
  return answer.expires && { ...answer.expires, seconds: Math.max(answer.expires.seconds, least) }
}

/** Who refreshes the leg on which we asked, by the 2xx we got; undefined when no timer runs there. */
export function timerOfAnswer(
  leg: TimerSide,
  answer: TimerFields,
  asked: TimerFields,
  otherRefreshes: boolean,
): LegTimer | undefined {
  const { side, policy } = leg
  if (policy.mode === 'Disabled') return undefined
  const peer = peerOf(side)
  const other = peerOf(side === 'A' ? 'B' : 'A')
  const answered = answeredExpires(answer, asked)
  if (answered === undefined) {
    if (policy.takeRefresherRole !== 'Always') return undefined
    const expiresSeconds = asked.expires?.seconds ?? policy.expiresSeconds
    return {
      expiresSeconds,
      refresher: 'Sbc',
      because: `${peer} knows no session timer, and takeRefresherRole is Always`,
    }
  }
  const { seconds, refresher } = answered
  const timer = (party: Party, because: string): LegTimer => ({ expiresSeconds: seconds, refresher: party, because })
  if (refresher === 'uas') return timer(peer, `${peer} named itself in its answer`)
  // RFC 4028 section 9 has the role in every 2xx. A peer that leaves it out will hardly refresh (feature item 26 (d)).
  const named = refresher === undefined ? 'named nobody in its answer' : 'named our side in its answer'
  if (refresher === 'uac' && otherRefreshes) return timer(other, `${peer} ${named}, and ${other} refreshes end to end`)
  if (policy.takeRefresherRole === 'Never' && policy.mode !== 'LegByLeg') return undefined
  return timer('Sbc', `${peer} ${named}, and ${other} does not refresh this leg`)
}

/**
 * Our own 2xx to a request of this leg, by table 2 of RFC 4028: the role in the request holds, and where there is none
 * we choose; to a UAC without support nothing is said. `across` is what the other peer's 2xx says, end to end; undefined
 * leg by leg, or when the other peer knows no timers.
 */
export function answerAsk(
  leg: TimerSide,
  asked: TimerFields,
  across: TimerFields['expires'],
  scope: Scope,
): { readonly fields: TimerFields; readonly timer: LegTimer | undefined; readonly coupled: boolean } {
  const { side, policy } = leg
  const peer = peerOf(side)
  const other = peerOf(side === 'A' ? 'B' : 'A')
  const nothing = { fields: { ...noTimer, supported: policy.mode !== 'Disabled' }, timer: undefined, coupled: false }
  if (policy.mode === 'Disabled') return nothing
  if (!asked.supported) {
    if (policy.takeRefresherRole !== 'Always') return nothing
    const because = `${peer} knows no session timer, and takeRefresherRole is Always`
    return { ...nothing, timer: { expiresSeconds: policy.expiresSeconds, refresher: 'Sbc', because } }
  }
  const seconds = answeredSeconds(leg, asked, across, scope)
  if (seconds === undefined) return nothing
  const role = asked.expires?.refresher ?? across?.refresher ?? chosenRole(policy, asked)
  const coupled = across?.refresher === role && across.seconds === seconds
  const refresher = role === 'uac' ? peer : coupled ? other : 'Sbc'
  return {
    fields: { supported: true, required: role === 'uac', expires: { seconds, refresher: role }, minimum: undefined },
    timer: { expiresSeconds: seconds, refresher, because: reasonOf(refresher, asked, peer, coupled) },
    coupled,
  }
}

/** RFC 4028 section 9: the UAS may lower the interval that was asked for, but not below Min-SE, and never raise it. */
function answeredSeconds(
  { policy }: TimerSide,
  asked: TimerFields,
  across: TimerFields['expires'],
  scope: Scope,
): number | undefined {
  const least = Math.max(asked.minimum ?? 0, absoluteMinimum)
  const most = Math.max(asked.expires?.seconds ?? Infinity, absoluteMinimum)
  if (across !== undefined) return Math.min(Math.max(across.seconds, least), most)
  if (scope === 'EndToEnd') {
    return policy.takeRefresherRole === 'Never' || asked.expires === undefined ? undefined : most
  }
  if (asked.expires === undefined && !policy.alwaysRequest && policy.takeRefresherRole !== 'Always') return undefined
  return Math.min(Math.max(policy.expiresSeconds, least), most)
}

function chosenRole({ preferRefresher, takeRefresherRole }: ResolvedSessionTimer, asked: TimerFields): Role {
  if (preferRefresher === 'Sbc' || takeRefresherRole === 'Always') return 'uas'
  return preferRefresher === 'Peer' || asked.expires !== undefined ? 'uac' : 'uas'
}

function reasonOf(refresher: Party, asked: TimerFields, peer: Party, coupled: boolean): string {
  const by =
    asked.expires?.refresher !== undefined ? `${peer} asked for it so` : 'it was left open by the one who asked'
  if (coupled) return `${by}, and the other peer agreed end to end`
  return refresher === 'Sbc' ? `${by}, and the other peer does not refresh this leg` : by
}

/** Whether a refresh of the one peer refreshes the other leg, too: both have one timer. */
export function isCoupled(a: LegTimer | undefined, b: LegTimer | undefined): boolean {
  return a !== undefined && b !== undefined && a.refresher === b.refresher && a.refresher !== 'Sbc'
}

/** After how long the refresher refreshes: half the interval (RFC 4028 section 7.4), up to a twentieth of that earlier. */
export function refreshAfterMilliseconds({ expiresSeconds }: LegTimer, random: number): number {
  return expiresSeconds * 500 * (1 - random / 20)
}

/**
 * RFC 4028 section 10: the side that does not refresh "SHOULD send a BYE to terminate the session, slightly before the
 * session expiration. The minimum of 32 seconds and one third of the session interval is RECOMMENDED."
 */
export function deadlineMilliseconds({ expiresSeconds }: LegTimer): number {
  return (expiresSeconds - Math.min(32, expiresSeconds / 3)) * 1000
}
