import { X509Certificate } from 'node:crypto'
import type { OpenListener } from './running.ts'

/** When a certificate that a listener shows expires. */
export interface CertificateExpiry {
  readonly listener: string
  /** DNS names and URIs of the certificate, as text. */
  readonly names: string
  /** In milliseconds since 1970. */
  readonly expiresAt: number
}

/** Of every certificate of every listener. */
export function certificateExpiries(listeners: Iterable<OpenListener>): CertificateExpiry[] {
  const expiries: CertificateExpiry[] = []
  for (const { name, tls } of listeners) {
    if (tls === undefined) continue
    for (const { certificate } of [tls, ...tls.others]) {
      const { subjectAltName, subject, validTo } = new X509Certificate(certificate)
      expiries.push({ listener: name, names: subjectAltName ?? subject, expiresAt: Date.parse(validTo) })
    }
  }
  return expiries
}
