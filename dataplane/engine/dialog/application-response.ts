import { buildResponse } from '../message/response.ts'
import { serialiseText } from '../message/serialise.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { Listener } from '../transport/transport.ts'
import { allowsReliability, requiresReliability } from '../message/reliability.ts'
import { contactOf, contactsOf, defaultContentType, withoutLocalhost } from './application-headers.ts'

export interface Composed {
  readonly text: string
  readonly to: string
  readonly toTag: string
}

export type ComposedResponse = ({ readonly ok: true } & Composed) | { readonly ok: false; readonly reason: string }

/** What the engine takes from the request, or counts, itself. */
const ownHeaders: ReadonlySet<string> = new Set([
  'Via',
  'From',
  'To',
  'Call-ID',
  'CSeq',
  'Contact',
  'Record-Route',
  'Route',
  'Max-Forwards',
  'Content-Length',
  'RSeq',
])

/** Methods whose answers tell a Contact: those that make a dialog or refresh its target. */
const contactMethods: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'REFER'])

/**
 * Whether a response is sent reliably: where the application wants it. RFC 3262 §3: "The UAS MUST send any non-100
 * provisional response reliably if the initial request contained a Require header field with the option tag 100rel."
 */
export function goesReliably(request: SipMessage, response: SipMessage): boolean {
  const { status } = response
  if (request.method !== 'INVITE' || status <= 100 || status >= 200) return false
  return requiresReliability(response) || requiresReliability(request)
}

/** The application's response to the request as it goes on the wire, with its RSeq where it is reliable, or why it does not. */
export function composeResponse(
  request: SipMessage,
  response: SipMessage,
  listener: Listener,
  toTag: string,
  rseq?: number,
): ComposedResponse {
  const { status } = response
  const problem = findProblem(request, response)
  if (problem !== undefined) return { ok: false, reason: problem }
  const headers: (readonly [string, string])[] = []
  const contact = contactFor(request.method, response, listener)
  for (const value of contact) headers.push(['Contact', value])
  if (rseq !== undefined) {
    headers.push(['RSeq', String(rseq)])
    if (!requiresReliability(response)) headers.push(['Require', '100rel'])
  }
  for (const [name, value] of response.headers()) {
    if (!ownHeaders.has(name)) headers.push([name, withoutLocalhost(name, value, listener)])
  }
  const { body } = response
  if (body !== '' && !response.has('Content-Type')) headers.push(['Content-Type', defaultContentType(body) ?? ''])
  const parts = buildResponse(request, { status, reason: response.reason || undefined, headers, body, toTag })
  const to = parts.headers.find(([name]) => name === 'To')?.[1] ?? ''
  return { ok: true, text: serialiseText(parts), to, toTag: request.toTag || toTag }
}

function findProblem(request: SipMessage, response: SipMessage): string | undefined {
  const { status } = response
  const isInvite = request.method === 'INVITE'
  // RFC 4320 §4.1: "An SIP element MUST NOT send any provisional response with a Status-Code other than 100 to a
  // non-INVITE request." §4.2: "MUST NOT send a response with Status-Code of 408 to a non-INVITE request."
  if (!isInvite && status > 100 && status < 200) return `a ${request.method} has no provisional response but 100`
  if (!isInvite && status === 408) return `a ${request.method} is never answered 408`
  // RFC 3262 §3: the UAS "MUST NOT" send one reliably to a request without 100rel in Supported or Require.
  if (status < 200 && requiresReliability(response) && !(isInvite && allowsReliability(request))) {
    return 'Remote endpoint does not support 100rel'
  }
  const { body } = response
  if (body !== '' && !response.has('Content-Type') && defaultContentType(body) === undefined)
    return 'missing content-type'
  return undefined
}

/** §12.1.1: "The UAS MUST add a Contact header field to the response" that makes a dialog. A redirection has its own. */
function contactFor(method: string, response: SipMessage, listener: Listener): readonly string[] {
  const given = contactsOf(response, listener)
  if (given.length > 0) return given
  const { status } = response
  return contactMethods.has(method) && status > 100 && status < 300 ? [contactOf(listener)] : []
}
