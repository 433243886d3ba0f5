import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Whom a caller may speak for. An absent field: for anyone. */
export interface Identity {
  readonly fleet?: string
  readonly replica?: string
}

/** Says who opens a connection; undefined refuses it with 401. */
export type Authenticate = (request: IncomingMessage) => Identity | undefined | Promise<Identity | undefined>

/** Takes whoever has the token in `Authorization: Bearer …`, for any replica of any fleet. */
export function sharedToken(token: string): Authenticate {
  const expected = digest(`Bearer ${token}`)
  return (request) => (timingSafeEqual(digest(request.headers.authorization ?? ''), expected) ? {} : undefined)
}

/** Equal length for any text, which `timingSafeEqual` asks for. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
