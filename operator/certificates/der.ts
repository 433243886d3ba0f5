/** The few kinds of value of which X.509 certificates are made, in the distinguished encoding (ITU-T X.690). */

export function sequence(...parts: Buffer[]): Buffer {
  return encoded(0x30, Buffer.concat(parts))
}

export function set(...parts: Buffer[]): Buffer {
  return encoded(0x31, Buffer.concat(parts))
}

/** An unsigned integer, most significant byte first. */
export function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const value = first < 0 ? Buffer.from([0]) : Buffer.from(bytes.subarray(first))
  const isNegative = ((value[0] ?? 0) & 0x80) !== 0
  return encoded(0x02, isNegative ? Buffer.concat([Buffer.from([0]), value]) : value)
}

export function boolean(value: boolean): Buffer {
  return encoded(0x01, Buffer.from([value ? 0xff : 0]))
}

export function octets(value: Buffer): Buffer {
  return encoded(0x04, value)
}

/** Bits in whole bytes but for the last `unused` ones. */
export function bits(value: Buffer, unused = 0): Buffer {
  return encoded(0x03, Buffer.concat([Buffer.from([unused]), value]))
}

export function text(value: string): Buffer {
  return encoded(0x0c, Buffer.from(value, 'utf8'))
}

/** An object identifier, as `2.5.29.17`. */
export function identifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return encoded(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). */
export function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\..*/g, '')
  return digits < '2050' ? encoded(0x17, Buffer.from(`${digits.slice(2)}Z`)) : encoded(0x18, Buffer.from(`${digits}Z`))
}

/** A value under a tag of the context; `constructed` when it holds encoded values. */
export function tagged(number: number, content: Buffer, constructed: boolean): Buffer {
  return encoded((constructed ? 0xa0 : 0x80) | number, content)
}

function encoded(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag]), length(content.length), content])
}

function length(value: number): Buffer {
  if (value < 0x80) return Buffer.from([value])
  const bytes: number[] = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Buffer.from([0x80 | bytes.length, ...bytes])
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80)
  return bytes
}
