import { formatNameAddr, parseNameAddr } from '../message/name-addr.ts'
import type { SipMessage } from '../message/sip-message.ts'
import { transportParam } from '../message/transports.ts'
import type { Listener } from '../transport/transport.ts'

/** Addresses of ours, in which an application may write `localhost` for the listener's host and port. */
const addressHeaders: ReadonlySet<string> = new Set(['From', 'To', 'Contact', 'P-Asserted-Identity'])

const LOCALHOST = /(@|sips?:)localhost(?=[;>?\s]|$)/gi

/** The value with the listener's host and port where the application has written `localhost`. */
export function withoutLocalhost(name: string, value: string, listener: Listener): string {
  if (!value.includes('localhost') || !addressHeaders.has(name)) return value
  return value.replace(LOCALHOST, `$1${listener.hostPort}`)
}

/** Where a listener is reached. */
export function contactOf(listener: Listener): string {
  const { transport, hostPort } = listener
  const parameter = transportParam(transport)
  return parameter === undefined ? `<sip:${hostPort}>` : `<sip:${hostPort};transport=${parameter}>`
}

/**
 * Contacts as an application has given them, line by line. An address without angle brackets gets them: to a peer that looks for
 * those it would name no place (RFC 3261 §20.10 leaves them out at will).
 */
export function contactsOf(message: SipMessage, listener: Listener): readonly string[] {
  return message.values('Contact').map((value) => {
    const address = value.includes('<') ? undefined : parseNameAddr(value)
    return withoutLocalhost('Contact', address === undefined ? value : formatNameAddr(address), listener)
  })
}

/** What a body without Content-Type is: session descriptions tell by themselves. */
export function defaultContentType(body: string): string | undefined {
  return body.startsWith('v=0') ? 'application/sdp' : undefined
}
