import { sourceOf } from './chars.ts'

/**
 * How often a header field may stand in a message, and what a comma in it means. RFC 3261 §7.3.1: "It MUST be possible
 * to combine the multiple header field rows into one "field-name: field-value" pair" holds for lists only.
 * - `list`: any number of values, over any number of lines.
 * - `one`: one value; a second line makes the message malformed, since two elements may take different ones.
 * - `text`: a comma is part of the value; lines stay apart.
 */
export type HeaderForm = 'list' | 'one' | 'text'

export interface HeaderName {
  /** Long form, as commonly written. */
  readonly name: string
  readonly form: HeaderForm
  /** A bit of its own for the form `one`, otherwise 0. */
  readonly bit: number
}

const LONGEST = 31

const ONCE: readonly string[] = [
  'Call-ID i',
  'Content-Length l',
  'Content-Type c',
  'CSeq',
  'Event o',
  'Expires',
  'From f',
  'Max-Forwards',
  'Min-Expires',
  'Min-SE',
  'RAck',
  'Refer-To r',
  'Referred-By b',
  'Refer-Sub',
  'Replaces',
  'RSeq',
  'Session-Expires x',
  'Target-Dialog',
  'To t',
]

const TEXT: readonly string[] = [
  'Authentication-Info',
  'Authorization',
  'Content-Disposition',
  'Date',
  'Identity y',
  'MIME-Version',
  'Organization',
  'Priority',
  'Proxy-Authenticate',
  'Proxy-Authentication-Info',
  'Proxy-Authorization',
  'Reply-To',
  'Retry-After',
  'Server',
  'SIP-ETag',
  'SIP-If-Match',
  'Subject s',
  'Subscription-State',
  'Timestamp',
  'User-Agent',
  'WWW-Authenticate',
]

const LISTS: readonly string[] = [
  'Accept',
  'Accept-Contact a',
  'Accept-Encoding',
  'Accept-Language',
  'Accept-Resource-Priority',
  'Additional-Identity',
  'Alert-Info',
  'Allow',
  'Allow-Events u',
  'Answer-Mode',
  'Attestation-Info',
  'Call-Info',
  'Cellular-Network-Info',
  'Contact m',
  'Content-Encoding e',
  'Content-ID',
  'Content-Language',
  'DC-Info',
  'Diversion',
  'Encryption',
  'Error-Info',
  'Feature-Caps',
  'Flow-Timer',
  'Geolocation',
  'Geolocation-Error',
  'Geolocation-Routing',
  'Hide',
  'History-Info',
  'Identity-Info n',
  'In-Reply-To',
  'Info-Package',
  'Join',
  'Max-Breadth',
  'Origination-Id',
  'P-Access-Network-Info',
  'P-Answer-State',
  'P-Asserted-Identity',
  'P-Asserted-Service',
  'P-Associated-URI',
  'P-Called-Party-ID',
  'P-Charge-Info',
  'P-Charging-Function-Addresses',
  'P-Charging-Vector',
  'P-DCS-Billing-Info',
  'P-DCS-LAES',
  'P-DCS-OSPS',
  'P-DCS-Redirect',
  'P-DCS-Trace-Party-ID',
  'P-Early-Media',
  'P-Media-Authorization',
  'P-Preferred-Identity',
  'P-Preferred-Service',
  'P-Private-Network-Indication',
  'P-Profile-Key',
  'P-Refused-URI-List',
  'P-Served-User',
  'P-User-Database',
  'P-Visited-Network-ID',
  'Path',
  'Permission-Missing',
  'Policy-Contact',
  'Policy-ID',
  'Priority-Share',
  'Priority-Verstat',
  'Priv-Answer-Mode',
  'Privacy',
  'Proxy-Require',
  'Reason',
  'Reason-Phrase',
  'Record-Route',
  'Recv-Info',
  'Refer-Events-At',
  'Reject-Contact j',
  'Relayed-Charge',
  'Remote-Party-ID',
  'Request-Disposition d',
  'Require',
  'Resource-Priority',
  'Resource-Share',
  'Response-Key',
  'Response-Source',
  'Restoration-Info',
  'Route',
  'Security-Client',
  'Security-Server',
  'Security-Verify',
  'Service-Interact-Info',
  'Service-Route',
  'Session-ID',
  'Supported k',
  'Suppress-If-Match',
  'Trigger-Consent',
  'Unsupported',
  'User-to-User',
  'Via v',
  'Warning',
]

interface Entry {
  /** Of the name in lower case. In an array, since a look at a typed one costs half as much again. */
  readonly codes: readonly number[]
  readonly header: HeaderName
}

/** By length and first letter, so that a name is found in a text without cutting it out. */
const buckets: readonly Entry[][] = Array.from({ length: 32 * (LONGEST + 1) }, () => [])
/** By name as commonly written, which is how nearly every name is asked for. */
const asWritten = new Map<string, HeaderName>()
register(ONCE, 'one')
register(TEXT, 'text')
register(LISTS, 'list')

function register(rows: readonly string[], form: HeaderForm): void {
  for (const [index, row] of rows.entries()) {
    const names = row.split(' ')
    const header: HeaderName = { name: names[0] ?? row, form, bit: form === 'one' ? 1 << index : 0 }
    for (const name of names) {
      buckets[bucketOf(name.length, name.charCodeAt(0))]?.push({ codes: [...Buffer.from(name.toLowerCase())], header })
      asWritten.set(name, header)
    }
  }
}

function bucketOf(length: number, first: number): number {
  return length * 32 + (first & 31)
}

/** What is known of the header field named there, long or compact, in any case; undefined for a name of somebody's own. */
export function matchHeader(bytes: Buffer, start: number, end: number): HeaderName | undefined {
  const length = end - start
  if (length <= 0 || length > LONGEST) return undefined
  const bucket = buckets[bucketOf(length, bytes[start] ?? 0)]
  if (bucket === undefined) return undefined
  for (let at = 0; at < bucket.length; at++) {
    const entry = bucket[at]
    if (entry !== undefined && isSame(bytes, start, entry.codes)) return entry.header
  }
  return undefined
}

function isSame(bytes: Buffer, start: number, codes: readonly number[]): boolean {
  for (let offset = 0; offset < codes.length; offset++) {
    const code = bytes[start + offset] ?? 0
    const wanted = codes[offset]
    if (code !== wanted && (code < 65 || code > 90 || code + 32 !== wanted)) return false
  }
  return true
}

/** What is known of the header field of that name, long or compact, in any case. */
export function lookUpHeader(name: string): HeaderName | undefined {
  const known = asWritten.get(name)
  if (known !== undefined || buckets[bucketOf(name.length, name.charCodeAt(0))]?.length === 0) return known
  return matchHeader(sourceOf(name).bytes, 0, name.length)
}
