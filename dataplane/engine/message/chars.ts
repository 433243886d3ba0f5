/** Sets of characters of RFC 3261 §25.1, as bits in one table, so that a check is one look-up a character. */
export const TOKEN = 1
/** `user` with `#`, which phones send unescaped. */
export const USER = 2
export const PASSWORD = 4
/** `paramchar` of a URI. */
export const URI_PARAM = 8
/** `hnv-unreserved` of a URI's headers. */
export const URI_HEADER = 16
/** Host names and IPv4 addresses; `_` is in, which container names have. */
export const HOST = 32
/**
 * Values of header parameters outside quotes: more than a token, as real peers do, but nothing that ends a value, and no
 * `|`, which separates fields in the drachtio protocol.
 */
export const VALUE = 64
/** `word` and `@`, with the signs that base64 and older devices use, but no `,`, `;` and `|`, which end a key. */
export const CALL_ID = 128
/** Any character of an absoluteURI. */
export const URI = 256
export const DIGIT = 512
/** `scheme` of a URI. */
export const SCHEME = 1024

const ALPHANUM = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
const UNRESERVED = ALPHANUM + "-_.!~*'()"
const VISIBLE = String.fromCharCode(...Array.from({ length: 0x7f - 0x21 }, (_, offset) => 0x21 + offset))

const classes = Array.from({ length: 256 }, () => 0)
const members: readonly (readonly [bit: number, characters: string])[] = [
  [TOKEN, ALPHANUM + "-.!%*_+`'~"],
  [USER, UNRESERVED + '&=+$,;?/#'],
  [PASSWORD, UNRESERVED + '&=+$,'],
  [URI_PARAM, UNRESERVED + '[]/:&+$'],
  [URI_HEADER, UNRESERVED + '[]/?:+$'],
  [HOST, ALPHANUM + '-._'],
  [VALUE, without(VISIBLE, ',;"<>|\\')],
  [CALL_ID, without(VISIBLE, ',;|')],
  [URI, UNRESERVED + ';/?:@&=+$,[]#'],
  [DIGIT, '0123456789'],
  [SCHEME, ALPHANUM + '+-.'],
]
for (const [bit, characters] of members) {
  for (const character of characters) {
    const code = character.charCodeAt(0)
    classes[code] = (classes[code] ?? 0) | bit
  }
}

function without(characters: string, removed: string): string {
  return Array.from(characters)
    .filter((character) => !removed.includes(character))
    .join('')
}

/** A text, and its characters as bytes: to look at one of those takes a fraction of the code of one in a string. */
export interface Source {
  readonly text: string
  readonly bytes: Buffer
}

/** A character that is no byte stands among the bytes as one that is in no set either. */
export function sourceOf(text: string): Source {
  const plain = /[^\0-\xff]/.test(text) ? text.replace(/[^\0-\xff]/g, '\xff') : text
  return { text, bytes: Buffer.from(plain, 'latin1') }
}

/** True when the character is in one of the sets. */
export function isIn(code: number, set: number): boolean {
  return ((classes[code] ?? 0) & set) !== 0
}

/** Index of the first character from `start` that is not in the set; `end` when all are. */
export function skip(bytes: Buffer, start: number, end: number, set: number): number {
  let at = start
  while (at < end && ((classes[bytes[at] ?? 0] ?? 0) & set) !== 0) at++
  return at
}

/** Index of the first character from `start` that is neither space nor tab. */
export function skipBlanks(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end) {
    const code = bytes[at]
    if (code !== 32 && code !== 9) break
    at++
  }
  return at
}

/** Index after the last character before `end` that is neither space nor tab. */
export function trimBlanks(bytes: Buffer, start: number, end: number): number {
  let at = end
  while (at > start) {
    const code = bytes[at - 1]
    if (code !== 32 && code !== 9) break
    at--
  }
  return at
}

/** The decimal number there, leading zeros allowed; -1 when it is empty, has another character or is above `max`. */
export function decimal(bytes: Buffer, start: number, end: number, max: number): number {
  if (start >= end) return -1
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
    if (value > max) return -1
  }
  return value
}

/** Index after the closing quote of the quoted string that opens at `start`; -1 when it never closes. */
export function skipQuoted(bytes: Buffer, start: number, end: number): number {
  for (let at = start + 1; at < end; at++) {
    const code = bytes[at]
    if (code === 0x5c) at++
    else if (code === 0x22) return at + 1
  }
  return -1
}

/** As `skip`, over whole %-escapes too: a `%` without two hexadecimal digits is not skipped. */
export function skipEscaped(bytes: Buffer, start: number, end: number, set: number): number {
  let at = start
  for (; at < end; at++) {
    const code = bytes[at] ?? 0
    if (((classes[code] ?? 0) & set) !== 0) continue
    if (code !== 0x25 || at + 2 >= end || !isHex(bytes[at + 1] ?? 0) || !isHex(bytes[at + 2] ?? 0)) break
    at += 2
  }
  return at
}

function isHex(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102)
}

/** True when the word, given in lower case, stands there in any case. The text has to be long enough. */
export function isSameWord(bytes: Buffer, start: number, lowerCase: string): boolean {
  for (let offset = 0; offset < lowerCase.length; offset++) {
    const code = bytes[start + offset] ?? 0
    if ((code >= 65 && code <= 90 ? code + 32 : code) !== lowerCase.charCodeAt(offset)) return false
  }
  return true
}
