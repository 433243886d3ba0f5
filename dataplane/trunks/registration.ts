import type { RegistrationConfig } from '#api/snapshot.ts'
import type { RegistrationReport } from '#api/wire.ts'
import { deltaSeconds } from '../engine/message/delta-seconds.ts'
import { type NameAddr, parseNameAddr } from '../engine/message/name-addr.ts'
import { param } from '../engine/message/params.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { decodeUser, parseUri } from '../engine/message/uri.ts'
import type { Challenge } from '../digest/digest.ts'
import { canonicalAddress } from './resolution.ts'

/** What the answers to a REGISTER mean, and when to send the next one (RFC 3261 section 10): pure functions. */

export type RegistrationFailure = NonNullable<RegistrationReport['failure']>

/** Longest time between two REGISTERs, whatever was granted: a timer of Node holds 24 days. */
const longestRefreshSeconds = 7 * 86_400

/**
 * Seconds the registrar granted the binding of our Contact, 0 when it lists others only. RFC 3261 section 10.2.4: "The 200 (OK) response […] contains a
 * list of Contact fields enumerating all current bindings", each with its expires parameter; where ours has none it stands
 * in Expires, and where that is missing too it is what was asked for. A registrar that sees us
 * behind a NAT may give our Contact another host and port, which is believed of a single one with our user.
 */
export function grantedSeconds(response: SipMessage, contactUri: string, asked: number): number {
  const contacts = contactsIn(response)
  const ours = ourBinding(contacts, contactUri)
  if (ours === undefined && contacts.length > 0) return 0
  const parameter = ours === undefined ? undefined : param(ours.params, 'expires')
  return deltaSeconds(parameter) ?? deltaSeconds(response.get('Expires')) ?? asked
}

/** Whether the registrar holds bindings of the address of record, and ours is none of them. */
export function listsOthersOnly(response: SipMessage, contactUri: string): boolean {
  const contacts = contactsIn(response)
  return contacts.length > 0 && ourBinding(contacts, contactUri) === undefined
}

function contactsIn(response: SipMessage): NameAddr[] {
  return response.values('Contact').flatMap((value) => parseNameAddr(value) ?? [])
}

function ourBinding(contacts: readonly NameAddr[], contactUri: string): NameAddr | undefined {
  const ours = contacts.find(({ uri }) => sameAddress(uri, contactUri))
  const [only] = contacts
  return ours ?? (contacts.length === 1 && only !== undefined && sameUser(only.uri, contactUri) ? only : undefined)
}

/** Shortest lifetime that a registrar takes, from a 423 (RFC 3261 section 10.2.8). */
export function minExpiresSeconds(response: SipMessage): number | undefined {
  return deltaSeconds(response.get('Min-Expires'))
}

/** Refreshed when so many percent of what was granted have passed: several attempts fit in before the binding lapses. */
export function refreshMilliseconds(granted: number, percent: number): number {
  return Math.max(1000, Math.min(granted, longestRefreshSeconds) * percent * 10)
}

/**
 * Whether a challenge is answered, `before` being how many this request was answered on already. RFC 7616 section 3.3: a
 * challenge that is not stale says that "the username and/or password are invalid", so the same ones are not tried twice.
 * Three times stale in a row is a registrar whose nonces never last.
 */
export function mayAnswer(challenge: Challenge, before: number): boolean {
  return before === 0 || (challenge.stale && before < 3)
}

/** A refusal that ends the binding at once, or one that may pass while the binding lasts. */
export interface Refusal {
  readonly failure: RegistrationFailure
  readonly lasting: boolean
}

/** What a final answer of 300 and above means, once challenges and 423 are dealt with. */
export function refusalOf(status: number, withCredentials: boolean): Refusal {
  if (withCredentials && (status === 401 || status === 403 || status === 407)) {
    return { failure: 'AuthFailed', lasting: true }
  }
  const passing = status === 408 || status === 480 || (status >= 500 && status < 600)
  return { failure: 'Rejected', lasting: !passing }
}

/**
 * Milliseconds to the next attempt after so many failures in a row. RFC 5626 section 4.5: the wait doubles from a base to
 * a maximum, and is then drawn from its upper half, so that the clients of a registrar that was away do not all come back
 * at once. Its 30 s and 1,800 s are for phones that keep a second flow; a trunk without its binding gets no calls, so here
 * it is 5 s and 120 s unless configured. Wrong credentials are tried slowly, since registrars lock accounts, and since new
 * ones are tried at once.
 */
export function backoffMilliseconds(
  failure: RegistrationFailure,
  failures: number,
  retryAfter: number | undefined,
  random: number,
  retry: RegistrationConfig['retry'],
): number {
  const { minSeconds, maxSeconds } = failure === 'AuthFailed' ? { minSeconds: 120, maxSeconds: 1800 } : retry
  const drawn = Math.min(maxSeconds, minSeconds * 2 ** Math.max(0, failures - 1)) * (0.5 + 0.5 * random)
  return 1000 * Math.max(drawn, Math.min(retryAfter ?? 0, 1800))
}

function sameUser(uri: string, other: string): boolean {
  const a = parseUri(uri)
  const b = parseUri(other)
  return a !== undefined && b !== undefined && decodeUser(a) === decodeUser(b)
}

/** User, host and port decide: registrars are seen to drop or add parameters of a Contact. */
function sameAddress(uri: string, other: string): boolean {
  const a = parseUri(uri)
  const b = parseUri(other)
  return (
    a !== undefined &&
    b !== undefined &&
    decodeUser(a) === decodeUser(b) &&
    canonicalAddress(a.host.toLowerCase()) === canonicalAddress(b.host.toLowerCase()) &&
    (a.port ?? 5060) === (b.port ?? 5060)
  )
}
