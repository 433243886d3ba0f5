import { createPrivateKey, X509Certificate } from 'node:crypto'
import { issueAuthority, issueServer, type KeyPair } from './issue.ts'

/** What the operator serves with and what replicas check it against, as it stands in a Secret. All PEM. */
export interface CertificateSet {
  readonly server: KeyPair
  /** Authorities that replicas accept: the one that signs now, and the one before as long as it holds. */
  readonly authorities: string
  /** The authority that signs; absent where somebody else issues. */
  readonly authority?: KeyPair
}

const day = 86_400_000
const authorityLifetime = 3650 * day
const serverLifetime = 90 * day
/** Clocks of nodes differ a little. */
const earlier = 3_600_000
/**
 * The set to write instead of the present one; undefined when that will do. A certificate is renewed when a third of its
 * life is left, and when it is damaged or lacks a name. The authority before stays accepted, so nobody is cut off.
 */
export function renewed(
  present: CertificateSet | undefined,
  { dnsNames, now }: { dnsNames: readonly string[]; now: number },
): CertificateSet | undefined {
  const old = present?.authority
  const keeps = old !== undefined && isGood(old, now)
  const authority = keeps
    ? old
    : issueAuthority('sbcfleet control', { from: now - earlier, to: now + authorityLifetime })
  if (keeps && present !== undefined && serves(present, authority, dnsNames, now)) return undefined
  const server = issueServer(authority, dnsNames, { from: now - earlier, to: now + serverLifetime })
  return { server, authority, authorities: accepted(authority, present?.authorities, now) }
}

/** When `renewed` should be asked again, in milliseconds from now. */
export function renewalDelay({ server }: CertificateSet, now: number): number {
  const { from, to } = validityOf(new X509Certificate(server.certificate))
  return Math.max(0, from + ((to - from) * 2) / 3 - now)
}

/** What is wrong with a set that somebody else made, as a phrase; undefined when it can be used. */
export function flaw({ server }: CertificateSet, dnsName: string, now: number): string | undefined {
  try {
    const certificate = new X509Certificate(server.certificate)
    if (!certificate.checkPrivateKey(createPrivateKey(server.key))) return 'the key does not belong to the certificate'
    if (certificate.checkHost(dnsName) === undefined) return `the certificate is not for ${dnsName}`
    if (validityOf(certificate).to <= now) return `the certificate expired at ${certificate.validTo}`
    return undefined
  } catch (error) {
    return `the certificate or its key cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
}

function serves(present: CertificateSet, authority: KeyPair, dnsNames: readonly string[], now: number): boolean {
  if (dnsNames.some((name) => flaw(present, name, now) !== undefined)) return false
  const certificate = new X509Certificate(present.server.certificate)
  if (!present.authorities.includes(authority.certificate)) return false
  return certificate.verify(new X509Certificate(authority.certificate).publicKey) && isFresh(certificate, now)
}

function isGood({ certificate, key }: KeyPair, now: number): boolean {
  try {
    const parsed = new X509Certificate(certificate)
    return parsed.checkPrivateKey(createPrivateKey(key)) && isFresh(parsed, now)
  } catch {
    return false
  }
}

/** More than a third of its life is left. */
function isFresh(certificate: X509Certificate, now: number): boolean {
  const { from, to } = validityOf(certificate)
  return now < from + ((to - from) * 2) / 3
}

function validityOf({ validFrom, validTo }: X509Certificate) {
  return { from: Date.parse(validFrom), to: Date.parse(validTo) }
}

/** The authority and those before it that still hold. */
function accepted(authority: KeyPair, before: string | undefined, now: number): string {
  const older = before?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
  const held = older.filter((certificate) => {
    try {
      return validityOf(new X509Certificate(certificate)).to > now
    } catch {
      return false
    }
  })
  return [...new Set([authority.certificate, ...held])].join('')
}
