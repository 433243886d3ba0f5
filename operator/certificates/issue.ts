import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { X509Certificate } from 'node:crypto'
import * as der from './der.ts'

/** A certificate and its key, PEM. */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** From when to when, in milliseconds since 1970. */
export interface Validity {
  readonly from: number
  readonly to: number
}

const ecdsaWithSha256 = der.sequence(der.identifier('1.2.840.10045.4.3.2'))

/** A certificate authority that signs itself, with a new P-256 key. */
export function issueAuthority(commonName: string, validity: Validity): KeyPair {
  const { privateKey, publicKey } = newKeys()
  const key = createPrivateKey(privateKey)
  const name = distinguishedName(commonName)
  const certificate = signed(key, {
    issuer: name,
    subject: name,
    publicKey,
    validity,
    extensions: [
      extension('2.5.29.19', true, der.sequence(der.boolean(true))),
      // keyCertSign and cRLSign
      extension('2.5.29.15', true, der.bits(Buffer.from([0x06]), 1)),
      extension('2.5.29.14', false, der.octets(keyIdentifier(publicKey))),
    ],
  })
  return { certificate, key: privateKey }
}

/** A certificate for a server with these DNS names, with a new P-256 key, signed by an authority. */
export function issueServer(authority: KeyPair, dnsNames: readonly string[], validity: Validity): KeyPair {
  const { privateKey, publicKey } = newKeys()
  const issuer = new X509Certificate(authority.certificate)
  const issuerKey = createPublicKey(authority.key).export({ type: 'spki', format: 'der' })
  const certificate = signed(createPrivateKey(authority.key), {
    issuer: distinguishedName(issuer.subject.replace(/^CN=/, '')),
    subject: distinguishedName(shortName(dnsNames)),
    publicKey,
    validity,
    extensions: [
      extension('2.5.29.19', true, der.sequence()),
      // digitalSignature
      extension('2.5.29.15', true, der.bits(Buffer.from([0x80]), 7)),
      extension('2.5.29.37', false, der.sequence(der.identifier('1.3.6.1.5.5.7.3.1'))),
      extension('2.5.29.35', false, der.sequence(der.tagged(0, keyIdentifier(issuerKey), false))),
      extension(
        '2.5.29.17',
        false,
        der.sequence(...dnsNames.map((name) => der.tagged(2, Buffer.from(name, 'ascii'), false))),
      ),
    ],
  })
  return { certificate, key: privateKey }
}

interface Contents {
  readonly issuer: Buffer
  readonly subject: Buffer
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer
  readonly validity: Validity
  readonly extensions: readonly Buffer[]
}

function signed(key: ReturnType<typeof createPrivateKey>, contents: Contents): string {
  const { issuer, subject, publicKey, validity, extensions } = contents
  const body = der.sequence(
    der.tagged(0, der.integer(Buffer.from([2])), true),
    // "Certificate users MUST be able to handle serialNumber values up to 20 octets" (RFC 5280 section 4.1.2.2).
    der.integer(randomBytes(16)),
    ecdsaWithSha256,
    issuer,
    der.sequence(der.time(validity.from), der.time(validity.to)),
    subject,
    publicKey,
    der.tagged(3, der.sequence(...extensions), true),
  )
  const certificate = der.sequence(body, ecdsaWithSha256, der.bits(sign('sha256', body, key)))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function newKeys() {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'der' },
  })
}

function distinguishedName(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.identifier('2.5.4.3'), der.text(commonName))))
}

/** A common name has at most 64 characters (RFC 5280, appendix A); the names that count are the alternative ones. */
function shortName([first = 'sbcfleet']: readonly string[]): string {
  return first.slice(0, 64)
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return der.sequence(der.identifier(id), ...(critical ? [der.boolean(true)] : []), der.octets(value))
}

/** The first method of RFC 5280 section 4.2.1.2, over the whole SubjectPublicKeyInfo: any unique value will do. */
function keyIdentifier(publicKey: Buffer): Buffer {
  return createHash('sha1').update(publicKey).digest()
}
