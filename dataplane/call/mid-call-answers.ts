import { type TimerFields, writeTimer } from '../policy/session-timer.ts'
import type { HeaderList, IncomingRequest } from '../sip/port.ts'
import { allow, supportedExtensions, unsupportedOptions } from './header-relay.ts'
import type { Leg } from './leg.ts'
import { acceptedBodies, hasCarriedBody, lastDescription, product } from './relay.ts'
import { hideOrigin } from './sdp-origin.ts'
import type { SessionTimers } from './session-timers.ts'

export interface Refusal {
  readonly status: number
  readonly headers: HeaderList
}

/** Requests inside a call that go to the other leg. */
const carried = ['INVITE', 'UPDATE', 'INFO', 'OPTIONS']

/** Why a request inside a call gets no further, whatever else is under way; undefined when it does. */
export function refusalOf(
  from: Leg,
  to: Leg,
  { method, message }: IncomingRequest,
  { timers, random }: { timers: SessionTimers; random: () => number },
): Refusal | undefined {
  if (!carried.includes(method)) return { status: 405, headers: [['Allow', allow]] }
  const options = unsupportedOptions(message, from.sip.reliable1xx)
  if (options.length > 0) return { status: 420, headers: [['Unsupported', options.join(', ')]] }
  const exchangesOffers = method === 'INVITE' || method === 'UPDATE'
  if (exchangesOffers && !hasCarriedBody(message)) return { status: 415, headers: acceptedBodies }
  // RFC 4028 section 9.
  const minimum = exchangesOffers ? timers.tooShort(from, message) : undefined
  if (minimum !== undefined) return { status: 422, headers: [['Min-SE', String(minimum)]] }
  if (to.dialogId === undefined) {
    return { status: 500, headers: [['Retry-After', String(Math.floor(random() * 11))]] }
  }
  return undefined
}

/**
 * Whether the legs of a call are watched by OPTIONS, each by itself (feature item 25). Then OPTIONS asks whether this
 * dialog is alive, and goes no further; otherwise it asks the other side, as INFO does.
 */
export function isWatched(...legs: readonly Leg[]): boolean {
  return legs.some(({ sip }) => sip.inDialogKeepalive.enabled)
}

/** RFC 3261 section 11.2. */
export function answerOptions(request: IncomingRequest): void {
  request.respond(200, {
    headers: [
      ['Allow', allow],
      ['Accept', 'application/sdp'],
      ['Supported', supportedExtensions.join(', ')],
    ],
  })
}

/**
 * The 2xx to an offer that goes no further: with the description that was made for it, or the one that this leg was told
 * last, byte for byte.
 */
export function answerHere(request: IncomingRequest, leg: Leg, timer: TimerFields, body?: string): void {
  const { method, message } = request
  const described = method === 'INVITE' || message.body !== ''
  if (described && body !== undefined) leg.origin = hideOrigin(body, leg.origin, leg.listener.address).origin
  request.respond(200, {
    headers: [
      // RFC 3262 section 7: PRACK is no target refresh, and has no Contact.
      ...(method === 'PRACK' ? [] : [['Contact', leg.contact] as const]),
      ['Server', product],
      ['Allow', allow],
      ...(timer.supported ? [['Supported', 'timer'] as const] : []),
      ...writeTimer(timer),
    ],
    body: described ? lastDescription(leg) : undefined,
  })
}
