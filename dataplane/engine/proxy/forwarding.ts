import { serialiseText } from '../message/serialise.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { Headers, OutgoingRequest } from '../transaction/outgoing-request.ts'

/** What `OutgoingRequest` has a place for, and what is counted anew. */
const placed: ReadonlySet<string> = new Set([
  'Via',
  'Max-Forwards',
  'Route',
  'From',
  'To',
  'Call-ID',
  'CSeq',
  'Content-Length',
])

/**
 * The copy of a request that a proxy sends on. RFC 3261 §16.6: the Max-Forwards "MUST be decremented by one", or 70 is put in;
 * everything else "MUST be left" as it is. `added` stand in the place of fields of the same name, `recorded` above those.
 */
export function forwardedRequest(
  request: SipMessage,
  parts: { uri: string; routes: readonly string[]; recorded: Headers; added: Headers },
): OutgoingRequest {
  const { uri, routes, recorded, added } = parts
  const headers: (readonly [string, string])[] = request.lines('Via').map((via) => ['Via', via])
  headers.push(...recorded)
  for (const [name, value] of request.headers()) {
    if (!placed.has(name) && !added.some(([other]) => other === name)) headers.push([name, value])
  }
  headers.push(...added)
  return {
    method: request.method,
    uri,
    routes,
    maxForwards: request.has('Max-Forwards') ? Number(request.get('Max-Forwards')) - 1 : 70,
    from: request.get('From') ?? '',
    to: request.get('To') ?? '',
    callId: request.callId,
    cseq: request.cseq,
    contact: undefined,
    headers,
    body: request.body,
  }
}

/**
 * RFC 3261 §16.7, step 3: "The proxy removes the topmost Via header field value from the response. If no Via header field values
 * remain in the response, the response was meant for this element and MUST NOT be forwarded." Undefined then. `added` go
 * to the end.
 */
export function relayedResponse(response: SipMessage, added: Headers = []): string | undefined {
  const [, ...vias] = response.values('Via')
  if (vias.length === 0) return undefined
  const headers: (readonly [string, string])[] = vias.map((via) => ['Via', via])
  for (const [name, value] of response.headers()) if (name !== 'Via') headers.push([name, value])
  const { status, reason, body } = response
  return serialiseText({ startLine: `SIP/2.0 ${status} ${reason}`, headers: [...headers, ...added], body })
}
