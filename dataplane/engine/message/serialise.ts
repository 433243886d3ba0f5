import { lookUpHeader } from './header-names.ts'
import { isToken } from './uri.ts'

/** Header fields in order; a name may stand several times. */
export type HeaderFields = readonly (readonly [name: string, value: string])[]

/** A message to be written. Content-Length among the headers is passed over: it is always counted. */
export interface MessageParts {
  /** `INVITE sip:b@example.com SIP/2.0` or `SIP/2.0 200 OK`, without line end. */
  readonly startLine: string
  readonly headers: HeaderFields
  readonly body?: string | Buffer | undefined
}

/** A start line or header field that would break out of its line, or has characters the encoding cannot carry. */
export class UnsafeHeaderError extends Error {
  readonly header: string

  constructor(header: string, cause: string) {
    super(`The header field ${JSON.stringify(header)} ${cause}; no message was written.`)
    this.name = 'UnsafeHeaderError'
    this.header = header
  }
}

/**
 * The message as bytes. Text is `latin1`, one character per byte, as everything inside the engine is, or `utf8`.
 * Throws `UnsafeHeaderError` for CR, LF or NUL in the start line or a header field, a name that is no token, and in
 * latin1 a character above U+00FF. What `parseMessage` gave is never unsafe.
 */
export function serialise(parts: MessageParts, encoding: 'latin1' | 'utf8' = 'latin1'): Buffer {
  const { body = '' } = parts
  if (typeof body === 'string') return Buffer.from(serialiseText(parts, encoding), encoding)
  return Buffer.concat([Buffer.from(head(parts, body.length, encoding), encoding), body])
}

/** The message as text, its Content-Length counted in bytes of the encoding. Throws as `serialise` does. */
export function serialiseText(parts: MessageParts, encoding: 'latin1' | 'utf8' = 'latin1'): string {
  const { body = '' } = parts
  const text = typeof body === 'string' ? body : body.toString(encoding)
  if (encoding === 'latin1' && typeof body === 'string') check('body', body, 0x1_00, false)
  return head(parts, typeof body === 'string' ? Buffer.byteLength(body, encoding) : body.length, encoding) + text
}

function head(parts: MessageParts, bodyBytes: number, encoding: 'latin1' | 'utf8'): string {
  const ceiling = encoding === 'latin1' ? 0x1_00 : 0x1_00_00
  check('start line', parts.startLine, ceiling, true)
  let text = `${parts.startLine}\r\n`
  for (const [name, value] of parts.headers) {
    const known = lookUpHeader(name)
    if (known === undefined && !isToken(name)) throw new UnsafeHeaderError(name, 'has a name that is no token')
    if (known?.name === 'Content-Length') continue
    check(name, value, ceiling, true)
    text += `${known?.name ?? name}: ${value}\r\n`
  }
  return `${text}Content-Length: ${bodyBytes}\r\n\r\n`
}

function check(header: string, value: string, ceiling: number, line: boolean): void {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code >= ceiling) throw new UnsafeHeaderError(header, 'has a character above U+00FF, which latin1 cannot carry')
    if (line && (code === 13 || code === 10 || code === 0)) {
      throw new UnsafeHeaderError(header, 'has a CR, LF or NUL in its value')
    }
  }
}
