import { knownMethods } from '../counters.ts'
import { parseNameAddr } from '../message/name-addr.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { Headers } from '../transaction/outgoing-request.ts'
import { isTargetRefresh } from './dialog.ts'
import type { LiveDialog } from './dialog-table.ts'

/** How a request is answered that the application never sees. */
export interface Rejection {
  readonly status: number
  readonly reason?: string
  readonly headers: Headers
}

/** What the engine knows about a request that is in no dialog. */
export interface OutsideFacts {
  /** Another request with its Call-ID, From tag and CSeq is being answered. */
  readonly merged: boolean
  /** It is an INVITE of our own that has come back. */
  readonly own: boolean
  readonly allowed: () => readonly string[]
}

/** Option tags that a request may require; the application carries them out. */
const supportedOptions: ReadonlySet<string> = new Set(['timer', '100rel'])

/** Methods that mean nothing outside a dialog. */
const dialogMethods: ReadonlySet<string> = new Set(['BYE', 'UPDATE', 'PRACK'])

/** Why a request outside a dialog is rejected, in the order of RFC 3261 §8.2; undefined when the application gets it. */
export function checkOutside(request: SipMessage, facts: OutsideFacts): Rejection | undefined {
  const { method } = request
  if (!knownMethods.has(method)) return unknownMethod(facts.allowed)
  // §12.2.2: a To tag without a dialog: "If the UAS wishes to reject the request because it does not wish to recreate the
  // dialog, it MUST respond to the request with a 481 (Call/Transaction Does Not Exist) status code". §15.1.2: "If the BYE
  // does not match an existing dialog, the UAS core SHOULD generate a 481".
  if (request.toTag !== '' || dialogMethods.has(method)) return { status: 481, headers: [] }
  // §8.2.2.1: "If the Request-URI uses a scheme not supported by the UAS, it SHOULD reject the request with a 416".
  if (!/^(?:sips?|tel):/i.test(request.uri)) return { status: 416, headers: [] }
  // §16.3: "If the Max-Forwards header field value is zero, … the element MUST NOT forward the request. If the request was
  // for OPTIONS, the element MAY act as the final recipient … Otherwise, the element MUST return a 483". RFC 7332 §4 has
  // a B2BUA do the same.
  if (method !== 'OPTIONS' && Number(request.get('Max-Forwards') ?? 70) === 0) return { status: 483, headers: [] }
  // §8.2.2.2: "If the request has no tag in the To header field, the UAS core MUST check the request against ongoing
  // transactions. If the From tag, Call-ID, and CSeq exactly match those associated with an ongoing transaction, but the
  // request does not match that transaction …, the UAS core SHOULD generate a 482 (Loop Detected) response".
  if (facts.merged || facts.own) return { status: 482, headers: [] }
  const unsupported = checkRequire(request)
  if (unsupported !== undefined) return unsupported
  // §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or SIPS URI in any request that can
  // result in the establishment of a dialog."
  if (method === 'INVITE' && !request.has('Contact')) return { status: 400, reason: 'Missing Contact', headers: [] }
  return method === 'INVITE' ? checkContact(request) : undefined
}

/** A SUBSCRIBE that some application takes needs a Contact as an INVITE does, to make a dialog (RFC 6665 §8.1, table 1). */
export function checkSubscribe(request: SipMessage): Rejection | undefined {
  if (request.method !== 'SUBSCRIBE') return undefined
  return request.has('Contact') ? checkContact(request) : { status: 400, reason: 'Missing Contact', headers: [] }
}

/** Why a request in a dialog is rejected; `retryAfter` is a random number of seconds from 0 to 10. */
export function checkInside(
  request: SipMessage,
  dialog: LiveDialog,
  allowed: () => readonly string[],
  retryAfter: () => number,
): Rejection | undefined {
  const { method } = request
  // §12.2.2: "If the remote sequence number was not empty, but the sequence number of the request is lower than the remote
  // sequence number, the request is out of order and MUST be rejected with a 500 (Server Internal Error) response."
  if (request.cseq < dialog.state.remoteSequence) {
    return { status: 500, reason: 'CSeq Out of Order', headers: [] }
  }
  if (!knownMethods.has(method)) return unknownMethod(allowed)
  const refused = checkRequire(request) ?? (isTargetRefresh(method) ? checkContact(request) : undefined)
  if (refused !== undefined) return refused
  if (method === 'INVITE') {
    // §14.2: "A UAS that receives a second INVITE before it sends the final response to a first INVITE with a lower CSeq
    // sequence number on the same dialog MUST return a 500 (Server Internal Error) response to the second INVITE and MUST
    // include a Retry-After header field with a randomly chosen value of between 0 and 10 seconds."
    if (dialog.invite?.pending === true) return busyServer(retryAfter)
    // §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST
    // return a 491 (Request Pending) response to the received INVITE."
    if (dialog.ownInvite?.pending === true) return { status: 491, headers: [] }
  }
  // RFC 3311 §5.2: an UPDATE before the final response to an earlier one gets the same 500 with Retry-After.
  if (method === 'UPDATE' && dialog.update?.pending === true) return busyServer(retryAfter)
  return undefined
}

/** The one SIP URI of §8.1.1.8, which becomes the remote target: nothing could be sent to a star, and two are a riddle. */
function checkContact(request: SipMessage): Rejection | undefined {
  if (!request.has('Contact')) return undefined
  const [contact = '', ...others] = request.values('Contact')
  if (others.length === 0 && /^sips?:/i.test(parseNameAddr(contact)?.uri ?? '')) return undefined
  return { status: 400, reason: 'Contact Is Not One SIP URI', headers: [] }
}

function busyServer(retryAfter: () => number): Rejection {
  return { status: 500, headers: [['Retry-After', String(retryAfter())]] }
}

/** §8.2.1: "the UAS … MUST also add an Allow header field" to a 405; to a 501 it tells as much. */
function unknownMethod(allowed: () => readonly string[]): Rejection {
  return { status: 501, headers: [['Allow', allowed().join(', ')]] }
}

/**
 * §8.2.2.3: "If a UAS does not understand an option-tag listed in a Require header field, it MUST respond by generating a
 * response with status code 420 (Bad Extension). The UAS MUST add an Unsupported header field, and list in it those
 * options it does not understand". ACK and CANCEL never come here.
 */
function checkRequire(request: SipMessage): Rejection | undefined {
  if (!request.has('Require')) return undefined
  const unsupported = request.values('Require').filter((option) => !supportedOptions.has(option.toLowerCase()))
  return unsupported.length === 0 ? undefined : { status: 420, headers: [['Unsupported', unsupported.join(', ')]] }
}
