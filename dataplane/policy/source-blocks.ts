import { isIPv4, isIPv6 } from 'node:net'

/** An address as bits: one 32-bit word for IPv4, four for IPv6. */
type Words = readonly number[]

interface Block {
  readonly words: Words
  /** Leading bits that must agree. */
  readonly length: number
}

/** Values by address block, found by the longest block that holds an address. Built once, asked for every request. */
export interface BlockTable<T> {
  /** Values of the longest block that holds the address, in the order they were given; none for what is no address. */
  longest(address: string): readonly T[]
}

/** Names of trunks by the blocks their peers may call from, for every listener. */
export type SourceTable = ReadonlyMap<string, BlockTable<string>>

/** Blocks of one family: the lengths in use, longest first, each with the values by the leading bits. */
interface Family<T> {
  lengths: number[]
  readonly byLength: Map<number, Map<string, T[]>>
}

/** Blocks that do not parse are passed over: the schema has refused them before. */
export function compileBlocks<T>(entries: Iterable<readonly [block: string, value: T]>): BlockTable<T> {
  const v4: Family<T> = { lengths: [], byLength: new Map() }
  const v6: Family<T> = { lengths: [], byLength: new Map() }
  for (const [text, value] of entries) {
    const block = parseBlock(text)
    if (block !== undefined) add(block.words.length === 1 ? v4 : v6, block, value)
  }
  for (const family of [v4, v6]) family.lengths = [...family.byLength.keys()].sort((a, b) => b - a)
  return {
    longest(address) {
      const words = parseAddress(address)
      return words === undefined ? [] : find(words.length === 1 ? v4 : v6, words)
    },
  }
}

/** `192.0.2.0/24`, `2001:db8::/32`, or a single address. Undefined when it is none of them. */
function parseBlock(text: string): Block | undefined {
  const slash = text.indexOf('/')
  const words = parseAddress(slash === -1 ? text : text.slice(0, slash))
  if (words === undefined) return undefined
  const bits = words.length * 32
  if (slash === -1) return { words, length: bits }
  const length = Number(text.slice(slash + 1))
  if (!Number.isInteger(length) || length < 0) return undefined
  // ::ffff:192.0.2.0/120 is 192.0.2.0/24.
  const mapped = words.length === 1 && text.includes(':') ? length - 96 : length
  return mapped < 0 || mapped > bits ? undefined : { words, length: mapped }
}

/** IPv4-mapped IPv6 addresses count as IPv4 (RFC 4291 section 2.5.5.2): a dual-stack socket reports them so. */
export function parseAddress(text: string): Words | undefined {
  if (isIPv4(text)) return [ipv4Word(text)]
  const zone = text.indexOf('%')
  const address = zone === -1 ? text : text.slice(0, zone)
  if (!isIPv6(address)) return undefined
  const words = ipv6Words(address)
  const [first, second, third, fourth] = words
  return first === 0 && second === 0 && third === 0xffff ? [fourth ?? 0] : words
}

function ipv4Word(text: string): number {
  let word = 0
  for (const part of text.split('.')) word = word * 256 + Number(part)
  return word
}

function ipv6Words(text: string): number[] {
  const dotted = text.includes('.') ? text.slice(text.lastIndexOf(':') + 1) : undefined
  const plain = dotted === undefined ? text : text.slice(0, -dotted.length) + hexPair(ipv4Word(dotted))
  const [head = '', tail] = plain.split('::')
  const front = groupsOf(head)
  const back = tail === undefined ? [] : groupsOf(tail)
  const groups = [...front, ...Array<number>(Math.max(0, 8 - front.length - back.length)).fill(0), ...back]
  const words: number[] = []
  for (let i = 0; i < 8; i += 2) words.push((groups[i] ?? 0) * 65536 + (groups[i + 1] ?? 0))
  return words
}

function hexPair(word: number): string {
  return `${Math.floor(word / 65536).toString(16)}:${(word % 65536).toString(16)}`
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

function add<T>(family: Family<T>, { words, length }: Block, value: T): void {
  let blocks = family.byLength.get(length)
  if (blocks === undefined) family.byLength.set(length, (blocks = new Map()))
  const key = leadingBits(words, length)
  const values = blocks.get(key)
  if (values === undefined) blocks.set(key, [value])
  else values.push(value)
}

function find<T>(family: Family<T>, words: Words): readonly T[] {
  for (const length of family.lengths) {
    const values = family.byLength.get(length)?.get(leadingBits(words, length))
    if (values !== undefined) return values
  }
  return []
}

function leadingBits(words: Words, length: number): string {
  let key = ''
  let left = length
  for (const word of words) {
    const kept = Math.min(32, left)
    // A shift by 32 would be a shift by 0.
    key += kept === 0 ? '0,' : `${(word >>> (32 - kept)).toString(36)},`
    left -= kept
  }
  return key
}
