import { parseNameAddr, tagOf } from '../message/name-addr.ts'
import type { SipMessage } from '../message/sip-message.ts'
import { parseUri } from '../message/uri.ts'
import { createCallId, createTag } from '../transaction/identifiers.ts'
import type { Headers, OutgoingRequest } from '../transaction/outgoing-request.ts'
import { bareHost } from '../transport/address.ts'
import type { Listeners } from '../transport/listeners.ts'
import type { Listener } from '../transport/transport.ts'
import { contactOf, contactsOf, defaultContentType, withoutLocalhost } from './application-headers.ts'
import { type Dialog, routeRequest } from './dialog.ts'

/** What the engine writes itself, from the parts of an `OutgoingRequest`. */
const ownHeaders: ReadonlySet<string> = new Set([
  'Via',
  'Max-Forwards',
  'Route',
  'From',
  'To',
  'Call-ID',
  'CSeq',
  'Contact',
  'Record-Route',
  'Content-Length',
])

const contactMethods: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'REFER'])

/** CSeq of our first request in a dialog. RFC 3261 §8.1.1.5 leaves it open below 2^31. */
const FIRST_SEQUENCE = 1

/** The listener whose address and port the Contact names: a request leaves from there. */
export function listenerNamedBy(request: SipMessage, listeners: Listeners): Listener | undefined {
  const contact = request.get('Contact')
  const address = contact === undefined ? undefined : parseNameAddr(contact)
  const uri = address === undefined ? undefined : parseUri(address.uri)
  if (uri === undefined) return undefined
  const transport = uri.params?.find(([name]) => name.toLowerCase() === 'transport')?.[1].toUpperCase()
  return listeners.at(bareHost(uri.host), uri.port ?? 5060, transport)
}

/** Why the application's request cannot be sent; undefined when it can. */
export function findProblem(request: SipMessage): string | undefined {
  const { body } = request
  if (body !== '' && !request.has('Content-Type') && defaultContentType(body) === undefined)
    return 'missing content-type'
  return undefined
}

/** Request-URI, Route and next hop of a request outside a dialog; the application's Route is its route set (§8.1.2). */
export function routeOutside(request: SipMessage): { uri: string; routes: readonly string[]; nextHop: string } {
  return routeRequest(request.uri, request.values('Route'))
}

/**
 * A request outside a dialog, as it leaves from the listener. Call-ID, CSeq number and From tag are the application's if
 * it gives them, which it does to go on after a challenge (RFC 3261 §8.1.3.5), else new.
 */
export function composeOutside(
  request: SipMessage,
  routing: { uri: string; routes: readonly string[] },
  listener: Listener,
): OutgoingRequest {
  const from = withoutLocalhost('From', request.get('From') ?? `<sip:${listener.hostPort}>`, listener)
  return {
    method: request.method,
    uri: routing.uri,
    routes: routing.routes,
    maxForwards: maxForwardsOf(request),
    from: request.fromTag === '' && !hasTag(from) ? `${inBrackets(from)};tag=${createTag()}` : from,
    to: withoutLocalhost('To', request.get('To') ?? `<${request.uri}>`, listener),
    callId: request.get('Call-ID') ?? createCallId(),
    cseq: request.cseq > 0 ? request.cseq : FIRST_SEQUENCE,
    contact: contactFor(request, listener),
    headers: otherHeaders(request, listener),
    body: request.body,
  }
}

/** A request in a dialog (RFC 3261 §12.2.1.1); ACK has the CSeq of its INVITE, any other the next one. */
export function composeInside(
  request: SipMessage,
  dialog: Dialog,
  sequence: number,
  listener: Listener,
): OutgoingRequest & { nextHop: string } {
  const routing = routeRequest(dialog.remoteTarget, dialog.routeSet)
  return {
    method: request.method,
    uri: routing.uri,
    routes: routing.routes,
    nextHop: routing.nextHop,
    maxForwards: maxForwardsOf(request),
    from: dialog.local,
    to: dialog.remote,
    callId: dialog.callId,
    cseq: sequence,
    contact: contactFor(request, listener),
    headers: otherHeaders(request, listener),
    body: request.body,
  }
}

/** BYE or ACK that the engine sends by itself. */
export function composePlain(
  method: 'ACK' | 'BYE',
  dialog: Dialog,
  sequence: number,
  headers: Headers,
): OutgoingRequest & { nextHop: string } {
  const routing = routeRequest(dialog.remoteTarget, dialog.routeSet)
  return {
    method,
    uri: routing.uri,
    routes: routing.routes,
    nextHop: routing.nextHop,
    maxForwards: 70,
    from: dialog.local,
    to: dialog.remote,
    callId: dialog.callId,
    cseq: sequence,
    contact: undefined,
    headers,
    body: '',
  }
}

/** The headers of the application that go out as they are. */
export function otherHeaders(request: SipMessage, listener: Listener): Headers {
  const headers: (readonly [string, string])[] = []
  for (const [name, value] of request.headers()) {
    if (!ownHeaders.has(name)) headers.push([name, withoutLocalhost(name, value, listener)])
  }
  const { body } = request
  const type = body === '' || request.has('Content-Type') ? undefined : defaultContentType(body)
  if (type !== undefined) headers.push(['Content-Type', type])
  return headers
}

function contactFor(request: SipMessage, listener: Listener): string | undefined {
  const given = contactsOf(request, listener)
  if (given.length > 0) return given.join(', ')
  return contactMethods.has(request.method) ? contactOf(listener) : undefined
}

/** §8.1.1.6: "If the Max-Forwards value … This value SHOULD be 70". */
function maxForwardsOf(request: SipMessage): number {
  const given = Number(request.get('Max-Forwards'))
  return request.has('Max-Forwards') && Number.isInteger(given) && given >= 0 && given <= 255 ? given : 70
}

function hasTag(value: string): boolean {
  const address = parseNameAddr(value)
  return address !== undefined && tagOf(address) !== ''
}

/** Without angle brackets a tag would be read as belonging to a URI with parameters (RFC 3261 §20.10). */
function inBrackets(value: string): string {
  return value.includes('<') ? value : `<${value}>`
}
