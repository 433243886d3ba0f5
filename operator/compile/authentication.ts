import { hkdfSync } from 'node:crypto'
import type { InboundUser } from '#api/authentication.ts'
import type { CredentialsOfTrunk, TrunkConfig } from '#api/snapshot.ts'
import type { SipTrunk } from '#api/sip-trunk.ts'
import { Secret } from '#lib/secret.ts'
import type { SecretContext } from './certificates.ts'
import { placed, type Check, type Findings, type Part } from './check.ts'
import { digestChecks, readDigest } from './digest-secret.ts'

interface AuthenticationContext extends SecretContext {
  /** `namespace/name` of the VoiceService. */
  readonly fleet: string
  readonly nonceRoot: Secret | undefined
}

const userChecks: readonly Check<Part<InboundUser, AuthenticationContext>>[] = [
  ...digestChecks, // there is something to compare with
  usernameIsNew, // of two with one name only one password could be right
]

/** How the trunk and its peer prove who they are, with their Secrets in the clear. */
export function compileAuthentication(
  trunk: SipTrunk,
  context: AuthenticationContext,
  findings: Findings,
): Pick<TrunkConfig, 'credentials' | 'authentication'> {
  const { inbound, outbound } = trunk.spec.authentication
  return {
    ...(outbound !== undefined && { credentials: compileCredentials(outbound.credentials, context, findings) }),
    ...(inbound !== undefined && { authentication: compileInbound(trunk, inbound, context, findings) }),
  }
}

type Outbound = NonNullable<SipTrunk['spec']['authentication']['outbound']>
type Inbound = NonNullable<SipTrunk['spec']['authentication']['inbound']>

function compileCredentials(
  credentials: Outbound['credentials'],
  context: AuthenticationContext,
  findings: Findings,
): CredentialsOfTrunk[] {
  const parts = placed(credentials, 'spec.authentication.outbound.credentials')
  return findings.sift(parts, context, digestChecks).flatMap(({ value: { name, secretRef, realm, number } }) => {
    const digest = readDigest(secretRef.name, name, context)
    if (digest === undefined) return []
    return [{ ...digest, ...(realm !== undefined && { realm }), ...(number !== undefined && { number }) }]
  })
}

/** A user that is left out cannot call; without any nobody can. Calls that nobody asks who they are, there are none. */
function compileInbound(
  { metadata }: SipTrunk,
  { users, ...inbound }: Inbound,
  context: AuthenticationContext,
  findings: Findings,
): TrunkConfig['authentication'] {
  const parts = placed(users, 'spec.authentication.inbound.users')
  return {
    ...inbound,
    users: findings.sift(parts, context, userChecks).flatMap(({ value: { name, secretRef } }) => {
      const digest = readDigest(secretRef.name, name, context)
      return digest === undefined ? [] : [{ name, ...digest }]
    }),
    ...(context.nonceRoot && { nonceKey: nonceKey(context.nonceRoot, context.fleet, metadata.name) }),
  }
}

/** RFC 5869: whoever knows it learns neither the root nor the key of another trunk. */
function nonceKey(root: Secret, fleet: string, trunk: string): Secret {
  const key = hkdfSync('sha256', root.reveal(), '', `digest nonces of ${fleet} ${trunk}`, 32)
  return new Secret(Buffer.from(key).toString('base64url'))
}

function usernameIsNew({ value, context, earlier }: Part<InboundUser, AuthenticationContext>) {
  const username = usernameOf(value, context)
  const same = earlier.find(({ value: other }) => usernameOf(other, context) === username)
  if (same === undefined) return undefined
  return {
    field: 'secretRef.name',
    message: `the Secret has the user name of ${same.field}; give each user a name of its own`,
  }
}

function usernameOf({ name, secretRef }: InboundUser, context: AuthenticationContext): string | undefined {
  return readDigest(secretRef.name, name, context)?.username
}
