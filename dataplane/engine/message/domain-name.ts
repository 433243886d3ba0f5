/** A DNS name or IP address as it is compared: lower case, without the closing dot, IPv6 in its one spelling. */
export function comparableName(name: string): string {
  if (!name.includes(':')) return name.toLowerCase().replace(/\.$/, '')
  return URL.canParse(`http://[${name}]`) ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name.toLowerCase()
}

/**
 * Whether one of the names is among those of a certificate. RFC 5922 §7.2: names are compared whole and without regard to
 * case, and "Implementations MUST NOT match any form of wildcard".
 */
export function holdsName(certified: readonly string[], names: readonly string[]): boolean {
  return names.some((name) => certified.includes(comparableName(name)))
}
