import type { Reliable1xx } from '#api/sip-behaviour.ts'
import { retryAfterSeconds } from '../engine/message/delta-seconds.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { type TimerFields, writeTimer } from '../policy/session-timer.ts'
import type { HeaderList } from '../sip/port.ts'
import { keepsRetryAfter } from './failure-map.ts'

/** Methods that are carried from leg to leg, as Allow has them. */
const carriedMethods: readonly string[] = ['INVITE', 'ACK', 'CANCEL', 'BYE', 'OPTIONS', 'INFO', 'UPDATE']

/** Methods that are taken, as Allow has them. */
export const takenMethods: readonly string[] = [...carriedMethods, 'PRACK']
export const allow = takenMethods.join(', ')

/** What every user agent can do (RFC 3261 section 5), for peers that do not say. */
const basicMethods = 'INVITE, ACK, CANCEL, BYE, OPTIONS'

/** Extensions that work from leg to leg. */
const carriedExtensions: readonly string[] = ['timer', 'resource-priority']

/** Those that work on each leg by itself, too (RFC 3262). */
export const supportedExtensions: readonly string[] = [...carriedExtensions, '100rel']

/** What this fleet says for itself of RFC 3262 on a leg: that it knows PRACK, and in INVITE that it takes 100rel. */
export type Reliability = 'None' | 'Prack' | '100rel'

/** Tells whether a message carries the header, and what of its value. Undefined drops it. */
type Carry = (value: string, message: SipMessage, host: string) => string | undefined

const asIs: Carry = (value) => value
const inRequest: Carry = (value, { kind }) => (kind === 'request' ? value : undefined)
/** Describes a body, so it goes where the body goes. */
const withBody: Carry = (value, { body }) => (body === '' ? undefined : value)
const uriAuthority = /<([a-z][a-z0-9+.-]*:)\/\/[^/?#>]*/gi
const hostlessUri = /^<(urn:|[a-z][a-z0-9+.-]*:\/\/)/i
/**
 * The sound may be on a host of the near side; phones look at the path and the parameters. But for a URN, any URI without
 * `//` names a host that cannot be told from the rest, as sip:ring@host does.
 */
const withoutHost: Carry = (value, _message, host) => {
  const shown = value.replace(uriAuthority, `<$1//${host}`)
  const uris = shown.match(/<[^>]*>/g) ?? ['']
  return uris.every((uri) => hostlessUri.test(uri)) ? shown : undefined
}

/**
 * The headers that cross from one leg to the other. What is not here does not: Via, Route, Record-Route, Contact,
 * Call-ID, Path, Warning, Server, Call-Info, Error-Info and their like tell of the near side, In-Reply-To, Replaces and
 * Target-Dialog name its dialogs, and of an unknown header nobody knows what it tells. Allow, Supported, the session
 * timer, From, To and the identities are made by functions of their own.
 */
const carried: Readonly<Record<string, Carry>> = {
  Accept: asIs,
  'Accept-Language': asIs,
  'Alert-Info': withoutHost,
  'Content-Disposition': withBody,
  'Content-Encoding': withBody,
  'Content-Language': withBody,
  'Info-Package': inRequest,
  'MIME-Version': withBody,
  'P-Early-Media': asIs,
  Priority: inRequest,
  Privacy: inRequest,
  'Recv-Info': asIs,
  'Resource-Priority': inRequest,
  'Retry-After': (_value, message) =>
    keepsRetryAfter(message.status) ? retryAfterSeconds(message)?.toString() : undefined,
  Subject: inRequest,
}

/**
 * The header fields of a message that go to the other leg. `host` is our own address there, `timer` what is said there of
 * the session timer, in messages that may speak of it.
 */
export function carriedHeaders(
  message: SipMessage,
  host: string,
  { timer, reliability = 'Prack' }: { timer?: TimerFields | undefined; reliability?: Reliability } = {},
): HeaderList {
  const fields: (readonly [string, string])[] = []
  for (const [name, value] of message.headers()) {
    const kept = carried[name]?.(value, message, host)
    if (kept !== undefined) fields.push([name, kept])
  }
  if (timer !== undefined) fields.push(...writeTimer(timer))
  fields.push(...capabilities(message, timer, reliability))
  return fields
}

/** RFC 3261 section 13.2.1 and 13.3.1.4 want Allow and Supported in INVITE and in its 2xx. */
function capabilities(message: SipMessage, timer: TimerFields | undefined, reliability: Reliability): HeaderList {
  const fields: [string, string][] = []
  const carriedTags = message.values('Supported').filter((tag) => carriedExtensions.includes(tag.toLowerCase()))
  const extensions = timer === undefined ? carriedTags : carriedTags.filter((tag) => tag.toLowerCase() !== 'timer')
  if (timer?.supported === true) extensions.push('timer')
  if (reliability === '100rel') extensions.push('100rel')
  if (extensions.length > 0) fields.push(['Supported', extensions.join(', ')])
  const allowed = message.values('Allow').filter((method) => carriedMethods.includes(method))
  const prack = reliability === 'None' ? '' : ', PRACK'
  if (allowed.length > 0) fields.push(['Allow', `${allowed.join(', ')}${prack}`])
  else if (message.method === 'INVITE' && (message.kind === 'request' || isSuccess(message.status))) {
    fields.push(['Allow', `${basicMethods}${prack}`])
  }
  return fields
}

/** Options the message requires that this fleet does not know; 100rel is one where it is disabled. */
export function unsupportedOptions(message: SipMessage, reliable1xx: Reliable1xx = 'Supported'): string[] {
  const supported = reliable1xx === 'Disabled' ? carriedExtensions : supportedExtensions
  return message.values('Require').filter((tag) => !supported.includes(tag.toLowerCase()))
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}
