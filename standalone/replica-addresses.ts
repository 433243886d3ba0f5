import { isIPv6 } from 'node:net'

/** Replicas that have a loopback address of their own. */
export const mostReplicas = 253

/**
 * Addresses of replica `index`: those given on the command line, or else 127.0.0.(1+index), and ::1 for the first one,
 * since the loopback network of IPv6 has no other. Undefined when there is none for it.
 */
export function addressesOf(
  index: number,
  given: readonly (readonly string[])[] | undefined,
): readonly string[] | undefined {
  if (given !== undefined) return given[index]
  if (index >= mostReplicas) return undefined
  const address = `127.0.0.${index + 1}`
  return index === 0 ? [address, '::1'] : [address]
}

/** The one of a replica's addresses that a listener of the family is bound to. */
export function addressFor(family: 'IPv4' | 'IPv6', addresses: readonly string[]): string | undefined {
  return addresses.find((address) => isIPv6(address) === (family === 'IPv6'))
}
