import type { SipMessage } from '../message/sip-message.ts'
import { parseUri } from '../message/uri.ts'

/** Places that one request may be sent to, redirections included. */
export const MOST_TARGETS = 16

/** How an application wants a request of a peer's to be proxied. */
export interface ProxyOrder {
  readonly transactionId: string
  /** Requests of the dialog that it makes come this way too (RFC 3261 §16.6, step 4); of a REGISTER, those to the binding (RFC 3327). */
  readonly recordRoute: boolean
  /** Every final response is told, not just that there are no more. */
  readonly tellsResponses: boolean
  /** Where a 3xx leads is tried (RFC 3261 §16.5). */
  readonly followsRedirects: boolean
  /** All at once; otherwise one after the other. */
  readonly simultaneous: boolean
  /** Milliseconds until a target that has not said anything, or has not answered, is given up; undefined: as the RFC has it. */
  readonly provisionalTimeout: number | undefined
  readonly finalTimeout: number | undefined
  /** URIs in the order of their wishes. */
  readonly destinations: readonly string[]
  /** Its header fields go out with the request. */
  readonly additions: SipMessage
}

/** What becomes of it. */
export interface ProxyProgress {
  /** A final response has come from there. */
  response(text: string, from: { transport: string; address: string; port: number }): void
  /** A final response was relayed, or there will be none. */
  done(): void
  /** It is not proxied; nothing was sent. */
  refused(reason: string): void
}

/** The order in a frame by its tokens, `proxy` being the second; or what is wrong with it. */
export function readProxyOrder(tokens: readonly string[], additions: SipMessage): ProxyOrder | string {
  const [, , transactionId = '', remains, full, follows, forking, provisional = '', final = '', ...destinations] =
    tokens
  const wrong = destinations.find((uri) => !isSipUri(uri))
  if (wrong !== undefined) return `invalid destination: ${wrong}`
  if (destinations.length === 0) return 'Invalid proxy request: not enough information provided'
  if (destinations.length > MOST_TARGETS) return `a request is proxied to ${MOST_TARGETS} destinations at most`
  const [provisionalTimeout, finalTimeout] = [millisecondsIn(provisional), millisecondsIn(final)]
  if (provisionalTimeout === null || finalTimeout === null) return 'a timeout is written as 2s or 1500ms'
  return {
    transactionId,
    recordRoute: remains === 'remainInDialog',
    tellsResponses: full === 'fullResponse',
    followsRedirects: follows === 'followRedirects',
    simultaneous: forking === 'simultaneous',
    ...{ provisionalTimeout, finalTimeout, destinations, additions },
  }
}

export function isSipUri(uri: string): boolean {
  const parsed = parseUri(uri)
  return parsed !== undefined && parsed.scheme !== 'tel'
}

/** Undefined where there is none, null where it cannot be read. */
function millisecondsIn(text: string): number | undefined | null {
  if (text === '') return undefined
  const [, digits, unit] = /^(\d{1,8})(ms|s)?$/.exec(text) ?? []
  if (digits === undefined) return null
  return Number(digits) * (unit === 's' ? 1000 : 1)
}
