import { reasonPhrase } from './reason-phrases.ts'
import type { HeaderFields, MessageParts } from './serialise.ts'
import type { SipMessage } from './sip-message.ts'

/** What a response adds to what it takes from its request. */
export interface ResponseParts {
  readonly status: number
  /** The registered phrase otherwise. */
  readonly reason?: string | undefined
  /** Header fields of its own, after those it takes from the request. */
  readonly headers?: HeaderFields | undefined
  readonly body?: string | Buffer | undefined
  /** Put on To where the request has none. A 100 never gets one. */
  readonly toTag?: string | undefined
}

/**
 * A response as RFC 3261 §8.2.6 has it. §8.2.6.2: "The From field of the response MUST equal the From header field of
 * the request. The Call-ID header field of the response MUST equal the Call-ID header field of the request. The CSeq
 * header field of the response MUST equal the CSeq field of the request. The Via header field values in the response
 * MUST equal the Via header field values in the request and MUST maintain the same ordering." A field that a malformed
 * request lacks is left out.
 */
export function buildResponse(request: SipMessage, parts: ResponseParts): MessageParts {
  const { status, reason = reasonPhrase(status), toTag } = parts
  const headers: (readonly [string, string])[] = []
  for (const via of request.lines('Via')) headers.push(['Via', via])
  // §12.1.1: "the UAS MUST copy all Record-Route header field values from the request into the response"
  if (status > 100 && status < 300)
    for (const route of request.lines('Record-Route')) headers.push(['Record-Route', route])
  copy(request, 'From', headers)
  const to = request.get('To')
  if (to !== undefined) headers.push(['To', needsTag(request, parts) ? `${to};tag=${toTag ?? ''}` : to])
  copy(request, 'Call-ID', headers)
  copy(request, 'CSeq', headers)
  // §8.2.6.1: "When a 100 (Trying) response is generated, any Timestamp header field present in the request MUST be
  // copied into this 100 (Trying) response."
  if (status === 100) copy(request, 'Timestamp', headers)
  if (parts.headers !== undefined) headers.push(...parts.headers)
  return { startLine: `SIP/2.0 ${status} ${reason}`, headers, body: parts.body }
}

/** §8.2.6.2: "If a request contained a To tag in the request, the To header field in the response MUST equal that of the request." */
function needsTag(request: SipMessage, { status, toTag }: ResponseParts): boolean {
  return status !== 100 && request.toTag === '' && toTag !== undefined && toTag !== ''
}

function copy(request: SipMessage, name: string, headers: (readonly [string, string])[]): void {
  const value = request.get(name)
  if (value !== undefined) headers.push([name, value])
}
