import type { SecretManifest } from '#api/sip-trunk.ts'
import { Secret } from '#lib/secret.ts'
import type { SecretContext } from './certificates.ts'
import type { Check, Part } from './check.ts'

/** Anything whose digest credentials are in a Secret. */
interface WithSecret {
  readonly secretRef: { readonly name: string }
}
type SecretPart = Part<WithSecret, SecretContext>

/** What must be right of the Secret, for every part that refers to one. */
export const digestChecks: readonly Check<SecretPart>[] = [
  secretExists, // the credentials are in a Secret of the trunk's namespace
  secretHasPassword, // without one there is nothing to prove or to compare with
  credentialsAreOneLine, // a line break is what `echo` adds, and never what was meant
]

/** The credentials of a Secret; undefined when it does not exist or has no password. `username` where it names none. */
export function readDigest(
  name: string,
  username: string,
  { secrets }: SecretContext,
): { readonly username: string; readonly password: Secret } | undefined {
  const secret = secrets.get(name)
  const password = secret === undefined ? undefined : credential(secret, 'password')
  if (secret === undefined || password === undefined) return undefined
  return { username: credential(secret, 'username')?.reveal() ?? username, password }
}

function secretExists({ value, context }: SecretPart) {
  const { name } = value.secretRef
  if (context.secrets.has(name)) return undefined
  return {
    field: 'secretRef.name',
    unresolved: 'SecretNotFound' as const,
    missing: `Secret ${context.namespace}/${name}`,
    message: `Secret ${context.namespace}/${name} does not exist; create it with the key "password"`,
  }
}

function secretHasPassword({ value, context }: SecretPart) {
  const { name } = value.secretRef
  const secret = context.secrets.get(name)
  const password = secret === undefined ? undefined : credential(secret, 'password')
  if (password !== undefined && password.reveal() !== '') return undefined
  return {
    field: 'secretRef.name',
    unresolved: 'SecretKeyMissing' as const,
    message: `Secret ${context.namespace}/${name} has ${password === undefined ? 'no key "password"' : 'an empty "password"'}; put the digest password there`,
  }
}

function credentialsAreOneLine({ value, context }: SecretPart) {
  const { name } = value.secretRef
  const secret = context.secrets.get(name)
  for (const key of ['username', 'password']) {
    const text = secret === undefined ? undefined : credential(secret, key)?.reveal()
    if (text === undefined || !hasControlCharacter(text)) continue
    return {
      field: 'secretRef.name',
      unresolved: 'SecretKeyMissing' as const,
      message: `Secret ${context.namespace}/${name} has a line break or control character in "${key}"; write it without, as with "echo -n"`,
    }
  }
  return undefined
}

function hasControlCharacter(text: string): boolean {
  return Array.from(text).some((character) => character < ' ' || character === '\u007f')
}

function credential(secret: SecretManifest, key: string): Secret | undefined {
  const plain = secret.stringData?.[key]
  if (plain !== undefined) return new Secret(plain)
  const encoded = secret.data?.[key]
  return encoded === undefined ? undefined : new Secret(Buffer.from(encoded, 'base64').toString('utf8'))
}
