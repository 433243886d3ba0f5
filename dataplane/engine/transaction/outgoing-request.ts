import type { Listener } from '../transport/transport.ts'

/** Header fields in order, names in their long form. */
export type Headers = readonly (readonly [name: string, value: string])[]

/** A request to send, whole but for Via, which depends on where it leaves from. One character per byte. */
export interface OutgoingRequest {
  readonly method: string
  readonly uri: string
  /** Values of Route in order. */
  readonly routes: readonly string[]
  readonly maxForwards: number
  /** From and To with their tags. */
  readonly from: string
  readonly to: string
  readonly callId: string
  readonly cseq: number
  readonly contact: string | undefined
  /** Everything else. */
  readonly headers: Headers
  readonly body: string
}

/** The request as text, headers that proxies look at first (RFC 3261 §7.3.1 recommends it). */
export function formatRequest(request: OutgoingRequest, branch: string, listener: Listener): string {
  let text = `${request.method} ${request.uri} SIP/2.0\r\nVia: ${formatOwnVia(branch, listener)}\r\nMax-Forwards: ${request.maxForwards}\r\n`
  for (const route of request.routes) text += `Route: ${route}\r\n`
  text += `From: ${request.from}\r\nTo: ${request.to}\r\nCall-ID: ${request.callId}\r\nCSeq: ${request.cseq} ${request.method}\r\n`
  if (request.contact !== undefined) text += `Contact: ${request.contact}\r\n`
  for (const [name, value] of request.headers) text += `${name}: ${value}\r\n`
  return `${text}Content-Length: ${request.body.length}\r\n\r\n${request.body}`
}

/**
 * RFC 3581 §3: "The client MUST … insert an "rport" parameter into the top Via header field value", so that the answer
 * finds its way back through a NAT; over a connection it has no use. RFC 5923 §5: over TLS `alias` offers the peer to send
 * its requests over the same connection.
 */
export function formatOwnVia(branch: string, listener: Listener): string {
  const asked = listener.transport === 'TLS' ? ';alias' : listener.reliable ? '' : ';rport'
  return `SIP/2.0/${listener.transport} ${listener.hostPort};branch=${branch}${asked}`
}

/**
 * ACK of a 300–699. RFC 3261 §17.1.1.3: "The ACK … MUST contain values for the Call-ID, From, and Request-URI that are
 * equal to the values of those header fields in the request … The To header field in the ACK MUST equal the To header
 * field in the response being acknowledged", the Via is the top Via of the request, and Route is copied.
 */
export function acknowledgeFailure(invite: OutgoingRequest, to: string): OutgoingRequest {
  return { ...invite, method: 'ACK', to, contact: undefined, maxForwards: 70, headers: [], body: '' }
}

/**
 * CANCEL. RFC 3261 §9.1: "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the CANCEL
 * request MUST be identical to those in the request being cancelled, including tags", with its top Via and its Route.
 */
export function cancelOf(invite: OutgoingRequest, headers: Headers): OutgoingRequest {
  return { ...invite, method: 'CANCEL', contact: undefined, maxForwards: 70, headers, body: '' }
}
