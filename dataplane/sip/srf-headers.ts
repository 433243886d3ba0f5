import { type Body, type HeaderList, SipPortError } from './port.ts'

/** What could end a header line early. */
const lineEnd = /[\r\n\0]/

/**
 * Header fields as drachtio-srf takes them: an object, each entry written as `name: value`. It has no way to send a name
 * twice but to join the values with commas, which is wrong for WWW-Authenticate and others, so further fields of a name
 * go behind the first as lines of their own. Throws `SipPortError` when a name or value could end its line, or when the
 * message would be larger than the server can take.
 */
export function srfHeaders(
  headers: HeaderList,
  body: Body | undefined,
  largestFrame = Infinity,
): Record<string, string> {
  const entries: Record<string, string> = {}
  for (const [name, value] of headers) append(entries, name, value)
  if (body !== undefined) append(entries, 'Content-Type', body.type)
  if (largestFrame < Infinity) checkSize(headerBytes(entries, body), largestFrame)
  return entries
}

function append(entries: Record<string, string>, name: string, value: string): void {
  if (lineEnd.test(value) || lineEnd.test(name) || name.includes(':')) {
    throw new SipPortError('Rejected', `header ${JSON.stringify(name)} holds a line end: it is not sent`)
  }
  const first = entries[name]
  entries[name] = first === undefined ? value : `${first}\r\n${name}: ${value}`
}

/** Bytes that leader, start line and what the server itself adds may take beside a message. */
const frameMargin = 512

/** Throws `SipPortError` when a message of so many bytes is more than the SIP server can take. */
export function checkSize(bytes: number, largestFrame: number): void {
  if (bytes + frameMargin <= largestFrame) return
  throw new SipPortError('Rejected', `it has ${bytes} bytes, and the SIP server takes ${largestFrame} at most`)
}

function headerBytes(headers: Readonly<Record<string, string>>, body: Body | undefined): number {
  let bytes = Buffer.byteLength(body?.content ?? '')
  for (const [name, value] of Object.entries(headers)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 4
  return bytes
}
