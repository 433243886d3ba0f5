import { createPrivateKey, X509Certificate } from 'node:crypto'
import { issueAuthority, issueServer, type KeyPair } from './issue.ts'

/** What the operator serves with and what replicas check it against, as it stands in a Secret. All PEM. */
export interface CertificateSet {
  readonly server: KeyPair
  /** Authorities that replicas accept: the one that signs now, the one that will, and those before as long as they hold. */
  readonly authorities: string
  /** The authority that signs; absent where somebody else issues. */
  readonly authority?: KeyPair
  /** The authority that signs when every replica has heard of it. */
  readonly next?: KeyPair
}

const day = 86_400_000
const authorityLifetime = 3650 * day
const serverLifetime = 90 * day
/** Clocks of nodes differ a little. */
const earlier = 3_600_000
/** How long a new authority is accepted before it signs: nodes bring it to their pods within minutes. */
const overlap = day

/**
 * The set to write instead of the present one; undefined when that will do. A certificate is renewed when a third of its
 * life is left, and when it is damaged or lacks a name. Authorities overlap: the next one is accepted for a day before it
 * signs, and the one before for as long as it holds, so nobody is cut off.
 */
export function renewed(
  present: CertificateSet | undefined,
  { dnsNames, now }: { dnsNames: readonly string[]; now: number },
): CertificateSet | undefined {
  const { authority, next } = authoritiesAfter(present, now)
  const signing = next === undefined ? [authority] : [authority, next]
  const authorities = accepted(signing, present?.authorities, now)
  const server = present !== undefined && serves(present, authority, dnsNames, now) ? present.server : undefined
  const isSame = authority === present?.authority && next === present.next
  const isKnown = signing.every(({ certificate }) => present?.authorities.includes(certificate))
  if (server !== undefined && isSame && isKnown) return undefined
  return {
    server: server ?? issueServer(authority, dnsNames, { from: now - earlier, to: now + serverLifetime }),
    authority,
    authorities,
    ...(next !== undefined && { next }),
  }
}

/** Who signs now, and who will. What is damaged or over is replaced at once, since nobody can accept it. */
function authoritiesAfter(
  { authority, next }: Partial<CertificateSet> = {},
  now: number,
): { authority: KeyPair; next?: KeyPair } {
  const fresh = () => issueAuthority('sbcfleet control', { from: now - earlier, to: now + authorityLifetime })
  const successor = next !== undefined && isGood(next, now) ? next : undefined
  if (authority === undefined || !holds(authority, now)) return { authority: successor ?? fresh() }
  if (isGood(authority, now)) return successor === undefined ? { authority } : { authority, next: successor }
  if (successor === undefined) return { authority, next: fresh() }
  const since = validityOf(new X509Certificate(successor.certificate)).from + earlier
  return now - since < overlap ? { authority, next: successor } : { authority: successor }
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
  return certificate.verify(new X509Certificate(authority.certificate).publicKey) && isFresh(certificate, now)
}

/** Whether it can sign, and goes on for long. */
function isGood(authority: KeyPair, now: number): boolean {
  return holds(authority, now) && isFresh(new X509Certificate(authority.certificate), now)
}

/** Whether it can sign now. */
function holds({ certificate, key }: KeyPair, now: number): boolean {
  try {
    const parsed = new X509Certificate(certificate)
    return parsed.checkPrivateKey(createPrivateKey(key)) && validityOf(parsed).to > now
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

/** These authorities, and those before them that still hold. */
function accepted(authorities: readonly KeyPair[], before: string | undefined, now: number): string {
  const older = before?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
  const held = older.filter((certificate) => {
    try {
      return validityOf(new X509Certificate(certificate)).to > now
    } catch {
      return false
    }
  })
  return [...new Set([...authorities.map(({ certificate }) => certificate), ...held])].join('')
}
