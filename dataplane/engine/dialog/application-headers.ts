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

/** What a body without Content-Type is: session descriptions tell by themselves. */
export function defaultContentType(body: string): string | undefined {
  return body.startsWith('v=0') ? 'application/sdp' : undefined
}
