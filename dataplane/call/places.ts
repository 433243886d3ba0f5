import type { SipMessage } from '../engine/message/sip-message.ts'
import type { Uri } from '../engine/message/uri.ts'
import { contactsOf, type RedirectedTo } from '../policy/redirection.ts'
import type { Attempt } from '../policy/targets.ts'
import type { HeaderList, OutgoingRequest } from '../sip/port.ts'
import { carriedUser, contactAt, targetUri } from './identity-headers.ts'
import type { Leg } from './leg.ts'

/** A place that the call may be sent to, and whom it calls there. */
export interface Place extends Attempt {
  readonly called: Uri
  /** A redirection has led there; the others were decided with the call. */
  readonly redirected: boolean
  /** How often the call was redirected on its way there. */
  readonly hops: number
  /** What the call says of that (RFC 5806); nothing where it was not redirected. */
  readonly diversion: HeaderList
}

/** More places than that would keep a caller waiting, and peers busy, for nothing. */
const mostRedirected = 32

/** The places of a call in the order in which they are tried. Redirections put others in between. */
export class Places {
  readonly list: Place[]

  constructor(attempts: readonly Attempt[], called: Uri) {
    this.list = attempts.map((attempt) => ({ ...attempt, called, redirected: false, hops: 0, diversion: [] }))
  }

  /**
   * Puts the places that a redirection leads to behind the one that has redirected, and tells whether there is one. RFC
   * 3261 section 8.1.3.4: "a client MUST NOT add any given URI to the target set more than once", nor does it go in circles.
   */
  redirect(index: number, status: number, to: readonly RedirectedTo[]): boolean {
    const from = this.list[index]
    if (from === undefined) return false
    const hops = from.hops + 1
    if (hops > from.sip.redirect.maxHops) return false
    const known = new Set(
      [...this.list.slice(0, index + 1), ...this.list.filter(({ redirected }) => redirected)].map(nameOf),
    )
    let room = mostRedirected - this.list.filter(({ redirected }) => redirected).length
    const places: Place[] = []
    for (const { attempt, called } of to) {
      const diversion = diversionOf(from.called, attempt, status, hops)
      const place = { ...attempt, called, redirected: true, hops, diversion }
      const name = nameOf(place)
      if (known.has(name) || room-- <= 0) continue
      known.add(name)
      places.push(place)
    }
    this.list.splice(index + 1, 0, ...places)
    return places.length > 0
  }
}

function nameOf(place: Place): string {
  return `${targetUri(place.called, place)} ${place.address} ${place.port}`
}

/**
 * Feature item 20: of a redirection that was followed, who was called before and why that was not the end; at the address
 * of ours that the next peer knows.
 */
function diversionOf(called: Uri, { listener }: Attempt, status: number, hops: number): HeaderList {
  const reason = status === 301 || status === 302 ? 'unconditional' : 'unknown'
  return [['Diversion', `<sip:${carriedUser(called)}@${listener.address}>;reason=${reason};counter=${hops}`]]
}

/**
 * RFC 3261 section 8.1.3.4: "It is RECOMMENDED that the UAC reuse the same To, From, and Call-ID used in the original
 * redirected request".
 */
export function asBefore(request: OutgoingRequest, before: OutgoingRequest): OutgoingRequest {
  const kept = before.headers.filter(([name]) => name === 'From' || name === 'To')
  return { ...request, headers: [...kept, ...request.headers.filter(([name]) => name !== 'From' && name !== 'To')] }
}

/**
 * The contacts of a redirection for the caller, best first, where they are passed on: whom to call stays, and the host
 * becomes that of this fleet, where the call comes again and is routed as any other.
 */
export function passedOn(response: SipMessage, a: Leg, b: Leg): HeaderList {
  if (b.sip.redirect.mode !== 'PassThrough') return []
  const users = new Set(contactsOf(response).map((uri) => carriedUser(uri)))
  users.delete('')
  return [...users].map((user) => ['Contact', contactAt(a.listener, user)] as const)
}
