/** What rtpengine's control protocol is made of; numbers are integers. */
export type Bencodable = string | number | readonly Bencodable[] | { readonly [key: string]: Bencodable }

/** The bytes of a value: `5:hello`, `i42e`, `l…e`, `d…e`, with the keys of a dictionary in order, as bencoding wants it. */
export function bencode(value: Bencodable): Buffer {
  const parts: Buffer[] = []
  write(value, parts)
  return Buffer.concat(parts)
}

function write(value: Bencodable, parts: Buffer[]): void {
  if (typeof value === 'number') parts.push(Buffer.from(`i${value}e`))
  else if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    parts.push(Buffer.from(`${bytes.length}:`), bytes)
  } else if (isList(value)) {
    parts.push(list)
    for (const item of value) write(item, parts)
    parts.push(end)
  } else {
    parts.push(dictionary)
    for (const key of Object.keys(value).sort()) {
      const item = value[key]
      if (item === undefined) continue
      write(key, parts)
      write(item, parts)
    }
    parts.push(end)
  }
}

function isList(value: Bencodable): value is readonly Bencodable[] {
  return Array.isArray(value)
}

const list = Buffer.from('l')
const dictionary = Buffer.from('d')
const end = Buffer.from('e')

/** Deeper than any answer of an engine, and far from what a stack holds. */
const deepest = 64

/** The value that the bytes spell, and nothing after it; undefined when they spell none. Never throws. */
export function bdecode(bytes: Buffer): Bencodable | undefined {
  const reader = { bytes, at: 0 }
  const value = read(reader, 0)
  return reader.at === bytes.length ? value : undefined
}

interface Reader {
  readonly bytes: Buffer
  at: number
}

function read(reader: Reader, depth: number): Bencodable | undefined {
  if (depth > deepest) return undefined
  const kind = reader.bytes[reader.at]
  if (kind === 0x6c /* l */) return readList(reader, depth)
  if (kind === 0x64 /* d */) return readDictionary(reader, depth)
  if (kind !== 0x69 /* i */) return readString(reader)
  reader.at++
  return readNumber(reader, 0x65)
}

/** Digits up to the byte that ends them, which is passed over. */
function readNumber(reader: Reader, until: number): number | undefined {
  const stop = reader.bytes.indexOf(until, reader.at)
  if (stop === -1 || stop - reader.at > 20) return undefined
  const digits = reader.bytes.toString('latin1', reader.at, stop)
  reader.at = stop + 1
  return /^-?\d+$/.test(digits) ? Number(digits) : undefined
}

function readString(reader: Reader): string | undefined {
  const length = readNumber(reader, 0x3a) // :
  if (length === undefined || length < 0 || reader.at + length > reader.bytes.length) return undefined
  const text = reader.bytes.toString('utf8', reader.at, reader.at + length)
  reader.at += length
  return text
}

function readList(reader: Reader, depth: number): Bencodable[] | undefined {
  reader.at++
  const items: Bencodable[] = []
  while (!atEnd(reader)) {
    const item = read(reader, depth + 1)
    if (item === undefined) return undefined
    items.push(item)
  }
  return items
}

function readDictionary(reader: Reader, depth: number): Record<string, Bencodable> | undefined {
  reader.at++
  const entries: [string, Bencodable][] = []
  while (!atEnd(reader)) {
    const key = readString(reader)
    const item = key === undefined ? undefined : read(reader, depth + 1)
    if (key === undefined || item === undefined) return undefined
    entries.push([key, item])
  }
  return Object.fromEntries(entries)
}

function atEnd(reader: Reader): boolean {
  if (reader.bytes[reader.at] !== 0x65) return false
  reader.at++
  return true
}
