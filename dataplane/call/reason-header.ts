import type { SipMessage } from '../engine/message/sip-message.ts'
import type { HeaderList } from '../sip/port.ts'

/** RFC 3326: protocol, cause, and a text only when it is words: free text could name a host. */
const reason = /^(SIP|Q\.850|[A-Za-z0-9-]+)\s*(;.*)?$/i
const cause = /;\s*cause\s*=\s*(\d{1,3})/i
const words = /;\s*text\s*=\s*"([A-Za-z ,'-]*)"/i

/** The Reason fields of a BYE or CANCEL, for the other leg: protocol, cause, and the text where it is plain words. */
export function carriedReasons(message: SipMessage): HeaderList {
  const fields: [string, string][] = []
  for (const value of message.values('Reason')) {
    const protocol = reason.exec(value)?.[1]
    const code = cause.exec(value)?.[1]
    if (protocol === undefined || code === undefined) continue
    const text = words.exec(value)?.[1]
    fields.push(['Reason', `${protocol};cause=${code}${text === undefined ? '' : `;text="${text}"`}`])
  }
  return fields
}

/** A Reason of our own, by SIP status code (RFC 3326 section 2). */
export function sipReason(status: number, text: string): HeaderList {
  return [['Reason', `SIP;cause=${status};text="${text}"`]]
}
