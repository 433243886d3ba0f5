import { formatHostPort } from './uri.ts'

/** The port of a URI or Via that names none: RFC 3261 §19.1.2 and §18.2.2, RFC 7118 §5.3 for WebSocket. */
export function defaultPort(transport: string): number {
  if (transport === 'TLS') return 5061
  if (transport === 'WS') return 80
  return transport === 'WSS' ? 443 : 5060
}

/**
 * Value of the transport parameter of a URI; undefined for UDP, which is what a URI without means for an address (RFC 3263
 * §4.1). RFC 7118 §5.4 has one value for WebSocket with and without TLS.
 */
export function transportParam(transport: string): string | undefined {
  if (transport === 'UDP') return undefined
  return transport === 'WSS' ? 'ws' : transport.toLowerCase()
}

/**
 * URI of a next hop at an address. Where a certificate is to be shown, the host stays in it and the address is the maddr
 * (RFC 3261 §19.1.1): RFC 5922 §7.3 has the certificate checked against the domain that was asked for.
 */
export function hopUri(
  { host, transport }: { host: string; transport: string },
  { address, port }: { address: string; port: number },
): string {
  const parameter = `transport=${transport.toLowerCase()}`
  const isSecure = transport === 'TLS' || transport === 'WSS'
  if (!isSecure || host === address) return `sip:${formatHostPort(address, port)};${parameter}`
  return `sip:${formatHostPort(host, port)};${parameter};maddr=${formatHostPort(address, undefined)}`
}
