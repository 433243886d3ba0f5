import { z } from 'zod'
import { LocalRef, Name, namedList, setOf } from './fields.ts'

/** Digest authentication between the fleet and a peer (RFC 3261 section 22, RFC 8760), in either direction. */

export const DigestAlgorithm = z.enum(['SHA-256', 'MD5'])
export type DigestAlgorithm = z.infer<typeof DigestAlgorithm>

const realm = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[ !#-[\]-~]+$/, 'must be plain ASCII text without quotes and backslashes')
  .meta({ form: 'ASCII text without quotes and backslashes' })

export const OutboundCredentials = z.strictObject({
  name: Name.describe('Name of the credentials, shown in messages.'),
  secretRef: LocalRef.describe(
    'Secret with the digest credentials: key `password`, and key `username` where it differs from the name.',
  ),
  realm: realm
    .optional()
    .describe(
      'Realm that the credentials are for; challenges of other realms are not answered with them. ' +
        'Absent: any; inside a call those alone that have challenged its INVITE.',
    ),
  number: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe(
      "Number that calls with these credentials before others do: the caller's in calls to the peer, the one that was called in calls of the peer. Absent: no number before others.",
    ),
})
export type OutboundCredentials = z.infer<typeof OutboundCredentials>

export const InboundUser = z.strictObject({
  name: Name.describe('Name of the user, shown in messages.'),
  secretRef: LocalRef.describe(
    'Secret with the digest credentials: key `password`, and key `username` where it differs from the name.',
  ),
})
export type InboundUser = z.infer<typeof InboundUser>

export const InboundAuthentication = z.strictObject({
  realm: realm.describe('Realm that is asked for; part of what a password is hashed with.'),
  users: namedList(InboundUser, { min: 1, max: 64 }).describe('Who may call.'),
  algorithms: setOf(DigestAlgorithm, { min: 1, max: 2 })
    .default(['SHA-256', 'MD5'])
    .describe(
      'Algorithms that are offered, in this order. MD5 is weak, and the only one that many phones and gateways know; those that give up when they are offered another one, too, need MD5 alone.',
    ),
  role: z
    .enum(['UserAgent', 'Proxy'])
    .default('UserAgent')
    .describe(
      'UserAgent: calls are challenged with 401, as RFC 3261 section 22.1 has it. Proxy: with 407, for peers that answer nothing else.',
    ),
})
export type InboundAuthentication = z.infer<typeof InboundAuthentication>

export const Authentication = z.strictObject({
  outbound: z
    .strictObject({
      credentials: namedList(OutboundCredentials, { min: 1, max: 16 }).describe(
        'What answers the challenges of the peer to calls; the accounts of `registration` answer them, too.',
      ),
    })
    .optional()
    .describe('How the fleet proves to the peer who it is. Absent: with the accounts of `registration` alone.'),
  inbound: InboundAuthentication.optional().describe(
    'How the peer proves to the fleet who it is: its calls are challenged, besides having to come from its addresses. Absent: by its addresses alone.',
  ),
})
export type Authentication = z.infer<typeof Authentication>
