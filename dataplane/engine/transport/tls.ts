import { isIP } from 'node:net'
import {
  connect,
  createSecureContext,
  createServer,
  type PeerCertificate,
  type SecureContext,
  type Server,
  type TLSSocket,
} from 'node:tls'
import { X509Certificate } from 'node:crypto'
import type { ClientTls, Credentials, ServerTls } from '../engine.types.ts'
import { holdsName } from '../message/domain-name.ts'
import { certifiedAddresses, sipDomains } from './peer-name.ts'

/** How long a handshake may take, in milliseconds. */
const HANDSHAKE_TIMEOUT = 10_000

/**
 * The TLS side of a listener. It is bound to nothing: connections are handed to it, so that another takes its place when
 * certificates change, and those that are open stay as they are. Throws when a certificate or key cannot be used.
 */
export function createTlsServer(tls: ServerTls): Server {
  const contexts = contextsByName(tls)
  const { clientAuthorities } = tls
  return createServer({
    ...contextOptions(tls, tls.minVersion),
    handshakeTimeout: HANDSHAKE_TIMEOUT,
    SNICallback: (name, done) => done(null, contextFor(name, contexts)),
    // RFC 3261 §26.3.2.1: a server that wants to know its clients asks them for a certificate.
    ...(clientAuthorities !== undefined && { requestCert: true, rejectUnauthorized: true, ca: clientAuthorities }),
  })
}

/** Why the credentials cannot be used; undefined when they can. */
export function tlsProblem(tls: ServerTls): string | undefined {
  try {
    createTlsServer(tls)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** SIP domains of a peer whose certificate was verified; none when it has shown none. */
export function verifiedDomains(socket: TLSSocket): readonly string[] {
  if (!socket.authorized) return []
  const certificate = socket.getPeerCertificate()
  return [...sipDomains(certificate), ...certifiedAddresses(certificate)]
}

/** Connects from the address. The socket errs when the certificate is not trusted, or names somebody else. */
export function connectTls(
  to: { readonly host: string; readonly port: number; readonly localAddress: string },
  tls: ClientTls,
): TLSSocket {
  const { serverName, verify, authorities, names, credentials, minVersion } = tls
  return connect({
    ...to,
    ...(credentials !== undefined && { cert: credentials.certificate, key: credentials.key }),
    ...(authorities !== undefined && { ca: authorities }),
    // RFC 6066 §3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"."
    ...(serverName !== undefined && isIP(serverName) === 0 && { servername: serverName }),
    minVersion,
    rejectUnauthorized: verify,
    checkServerIdentity: (_host, certificate) => nameProblem(certificate, names),
  })
}

function nameProblem(certificate: PeerCertificate, names: readonly string[]): Error | undefined {
  const certified = [...sipDomains(certificate), ...certifiedAddresses(certificate)]
  if (holdsName(certified, names)) return undefined
  const found = certified.length === 0 ? 'no name' : certified.join(', ')
  return new Error(`the certificate is for ${found}, not for ${names.join(' or ')} (RFC 5922 section 7)`)
}

function contextOptions({ certificate, key }: Credentials, minVersion: ServerTls['minVersion']) {
  return { cert: certificate, key, minVersion }
}

function contextsByName(tls: ServerTls): ReadonlyMap<string, SecureContext> {
  const contexts = new Map<string, SecureContext>()
  for (const credentials of [tls, ...tls.others]) {
    const context = createSecureContext({
      ...contextOptions(credentials, tls.minVersion),
      ...(tls.clientAuthorities !== undefined && { ca: tls.clientAuthorities }),
    })
    for (const name of dnsNames(credentials.certificate)) if (!contexts.has(name)) contexts.set(name, context)
  }
  return contexts
}

/** Browsers take a wildcard for one label, so a listener that shows one to them is asked for such names. */
function contextFor(name: string, contexts: ReadonlyMap<string, SecureContext>): SecureContext | undefined {
  const asked = name.toLowerCase()
  return contexts.get(asked) ?? contexts.get(asked.replace(/^[^.]+/, '*'))
}

function dnsNames(certificate: string): readonly string[] {
  const { subjectAltName = '' } = new X509Certificate(certificate)
  return [...subjectAltName.matchAll(/DNS:([^,\s"]+)/g)].map(([, name = '']) => name.toLowerCase())
}
