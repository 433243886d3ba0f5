import { reasonPhrase } from '../engine/message/reason-phrases.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type { HeaderList } from '../sip/port.ts'

/** RFC 3326: protocol, cause, and a text only when it is words: free text could name a host. */
const reason = /^(Q\.850|[A-Za-z0-9-]{1,32})\s*(;.*)?$/i
const cause = /;\s*cause\s*=\s*(\d{1,3})/i
const words = /;\s*text\s*=\s*"([A-Za-z ,'-]*)"/i

/** More say nothing that anybody would read. */
const mostReasons = 8

/**
 * The Reason fields of a BYE or CANCEL, for the other leg: protocol, cause, and the text where it is plain words. RFC 3326
 * section 2: "A SIP message MAY contain more than one Reason value (i.e., multiple Reason lines), but all of them MUST have
 * different protocol values"; of two with one protocol the first counts.
 */
export function carriedReasons(message: SipMessage): HeaderList {
  const fields = new Map<string, readonly ['Reason', string]>()
  for (const value of message.values('Reason')) {
    const protocol = reason.exec(value)?.[1]
    const code = cause.exec(value)?.[1]
    const key = protocol?.toUpperCase()
    if (key === undefined || code === undefined || fields.has(key) || fields.size === mostReasons) continue
    const text = words.exec(value)?.[1]
    fields.set(key, ['Reason', `${protocol};cause=${code}${text === undefined ? '' : `;text="${text}"`}`])
  }
  return [...fields.values()]
}

/** A Reason of our own, by SIP status code (RFC 3326 section 2). */
export function sipReason(status: number, text: string): HeaderList {
  return [['Reason', `SIP;cause=${status};text="${text}"`]]
}

/** Why a call is over whose peer has answered so inside the dialog. Only 481 says that the peer has no such call. */
export function lostReason(status: number): HeaderList {
  if (status === 408) return sipReason(status, 'No answer')
  return sipReason(status, status === 481 ? 'No such call' : reasonPhrase(status))
}
