import { buildResponse } from '../message/response.ts'
import { reasonPhrase } from '../message/reason-phrases.ts'
import { serialiseText } from '../message/serialise.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { Headers, OutgoingRequest } from '../transaction/outgoing-request.ts'

/** A response of the engine's own, as text. */
export function formatResponse(
  request: SipMessage,
  response: { status: number; reason?: string | undefined; headers?: Headers; toTag?: string },
): string {
  return serialiseText(buildResponse(request, response))
}

/** The CANCEL of an INVITE, as its sender would have written it: the application is told so that the call is over. */
export function formatCancel(invite: SipMessage, reason: string): string {
  const copied = ['Via', 'From', 'To', 'Call-ID'].map((name) => `${name}: ${invite.get(name) ?? ''}\r\n`).join('')
  return (
    `CANCEL ${invite.uri} SIP/2.0\r\n${copied}CSeq: ${invite.cseq} CANCEL\r\n` +
    `Reason: ${reason}\r\nContent-Length: 0\r\n\r\n`
  )
}

/**
 * A response made up here, since nothing came from the network: 408 "timeout" (RFC 3261 §8.1.3.1: "When a timeout error
 * is received from the transaction layer, it MUST be treated as if a 408 (Request Timeout) status code has been
 * received") or 503 "transport" ("… treated as a 503 (Service Unavailable) status code"). X-Engine-Local tells the
 * application that it is one, and X-Engine-Reason why nothing could be sent.
 */
export function formatLocalResponse(
  request: OutgoingRequest,
  via: string,
  cause: 'timeout' | 'transport',
  reason = '',
): string {
  const status = cause === 'timeout' ? 408 : 503
  return (
    `SIP/2.0 ${status} ${reasonPhrase(status)}\r\nVia: ${via}\r\nFrom: ${request.from}\r\nTo: ${request.to}\r\n` +
    `Call-ID: ${request.callId}\r\nCSeq: ${request.cseq} ${request.method}\r\n` +
    `X-Engine-Local: ${cause}\r\n${reason === '' ? '' : `X-Engine-Reason: ${oneLine(reason)}\r\n`}Content-Length: 0\r\n\r\n`
  )
}

/** Errors of TLS quote what the peer has sent, so that anything may be in them. */
function oneLine(text: string): string {
  return text
    .replace(/[^ -~]+/g, ' ')
    .trim()
    .slice(0, 200)
}
