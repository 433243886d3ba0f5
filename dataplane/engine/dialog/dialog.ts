import { detached } from '#lib/detached.ts'
import { param } from '../message/params.ts'
import { parseNameAddr, withOneTag } from '../message/name-addr.ts'
import type { SipMessage } from '../message/sip-message.ts'
import { parseUri } from '../message/uri.ts'

/** Everything RFC 3261 §12 calls the state of a dialog, as plain data: it can be stored, and taken up elsewhere. */
export interface Dialog {
  /** `Call-ID;from-tag=…` with the tag of the INVITE's From: forks of one INVITE share it. */
  readonly id: string
  readonly role: 'uac' | 'uas'
  readonly callId: string
  readonly localTag: string
  readonly remoteTag: string
  /** Values of From in our requests and To in theirs, with their tags. */
  readonly local: string
  readonly remote: string
  state: 'early' | 'confirmed'
  localSequence: number
  /** 0 before the peer's first request. */
  remoteSequence: number
  /** URI of the peer's Contact. */
  remoteTarget: string
  /** Values of Route, first hop first. */
  routeSet: readonly string[]
  /** Name of the listener that it lives on. */
  readonly listener: string
}

export function dialogIdOf(callId: string, inviteFromTag: string): string {
  return `${callId};from-tag=${inviteFromTag}`
}

/**
 * RFC 3261 §12.1.1: at the server "the route set MUST be set to the list of URIs in the Record-Route header field from
 * the request, taken in order", the remote target to the Contact, and the remote sequence number to the CSeq.
 */
export function dialogOfServer(
  invite: SipMessage,
  response: { status: number; to: string; toTag: string },
  listener: string,
): Dialog {
  return {
    id: detached(dialogIdOf(invite.callId, invite.fromTag)),
    role: 'uas',
    callId: detached(invite.callId),
    localTag: detached(response.toTag),
    remoteTag: detached(invite.fromTag),
    local: detached(response.to),
    remote: detached(invite.get('From') ?? ''),
    state: response.status < 200 ? 'early' : 'confirmed',
    localSequence: 0,
    remoteSequence: invite.cseq,
    // Nothing can be sent to a peer that names no place; its requests are answered all the same.
    remoteTarget: detached(contactUri(invite) ?? 'sip:nowhere.invalid'),
    routeSet: recordedRoutes(invite),
    listener,
  }
}

/**
 * RFC 3261 §12.1.2: at the client "the route set MUST be set to the list of URIs in the Record-Route header field from
 * the response, taken in reverse order".
 */
export function dialogOfClient(
  invite: {
    readonly from: string
    readonly cseq: number
    readonly listener: string
    readonly fromTag: string
    /** Where the INVITE went: the target, should the peer tell no Contact. */
    readonly uri: string
  },
  response: SipMessage,
): Dialog {
  return {
    id: detached(dialogIdOf(response.callId, invite.fromTag)),
    role: 'uac',
    callId: detached(response.callId),
    localTag: detached(invite.fromTag),
    remoteTag: detached(response.toTag),
    local: detached(invite.from),
    remote: detached(withOneTag(response.get('To') ?? '')),
    state: response.status < 200 ? 'early' : 'confirmed',
    localSequence: invite.cseq,
    remoteSequence: 0,
    remoteTarget: detached(contactUri(response) ?? invite.uri),
    routeSet: reversedRecordRoute(response),
    listener: invite.listener,
  }
}

/** The dialog of a SUBSCRIBE of ours as its first NOTIFY makes it (RFC 6665 §4.4.1). */
export function dialogOfNotify(
  subscribe: { readonly from: string; readonly fromTag: string; readonly cseq: number; readonly listener: string },
  notify: SipMessage,
): Dialog {
  return {
    id: detached(dialogIdOf(notify.callId, subscribe.fromTag)),
    role: 'uac',
    callId: detached(notify.callId),
    localTag: detached(subscribe.fromTag),
    remoteTag: detached(notify.fromTag),
    local: detached(subscribe.from),
    remote: detached(notify.get('From') ?? ''),
    state: 'confirmed',
    localSequence: subscribe.cseq,
    remoteSequence: 0,
    remoteTarget: detached(contactUri(notify) ?? 'sip:nowhere.invalid'),
    routeSet: recordedRoutes(notify),
    listener: subscribe.listener,
  }
}

/** Takes the route set of a request of the peer's. */
export function takeRoutes(dialog: Dialog, request: SipMessage): void {
  dialog.routeSet = recordedRoutes(request)
}

/**
 * RFC 3261 §13.2.2.4: when a 2xx meets its early dialog, "the dialog MUST be transitioned to the "confirmed" state, and
 * the route set for the dialog MUST be recomputed based on the 2xx response … no other values are recomputed", but the
 * remote target, which §12.2.1.2 has the Contact of a 2xx replace.
 */
export function confirmByClient(dialog: Dialog, response: SipMessage): void {
  dialog.state = 'confirmed'
  dialog.routeSet = reversedRecordRoute(response)
  refreshTarget(dialog, response)
}

/** Takes the Contact of a target refresh request, or of its 2xx, as the new remote target (§12.2.1.2, §12.2.2). */
export function refreshTarget(dialog: Dialog, message: SipMessage): void {
  const uri = contactUri(message)
  if (uri !== undefined) dialog.remoteTarget = detached(uri)
}

/**
 * The requests that may change where a peer is reached: re-INVITE (RFC 3261 §12.2), UPDATE (RFC 3311 §5), and those of
 * subscriptions (RFC 5057 §5.4).
 */
export function isTargetRefresh(method: string): boolean {
  return method === 'INVITE' || method === 'UPDATE' || method === 'SUBSCRIBE' || method === 'NOTIFY'
}

export interface Routing {
  readonly uri: string
  readonly routes: readonly string[]
  /** URI of the next hop. */
  readonly nextHop: string
}

/**
 * Request-URI and Route of a request, for a target and a route set. RFC 3261 §12.2.1.1: "If the route set is not empty,
 * and the first URI in the route set contains the lr parameter …, the UAC MUST place the remote target URI into the
 * Request-URI and MUST include a Route header field containing the route set values in order, including all parameters.
 * If the route set is not empty, and its first URI does not contain the lr parameter, the UAC MUST place the first URI
 * from the route set into the Request-URI, stripping any parameters that are not allowed in a Request-URI. The UAC MUST
 * add a Route header field containing the remainder of the route set values in order … The UAC MUST then place the
 * remote target URI into the Route header field as the last value."
 */
export function routeRequest(target: string, routeSet: readonly string[]): Routing {
  const [first, ...rest] = routeSet
  if (first === undefined) return { uri: target, routes: [], nextHop: target }
  const firstUri = parseNameAddr(first)?.uri ?? first
  const parsed = parseUri(firstUri)
  if (parsed?.params !== undefined && param(parsed.params, 'lr') !== undefined) {
    return { uri: target, routes: routeSet, nextHop: firstUri }
  }
  return { uri: withoutHeaders(firstUri), routes: [...rest, `<${target}>`], nextHop: firstUri }
}

/** §19.1.1, table 1: a Request-URI, and a Contact in a dialog, has no headers; the `method` parameter does not belong there either. */
function withoutHeaders(uri: string): string {
  // The user part may hold a question mark of its own.
  const question = uri.indexOf('?', uri.indexOf('@') + 1)
  const plain = question < 0 ? uri : uri.slice(0, question)
  return plain.replace(/;method=[^;]*/i, '')
}

function reversedRecordRoute(response: SipMessage): readonly string[] {
  return recordedRoutes(response).toReversed()
}

/** A route that is no SIP URI leads nowhere; the request that brings a malformed one is refused before. */
function recordedRoutes(message: SipMessage): string[] {
  return message
    .values('Record-Route')
    .filter((value) => isSipAddress(value))
    .map(detached)
}

function isSipAddress(value: string): boolean {
  const uri = parseNameAddr(value)?.uri
  const parsed = uri === undefined ? undefined : parseUri(uri)
  return parsed !== undefined && parsed.scheme !== 'tel'
}

/**
 * The URI of the first Contact, if requests can be sent there. §12.1.1 and §12.1.2 make it the remote target, and §8.1.1.8
 * wants "one SIP or SIPS URI": a `*` or a tel: URI is no place to send a BYE to.
 */
export function contactUri(message: SipMessage): string | undefined {
  const contact = message.get('Contact')
  const uri = contact === undefined ? undefined : parseNameAddr(contact)?.uri
  const parsed = uri === undefined ? undefined : parseUri(uri)
  return uri === undefined || parsed === undefined || parsed.scheme === 'tel' ? undefined : withoutHeaders(uri)
}
