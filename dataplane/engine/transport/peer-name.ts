import type { PeerCertificate } from 'node:tls'
import { comparableName } from '../message/domain-name.ts'

type Certificate = Pick<PeerCertificate, 'subject' | 'subjectaltname'>

/**
 * The SIP domains that a certificate speaks for, in lower case. RFC 5922 §7.1: a URI of scheme sip in the subjectAltName
 * without a user part is one; a DNS name of it only if there is no such URI; the CN only if there is no subjectAltName.
 */
export function sipDomains(certificate: Certificate): readonly string[] {
  const alternatives = alternativeNames(certificate.subjectaltname ?? '')
  const uris = alternatives.flatMap(([kind, value]) => (kind === 'URI' ? domainOfUri(value) : []))
  if (uris.length > 0) return uris
  if (certificate.subjectaltname !== undefined) {
    return alternatives.flatMap(([kind, value]) => (kind === 'DNS' ? [comparableName(value)] : []))
  }
  // The typings leave out that a subject may be missing, or name several.
  const name: unknown = (certificate.subject as { CN?: unknown } | undefined)?.CN
  return typeof name === 'string' ? [comparableName(name)] : []
}

/** IP addresses of the subjectAltName: no SIP domains, but all that a peer which is configured by address can show. */
export function certifiedAddresses(certificate: Certificate): readonly string[] {
  return alternativeNames(certificate.subjectaltname ?? '').flatMap(([kind, value]) =>
    kind === 'IP Address' ? [comparableName(value)] : [],
  )
}

/** `sip:example.com` names a domain, `sip:alice@example.com` a person in it, and other schemes nothing of SIP's. */
function domainOfUri(uri: string): string[] {
  const match = /^sip:([^@;?]+)$/i.exec(uri)
  if (match?.[1] === undefined) return []
  return [comparableName(match[1].replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))]
}

/** Node writes `DNS:a.example, URI:sip:a.example`, and a value with odd characters as a JSON string. */
function alternativeNames(text: string): [kind: string, value: string][] {
  const names: [string, string][] = []
  for (const [, kind = '', quoted, plain = ''] of text.matchAll(/([A-Za-z ]+):("(?:[^"\\]|\\.)*"|)([^,]*)(?:, |$)/g)) {
    names.push([kind.trim(), quoted === '' || quoted === undefined ? plain : unquoted(quoted)])
  }
  return names
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text))
  } catch {
    return ''
  }
}
