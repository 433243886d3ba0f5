import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { type ListenerTlsConfig, noCertificates, type TrunkTlsConfig } from '#api/snapshot.ts'
import type { Listener } from '#api/voice-service.ts'
import { Secret } from '#lib/secret.ts'
import type { Finding, Findings } from './check.ts'

/** Where Secrets are looked up. */
export interface SecretContext {
  readonly namespace: string
  readonly secrets: ReadonlyMap<string, SecretManifest>
}

type Credentials = ListenerTlsConfig['others'][number]
export type Read<T> = { readonly value: T } | { readonly finding: Finding }

/** The certificates of a listener, with their Secrets in the clear. */
export function compileListenerTls(
  tls: NonNullable<Listener['tls']>,
  field: string,
  context: SecretContext,
  findings: Findings,
): ListenerTlsConfig {
  const take = taker(field, findings)
  const own = take('secretRef.name', readCredentials(tls.secretRef.name, context))
  const authorities =
    tls.clientCaRef === undefined ? undefined : take('clientCaRef.name', readAuthorities(tls.clientCaRef.name, context))
  // Without its authorities a listener would let in clients that have no certificate.
  if (own === undefined || (tls.clientCaRef !== undefined && authorities === undefined)) return noCertificates
  const others = tls.additionalSecretRefs.flatMap(
    ({ name }, index) => take(`additionalSecretRefs[${index}].name`, readCredentials(name, context)) ?? [],
  )
  return {
    ...own,
    others,
    ...(authorities !== undefined && { clientAuthorities: authorities }),
    minVersion: tls.minVersion,
  }
}

/** TLS with a peer; undefined when it cannot be had as it is asked for, and nothing may be sent there without. */
export function compileTrunkTls(
  { spec: { tls } }: SipTrunk,
  context: SecretContext,
  findings: Findings,
): TrunkTlsConfig | undefined {
  const take = taker('spec.tls', findings)
  const authorities = tls.caRef === undefined ? undefined : take('caRef.name', readAuthorities(tls.caRef.name, context))
  const credentials =
    tls.secretRef === undefined ? undefined : take('secretRef.name', readCredentials(tls.secretRef.name, context))
  if (tls.caRef !== undefined && authorities === undefined) return undefined
  if (tls.secretRef !== undefined && credentials === undefined) return undefined
  return {
    verify: tls.verify,
    allowedNames: tls.allowedNames,
    minVersion: tls.minVersion,
    ...(tls.serverName !== undefined && { serverName: tls.serverName }),
    ...(authorities !== undefined && { authorities }),
    ...(credentials !== undefined && { credentials }),
  }
}

export function isSecure(transport: Listener['transport']): boolean {
  return transport === 'TLS' || transport === 'WSS'
}

/** Gives the value, or notes what was found below the field. */
function taker(field: string, findings: Findings) {
  return <T>(part: string, read: Read<T>): T | undefined => {
    if ('value' in read) return read.value
    findings.passes(undefined, `${field}.${part}`, [() => read.finding])
    return undefined
  }
}

function readCredentials(name: string, context: SecretContext): Read<Credentials> {
  const pem = readKeys(name, ['tls.crt', 'tls.key'], context)
  if ('finding' in pem) return pem
  const [certificate = '', key = ''] = pem.value
  const full = `Secret ${context.namespace}/${name}`
  try {
    const first = new X509Certificate(certificate)
    if (first.checkPrivateKey(createPrivateKey(key))) return { value: { certificate, key: new Secret(key) } }
    return invalid(`"tls.key" of ${full} is not the key of "tls.crt"; put in the two that belong together`)
  } catch {
    return invalid(`${full} has no certificate with its key in "tls.crt" and "tls.key"; both must be PEM, unencrypted`)
  }
}

function readAuthorities(name: string, context: SecretContext): Read<string> {
  const pem = readKeys(name, ['ca.crt'], context)
  if ('finding' in pem) return pem
  const [authorities = ''] = pem.value
  try {
    const certificates = authorities.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? ['']
    for (const certificate of certificates) new X509Certificate(certificate)
    return { value: authorities }
  } catch {
    return invalid(`"ca.crt" of Secret ${context.namespace}/${name} holds something that is no certificate in PEM`)
  }
}

/** The texts that a Secret has at these keys, none of them empty. */
export function readKeys(name: string, keys: readonly string[], { namespace, secrets }: SecretContext): Read<string[]> {
  const secret = secrets.get(name)
  const full = `Secret ${namespace}/${name}`
  const wanted = keys.map((key) => `"${key}"`).join(' and ')
  if (secret === undefined) {
    const message = `${full} does not exist; create it with ${wanted}`
    return { finding: { unresolved: 'SecretNotFound', missing: full, message } }
  }
  const values: string[] = []
  for (const key of keys) {
    const encoded = secret.data?.[key]
    const text = secret.stringData?.[key] ?? (encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString())
    if (text === '') {
      return { finding: { unresolved: 'SecretKeyMissing', message: `${full} has no "${key}"; it needs ${wanted}` } }
    }
    values.push(text)
  }
  return { value: values }
}

function invalid(message: string): { readonly finding: Finding } {
  return { finding: { unresolved: 'SecretInvalid', message } }
}
