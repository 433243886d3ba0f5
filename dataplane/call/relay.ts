import type { SipMessage } from '../engine/message/sip-message.ts'
import { nextMaxForwards } from '../policy/max-forwards.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import type { Body, HeaderList, OutgoingRequest, ResponseOptions } from '../sip/port.ts'
import { carriedHeaders } from './header-relay.ts'
import type { Leg } from './leg.ts'
import { hideOrigin } from './sdp-origin.ts'

/** Who we say we are in User-Agent and Server, instead of what the peers said. */
export const product = 'sbcfleet'

const sdpType = /^application\/sdp\s*(;|$)/i

/** Whether the body can be carried in INVITE and UPDATE: a session description that can be read, or none. */
export function hasCarriedBody(message: SipMessage): boolean {
  return message.body === '' || (sdpType.test(message.get('Content-Type') ?? '') && !isEncoded(message))
}

/** Whoever made a compressed description cannot be hidden in it. */
function isEncoded(message: SipMessage): boolean {
  return message.has('Content-Encoding') && !/^identity$/i.test(message.get('Content-Encoding') ?? '')
}

/** RFC 3261 section 8.2.3: a 415 lists what would do. */
export const acceptedBodies: HeaderList = [
  ['Accept', 'application/sdp'],
  ['Accept-Encoding', 'identity'],
]

/**
 * The body as it goes out on the leg: a session description with its origin hidden, anything else byte for byte.
 * Undefined when there is none, even if the message names a type.
 */
export function carriedBody(message: SipMessage, leg: Leg, instead = message.body): Body | undefined {
  const type = message.get('Content-Type')
  if (message.body === '' || type === undefined) return undefined
  return sdpType.test(type) ? describe(instead, leg, type) : { content: message.body, type }
}

/** A session description of the other side as it goes out on the leg. */
export function describe(description: string, leg: Leg, type = 'application/sdp'): Body {
  const { sdp, origin } = hideOrigin(description, leg.origin, leg.listener.address)
  leg.origin = { ...origin, carried: origin.rest }
  return { content: sdp, type }
}

/** The description in force on the leg, to be sent again, byte for byte; undefined before the first. */
export function lastDescription(leg: Leg): Body | undefined {
  if (leg.origin.rest === '') return undefined
  const { sdp, origin } = hideOrigin(leg.origin.rest, leg.origin, leg.listener.address)
  leg.origin = origin
  return { content: sdp, type: 'application/sdp' }
}

/** What was agreed before, to be said again; undefined when nothing was. */
export function agreedBefore(before: string, leg: Leg): Body | undefined {
  if (before === '') return undefined
  leg.origin = { ...hideOrigin(before, leg.origin, leg.listener.address).origin, carried: before }
  return lastDescription(leg)
}

/** Takes note of what the peer of the leg can do. */
export function learnAllow(leg: Leg, message: SipMessage): void {
  if (message.has('Allow')) leg.allowsUpdate = message.values('Allow').includes('UPDATE')
}

/**
 * A request inside a dialog, for the other leg, with another description where one is given; undefined when Max-Forwards
 * allows no further hop.
 */
export function carriedRequest(
  message: SipMessage,
  leg: Leg,
  { timer, body }: { timer?: TimerFields | undefined; body?: string | undefined } = {},
): OutgoingRequest | undefined {
  const maxForwards = nextMaxForwards(message.get('Max-Forwards'), leg.sip.maxForwards)
  if (maxForwards === undefined) return undefined
  return {
    method: message.method,
    dialogId: leg.dialogId,
    fork: leg.fork,
    headers: [
      ...(isTargetRefresh(message.method) ? [['Contact', leg.contact] as const] : []),
      ['Max-Forwards', String(maxForwards)],
      ['User-Agent', product],
      ...carriedHeaders(message, leg.listener.address, { timer, reliability: reliabilityOn(leg) }),
    ],
    body: carriedBody(message, leg, body),
  }
}

/** An answer of one peer, for the other leg. `status` is what it becomes there. */
export function carriedResponse(
  message: SipMessage,
  leg: Leg,
  status: number,
  {
    timer,
    body,
    contacts = [],
  }: { timer?: TimerFields | undefined; body?: string | undefined; contacts?: HeaderList } = {},
): ResponseOptions {
  const formsDialog = status < 300 && isTargetRefresh(message.method)
  return {
    headers: [
      ...(formsDialog ? [['Contact', leg.contact] as const] : contacts),
      ['Server', product],
      ...carriedHeaders(message, leg.listener.address, { timer, reliability: reliabilityOn(leg) }),
    ],
    // An answer to OPTIONS describes the peer's own media addresses, of which this call has none.
    body: status < 300 && message.method !== 'OPTIONS' ? carriedBody(message, leg, body) : undefined,
  }
}

function reliabilityOn({ sip }: Leg): 'None' | 'Prack' {
  return sip.reliable1xx === 'Disabled' ? 'None' : 'Prack'
}

/** Headers of a request that is our own, not a peer's. */
export function ownRequestHeaders(): HeaderList {
  return [
    ['Max-Forwards', '70'],
    ['User-Agent', product],
  ]
}

/** RFC 3261 section 12.2 and RFC 3311 section 5.1: INVITE and UPDATE set the remote target anew. */
function isTargetRefresh(method: string): boolean {
  return method === 'INVITE' || method === 'UPDATE'
}
