import { isIP, isIPv6 } from 'node:net'

/** An address or block in its one canonical spelling, so that equal blocks are equal texts; undefined when it is none. */
export function canonicalBlock(text: string): string | undefined {
  const [address = '', prefix] = text.split('/')
  const family = isIP(address)
  if (family === 0) return undefined
  const width = family === 4 ? 32 : 128
  const length = prefix === undefined ? width : Number(prefix)
  if (!Number.isInteger(length) || length < 0 || length > width) return undefined
  const free = BigInt(width - length)
  const network = ((family === 4 ? bitsOfIPv4(address) : bitsOfIPv6(address)) >> free) << free
  const canonical = family === 4 ? textOfIPv4(network) : textOfIPv6(network)
  return length === width ? canonical : `${canonical}/${length}`
}

/** `IPv4` or `IPv6` for an address, undefined for a DNS name. */
export function familyOf(host: string): 'IPv4' | 'IPv6' | undefined {
  if (isIP(host) === 0) return undefined
  return isIPv6(host) ? 'IPv6' : 'IPv4'
}

/** A host as it is compared: addresses in canonical spelling, names in lower case without the closing dot. */
export function canonicalHost(host: string): string {
  return canonicalBlock(host) ?? host.toLowerCase().replace(/\.$/, '')
}

function bitsOfIPv4(address: string): bigint {
  return address.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n)
}

function textOfIPv4(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.')
}

function bitsOfIPv6(address: string): bigint {
  // The URL standard's host parser spells IPv6 one way: no dotted tail, lower case, the longest run of zeros as `::`.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n)
}

function textOfIPv6(bits: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
