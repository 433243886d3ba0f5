import { isSameWord, skip, skipBlanks, skipQuoted, type Source, sourceOf, TOKEN, VALUE } from './chars.ts'

/** Parameters in order, names as written. The value is empty where there is no `=`, and keeps its quotes. */
export type Params = readonly (readonly [name: string, value: string])[]

/** The value of the parameter, names compared without case; undefined when it is not there. */
export function param(params: Params, name: string): string | undefined {
  for (const [key, value] of params) {
    if (key === name || (key.length === name.length && key.toLowerCase() === name.toLowerCase())) return value
  }
  return undefined
}

/** The parameters with this one set, in its old place or at the end. */
export function withParam(params: Params, name: string, value: string): Params {
  const at = params.findIndex(([key]) => key.toLowerCase() === name.toLowerCase())
  return at < 0 ? [...params, [name, value]] : params.with(at, [name, value])
}

/** `;name=value` for each. */
export function formatParams(params: Params): string {
  let text = ''
  for (const [name, value] of params) text += value === '' ? `;${name}` : `;${name}=${value}`
  return text
}

/** What a quoted string says; any other text as it is. */
export function unquote(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value
  const inner = value.slice(1, -1)
  return inner.includes('\\') ? inner.replace(/\\(.)/gs, '$1') : inner
}

/** The text as a quoted string, with `"` and `\` escaped. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/**
 * Walks over the parameters of a header value, one `next` each, without making strings. It stops at the end or before a
 * comma; `failed` tells that what stands at `at` is no parameter.
 */
export class ParamCursor {
  readonly #text: string
  readonly #bytes: Buffer
  at = 0
  #end = 0
  nameStart = 0
  nameEnd = 0
  valueStart = 0
  valueEnd = 0
  failed = false

  constructor({ text, bytes }: Source) {
    this.#text = text
    this.#bytes = bytes
  }

  reset(start: number, end: number): void {
    this.at = start
    this.#end = end
    this.failed = false
  }

  /** RFC 3261 §25.1: `generic-param = token [ EQUAL gen-value ]`, with white space around `;` and `=`. */
  next(): boolean {
    const bytes = this.#bytes
    const end = this.#end
    const at = skipBlanks(bytes, this.at, end)
    this.at = at
    if (at >= end || bytes[at] === 0x2c) return false
    if (bytes[at] !== 0x3b) return this.#fail()
    this.nameStart = skipBlanks(bytes, at + 1, end)
    this.nameEnd = skip(bytes, this.nameStart, end, TOKEN)
    if (this.nameEnd === this.nameStart) return this.#fail()
    this.at = skipBlanks(bytes, this.nameEnd, end)
    if (this.at >= end || bytes[this.at] !== 0x3d) {
      this.valueStart = this.valueEnd = this.nameEnd
      return true
    }
    return this.#value(skipBlanks(bytes, this.at + 1, end), end)
  }

  #value(start: number, end: number): boolean {
    const bytes = this.#bytes
    const quoted = bytes[start] === 0x22
    const valueEnd = quoted ? skipQuoted(bytes, start, end) : skip(bytes, start, end, VALUE)
    this.valueStart = start
    this.valueEnd = this.at = valueEnd
    return valueEnd > start || this.#fail()
  }

  #fail(): false {
    this.failed = true
    return false
  }

  /** True when the name is this one; it has to be given in lower case. */
  named(lowerCase: string): boolean {
    return this.nameEnd - this.nameStart === lowerCase.length && isSameWord(this.#bytes, this.nameStart, lowerCase)
  }

  /** The value is a quoted string. */
  get quoted(): boolean {
    return this.valueEnd > this.valueStart && this.#bytes[this.valueStart] === 0x22
  }

  get name(): string {
    return this.#text.slice(this.nameStart, this.nameEnd)
  }

  get value(): string {
    return this.#text.slice(this.valueStart, this.valueEnd)
  }
}

/** The parameters from there to the end or a comma, with the index where they end; undefined when one is malformed. */
export function parseParams(text: string, start: number, end: number): { params: Params; end: number } | undefined {
  return readParams(sourceOf(text), start, end)
}

/** As `parseParams`, of a text whose bytes are at hand. */
export function readParams(source: Source, start: number, end: number): { params: Params; end: number } | undefined {
  const cursor = new ParamCursor(source)
  cursor.reset(start, end)
  const params: [string, string][] = []
  while (cursor.next()) params.push([cursor.name, cursor.value])
  return cursor.failed ? undefined : { params, end: cursor.at }
}
