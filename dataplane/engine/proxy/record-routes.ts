import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { contactOf } from '../dialog/application-headers.ts'
import { parseNameAddr } from '../message/name-addr.ts'
import { param } from '../message/params.ts'
import { parseUri, type Uri } from '../message/uri.ts'
import { bareHost } from '../transport/address.ts'
import type { Listeners } from '../transport/listeners.ts'
import type { Listener } from '../transport/transport.ts'

const PARAMETER = 'call'

/**
 * Record-Route values of ours. Each carries a mark of its Call-ID that nobody else can make: so a request in a dialog that was
 * proxied is known as one without any memory of the dialog, and no other request is ever taken for one.
 */
export class RecordRoutes {
  readonly #listeners: Listeners
  readonly #secret = randomBytes(32)

  constructor(listeners: Listeners) {
    this.#listeners = listeners
  }

  /**
   * The values for a request that comes in on one listener and leaves by another. RFC 5658 §6: where the two differ, there are two, so
   * that each side sees the address, and speaks the transport, of its own; "double Record-Routing".
   */
  of(callId: string, from: Listener, to: Listener): string[] {
    const sides = from === to ? [from] : [to, from]
    return sides.map((side) => contactOf(side).replace('>', `;lr;${PARAMETER}=${this.#mark(callId)}>`))
  }

  /** The listener that a value of Record-Route names, if it is ours for that Call-ID. */
  ours(value: string, callId: string): Listener | undefined {
    const uri = uriIn(value)
    const mark = uri?.params === undefined ? undefined : param(uri.params, PARAMETER)
    if (uri === undefined || mark === undefined || !equal(mark, this.#mark(callId))) return undefined
    return this.names(value)
  }

  /** The listener whose address it is. */
  names(value: string): Listener | undefined {
    const uri = uriIn(value)
    if (uri === undefined || uri.scheme === 'tel') return undefined
    const transport = param(uri.params ?? [], 'transport')?.toUpperCase()
    return this.#listeners.at(bareHost(uri.host), uri.port ?? 5060, transport)
  }

  /** A branch for a request that is forwarded without a transaction: the same each time it comes (RFC 3261 §16.11). */
  branchOf(request: { branch: string; sentBy: string }): string {
    return `z9hG4bK${this.#hash(`${request.branch} ${request.sentBy}`)}`
  }

  #mark(callId: string): string {
    return this.#hash(callId).slice(0, 20)
  }

  #hash(text: string): string {
    return createHmac('sha256', this.#secret).update(text, 'latin1').digest('hex')
  }
}

function uriIn(value: string): Uri | undefined {
  return parseUri(parseNameAddr(value)?.uri ?? value)
}

function equal(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1'))
}
