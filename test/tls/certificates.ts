import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as der from '../../operator/certificates/der.ts'
import { issueAuthority, type KeyPair, type Validity } from '../../operator/certificates/issue.ts'

const day = 86_400_000

/** From yesterday until next week. */
export const valid: Validity = { from: Date.now() - day, to: Date.now() + 7 * day }
/** Last week. */
export const expired: Validity = { from: Date.now() - 8 * day, to: Date.now() - day }

export interface Names {
  readonly dns?: readonly string[]
  readonly uris?: readonly string[]
  /** Dotted IPv4 addresses. */
  readonly addresses?: readonly string[]
  readonly commonName?: string
}

/** A certificate authority of a test. */
export class Authority {
  readonly pair: KeyPair = issueAuthority(`authority of ${randomBytes(4).toString('hex')}`, valid)

  get certificate(): string {
    return this.pair.certificate
  }

  /** A certificate for servers and clients, with whatever is in the names. */
  issue(names: Names, validity: Validity = valid): KeyPair {
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'der' },
    })
    const algorithm = der.sequence(der.identifier('1.2.840.10045.4.3.2'))
    const alternatives = alternativeNames(names)
    const body = der.sequence(
      der.tagged(0, der.integer(Buffer.from([2])), true),
      der.integer(randomBytes(16)),
      algorithm,
      subjectOf(this.pair.certificate),
      der.sequence(der.time(validity.from), der.time(validity.to)),
      commonName(names.commonName ?? 'a peer'),
      publicKey,
      der.tagged(
        3,
        der.sequence(
          // serverAuth and clientAuth
          extension(
            '2.5.29.37',
            der.sequence(der.identifier('1.3.6.1.5.5.7.3.1'), der.identifier('1.3.6.1.5.5.7.3.2')),
          ),
          ...(alternatives.length === 0 ? [] : [extension('2.5.29.17', der.sequence(...alternatives))]),
        ),
        true,
      ),
    )
    const signature = sign('sha256', body, createPrivateKey(this.pair.key))
    const certificate = der.sequence(body, algorithm, der.bits(signature)).toString('base64')
    return {
      certificate: `-----BEGIN CERTIFICATE-----\n${certificate.match(/.{1,64}/g)?.join('\n')}\n-----END CERTIFICATE-----\n`,
      key: privateKey,
    }
  }
}

/** Writes PEM texts into a directory of their own, for programs that want files. */
export function writePems(texts: Record<string, string>): { path(name: string): string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'certificates-'))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text, { mode: 0o600 })
  return {
    path: (name) => join(directory, name),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

function alternativeNames({ dns = [], uris = [], addresses = [] }: Names): Buffer[] {
  return [
    ...dns.map((name) => der.tagged(2, Buffer.from(name, 'ascii'), false)),
    ...uris.map((uri) => der.tagged(6, Buffer.from(uri, 'ascii'), false)),
    ...addresses.map((address) => der.tagged(7, Buffer.from(address.split('.').map(Number)), false)),
  ]
}

function commonName(name: string): Buffer {
  return der.sequence(der.set(der.sequence(der.identifier('2.5.4.3'), der.text(name))))
}

/** An authority names itself by its common name alone. */
function subjectOf(certificate: string): Buffer {
  const bytes = Buffer.from(certificate.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  const name = /authority of [0-9a-f]{8}/.exec(bytes.toString('latin1'))
  return commonName(name?.[0] ?? '')
}

function extension(id: string, value: Buffer): Buffer {
  return der.sequence(der.identifier(id), der.octets(value))
}
