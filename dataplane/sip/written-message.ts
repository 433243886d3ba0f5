import { readMessage } from '../engine/message/parse.ts'
import type { ParsedMessage } from '../engine/message/parsed-message.ts'
import { reasonPhrase } from '../engine/message/reason-phrases.ts'
import { type HeaderFields, serialiseText, UnsafeHeaderError } from '../engine/message/serialise.ts'
import { type Body, type HeaderList, type ResponseOptions, SipPortError } from './port.ts'

/** A request for the engine, which adds what `OutgoingRequest` leaves to it. Throws `SipPortError` when a header field could end its line. */
export function writeRequest(method: string, uri: string, headers: HeaderList, body: Body | undefined): ParsedMessage {
  return write(`${method} ${uri} SIP/2.0`, withType(headers, body), body)
}

/** A response for the engine, which takes all but the tag of To from the request. Throws as `writeRequest` does. */
export function writeResponse(status: number, to: string | undefined, options: ResponseOptions): ParsedMessage {
  const { reason = reasonPhrase(status), headers = [], body, toTag } = options
  const own = withType(headers, body)
  const tagged = toTag === undefined || to === undefined ? own : [['To', `${to};tag=${toTag}`] as const, ...own]
  return write(`SIP/2.0 ${status} ${reason}`, tagged, body)
}

function withType(headers: HeaderList, body: Body | undefined): HeaderFields {
  return body === undefined ? headers : [...headers, ['Content-Type', body.type] as const]
}

function write(startLine: string, headers: HeaderFields, body: Body | undefined): ParsedMessage {
  const read = readMessage(bytesOf(textOf(startLine, headers, body?.content)))
  if (!read.ok) throw new SipPortError('Rejected', read.reason)
  return read.message
}

function textOf(startLine: string, headers: HeaderFields, body: string | undefined): string {
  try {
    return serialiseText({ startLine, headers, body }, 'utf8')
  } catch (error) {
    if (error instanceof UnsafeHeaderError) throw new SipPortError('Rejected', error.message)
    throw error
  }
}

/** The engine has one character per byte. */
function bytesOf(text: string): string {
  return isPlain(text) ? text : Buffer.from(text).toString('latin1')
}

/** Whether its bytes are the same in both encodings: ASCII alone has one byte a character in UTF-8. */
export function isPlain(text: string): boolean {
  return Buffer.byteLength(text) === text.length
}
