import { isIP, isIPv4 } from 'node:net'

/** 4 or 6 for an IP address, IPv6 without brackets; 0 for anything else. */
export function ipFamily(address: string): 0 | 4 | 6 {
  const family = isIP(address)
  return family === 4 || family === 6 ? family : 0
}

/** The host as it stands in a URI or Via: IPv6 in brackets (RFC 3261 §25.1, IPv6reference). */
export function formatHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

export function formatHostPort(address: string, port: number): string {
  return `${formatHost(address)}:${port}`
}

/** Takes the brackets off an IPv6 reference; leaves everything else as it is. */
export function bareHost(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

/** An IPv4 address that the operating system shows as `::ffff:192.0.2.1`, as 192.0.2.1; others as they are. */
export function unmapped(address: string): string {
  if (!address.startsWith('::ffff:')) return address
  const inner = address.slice(7)
  return isIPv4(inner) ? inner : address
}

/** Two IP addresses are the same, though IPv6 may be written in several ways. */
export function sameAddress(a: string, b: string): boolean {
  if (a === b) return true
  if (!a.includes(':') || !b.includes(':')) return false
  return canonicalIpv6(a) === canonicalIpv6(b)
}

function canonicalIpv6(address: string): string {
  try {
    return new URL(`http://[${address}]`).hostname
  } catch {
    return address.toLowerCase()
  }
}
