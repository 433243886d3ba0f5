import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Nonces that no replica has to remember (RFC 7616 section 3.3 suggests `timestamp H(timestamp ":" ETag ":" secret-data)`): a
 * nonce says when it was made, and a keyed hash over that, the realm and the address of who asked shows that a replica
 * with the same key made it. Plain functions; time comes in.
 */

/** What a nonce is bound to. */
export interface NonceScope {
  readonly key: string
  readonly realm: string
  /** IP address of who was challenged. */
  readonly address: string
}

/** A nonce that is ours. */
export interface ReadNonce {
  /** When it was made, in milliseconds since 1970. */
  readonly madeAt: number
}

const timeBytes = 6
const randomLength = 8
const macBytes = 16
const length = timeBytes + randomLength + macBytes

/** Keys are used for a day each, so that no one key signs for ever. */
const keyMilliseconds = 86_400_000

export function makeNonce(scope: NonceScope, now: number): string {
  const head = Buffer.alloc(timeBytes + randomLength)
  head.writeUIntBE(now, 0, timeBytes)
  // Two that are made in the same millisecond are counted separately.
  randomBytes(randomLength).copy(head, timeBytes)
  return Buffer.concat([head, mac(head, now, scope)]).toString('base64url')
}

/** Undefined when no replica of the fleet has made it for this scope. How old it is says nobody here. */
export function readNonce(nonce: string, scope: NonceScope): ReadNonce | undefined {
  const bytes = Buffer.from(nonce, 'base64url')
  // Other texts decode to the same bytes, and would be counted as other nonces.
  if (bytes.length !== length || bytes.toString('base64url') !== nonce) return undefined
  const head = bytes.subarray(0, timeBytes + randomLength)
  const madeAt = head.readUIntBE(0, timeBytes)
  return timingSafeEqual(mac(head, madeAt, scope), bytes.subarray(head.length)) ? { madeAt } : undefined
}

function mac(head: Buffer, madeAt: number, { key, realm, address }: NonceScope): Buffer {
  const day = String(Math.floor(madeAt / keyMilliseconds))
  const dayKey = createHmac('sha256', key).update(day).digest()
  const scope = JSON.stringify([realm, address])
  return createHmac('sha256', dayKey).update(head).update(scope).digest().subarray(0, macBytes)
}
