import { type Params, param } from './params.ts'
import { decodeEscapes, type Uri } from './uri.ts'

/**
 * RFC 3261 §19.1.4: "A user, ttl, or method uri-parameter appearing in only one URI never matches", "A URI that includes
 * an maddr parameter will not match a URI that contains no maddr parameter", and by its examples neither does one with
 * a transport match one without.
 */
const decisive: readonly string[] = ['user', 'ttl', 'method', 'maddr', 'transport']

/** Whether two URIs are the same by RFC 3261 §19.1.4, or RFC 3966 §4 for tel:. */
export function isSameUri(a: Uri, b: Uri): boolean {
  if (a.scheme !== b.scheme) return false
  if (a.scheme === 'tel') return bareNumber(a.user) === bareNumber(b.user) && isSameTelParams(a.params, b.params)
  return (
    decodeEscapes(a.user) === decodeEscapes(b.user) &&
    decodeEscapes(a.password ?? '') === decodeEscapes(b.password ?? '') &&
    a.host.toLowerCase() === b.host.toLowerCase() &&
    // "sip:bob@biloxi.com" and "sip:bob@biloxi.com:5060" are not the same.
    a.port === b.port &&
    paramsMatch(a.params ?? [], b.params ?? []) &&
    paramsMatch(b.params ?? [], a.params ?? []) &&
    isSameHeaders(a.headers ?? [], b.headers ?? [])
  )
}

/** "Any uri-parameter appearing in both URIs must match"; "All other uri-parameters appearing in only one URI are ignored". */
function paramsMatch(these: Params, those: Params): boolean {
  return these.every(([name, value]) => {
    const other = param(those, name)
    if (other === undefined) return !decisive.includes(name.toLowerCase())
    return decodeEscapes(value).toLowerCase() === decodeEscapes(other).toLowerCase()
  })
}

/** "URI header components are never ignored. Any present header component MUST be present in both URIs and match". */
function isSameHeaders(these: Params, those: Params): boolean {
  if (these.length !== those.length) return false
  return these.every(([name, value]) => {
    const other = param(those, name)
    return other !== undefined && decodeEscapes(value) === decodeEscapes(other)
  })
}

/** RFC 3966 §4: visual separators do not count, letters have no case. */
function bareNumber(number: string): string {
  return number.replace(/[-.()]/g, '').toLowerCase()
}

function isSameTelParams(these: Params = [], those: Params = []): boolean {
  if (these.length !== those.length) return false
  return these.every(([name, value]) => param(those, name)?.toLowerCase() === value.toLowerCase())
}
