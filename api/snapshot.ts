import { z } from 'zod'
import { DigestAlgorithm } from './authentication.ts'
import { TlsVersion, Transport } from './fields.ts'
import { ResolvedSipBehaviour } from './sip-behaviour.ts'
import { Admission, TrunkAdmission } from './admission.ts'
import { Secret } from '#lib/secret.ts'

/**
 * What the compiler makes of the manifests and replicas run: a set of resources, each with a key and the hash of its
 * content as its version. Behaviour is resolved, references are checked, nothing is left to merge.
 */

/** A secret value: a string on the wire, a `Secret` that prints `[redacted]` in memory. */
const SecretValue = z.union([z.instanceof(Secret), z.string().transform((value) => new Secret(value))])

/** The manifest a compiled resource comes from, so that a refusal can be told to the right one. */
export const Origin = z.strictObject({
  kind: z.enum(['VoiceService', 'SipTrunk']).describe('Kind of the manifest.'),
  namespace: z.string().describe('Namespace of the manifest.'),
  name: z.string().describe('Name of the manifest.'),
  generation: z.int().min(0).describe('Generation of the manifest; 0 where none is counted.'),
  field: z.string().describe('Path inside the manifest, as `spec.routes[2]`.'),
})
export type Origin = z.infer<typeof Origin>

const CredentialsConfig = {
  certificate: z.string().describe('Certificate, with those that lead to its authority, PEM.'),
  key: SecretValue.describe('Its key, PEM.'),
}

export const ListenerTlsConfig = z.strictObject({
  ...CredentialsConfig,
  others: z
    .array(z.strictObject(CredentialsConfig))
    .describe('Shown to clients that ask for one of their DNS names instead.'),
  clientAuthorities: z
    .string()
    .optional()
    .describe('Authorities that clients must have a certificate of, PEM; absent: clients need none.'),
  minVersion: TlsVersion.describe('Oldest version of TLS that is spoken.'),
})
export type ListenerTlsConfig = z.infer<typeof ListenerTlsConfig>

export const TrunkTlsConfig = z.strictObject({
  verify: z.boolean().describe("Whether the peer's certificate is checked."),
  authorities: z.string().optional().describe('Authorities that it must be of, PEM; absent: the public ones.'),
  serverName: z.string().optional().describe('Name that is asked for and must be in it; absent: host of the target.'),
  allowedNames: z.array(z.string()).describe('Names any of which it may have instead.'),
  credentials: z
    .strictObject(CredentialsConfig)
    .optional()
    .describe('Shown to a peer that asks; absent: that of the listener.'),
  minVersion: TlsVersion.describe('Oldest version of TLS that is spoken.'),
})
export type TrunkTlsConfig = z.infer<typeof TrunkTlsConfig>

export const ListenerConfig = z.strictObject({
  type: z.literal('Listener').describe('Which resource it is.'),
  name: z.string().describe('Name of the listener.'),
  transport: Transport.describe('Transport that is listened on.'),
  port: z.int().describe('Port that is bound.'),
  ipFamily: z.enum(['IPv4', 'IPv6']).describe("Which of the replica's own addresses is bound."),
  advertisedAddress: z.string().optional().describe('Address or name that peers are told; absent: the one bound.'),
  advertisedPort: z.int().optional().describe('Port that peers are told; absent: the one bound.'),
  tls: ListenerTlsConfig.optional().describe('Certificates; there for TLS and WSS.'),
})
export type ListenerConfig = z.infer<typeof ListenerConfig>

/** Stands for certificates that cannot be had, as long as a Secret is missing: a replica refuses it, and keeps what it has. */
export const noCertificates: ListenerTlsConfig = {
  certificate: '',
  key: new Secret(''),
  others: [],
  minVersion: 'TLSv1.2',
}

/** Whether a listener waits for its certificates. */
export function lacksCertificates(body: ResourceBody): boolean {
  return body.type === 'Listener' && body.tls?.certificate === ''
}

export const TargetConfig = z.strictObject({
  name: z.string().describe('Name of the target.'),
  host: z.string().describe('Address or DNS name of the peer.'),
  port: z.int().optional().describe('Port of the peer; absent: SRV records of the host tell it (RFC 3263).'),
  naptr: z.literal(true).optional().describe('Set where NAPTR records tell which SRV records.'),
  transport: Transport.describe('Transport to the peer.'),
  priority: z.int().describe('Lower values are tried first.'),
  weight: z.int().describe('Share among targets of one priority.'),
  listener: z.string().describe('Listener that requests to this target leave from.'),
  probe: z
    .strictObject({
      transport: Transport.describe('Transport of the probes.'),
      listener: z.string().describe('Listener that probes leave from.'),
    })
    .optional()
    .describe('How it is probed where that is another way than calls take; absent: as calls.'),
})
export type TargetConfig = z.infer<typeof TargetConfig>

export const RegistrationConfig = z.strictObject({
  account: z.string().describe('Name of the account.'),
  registrar: z.string().describe('Name of the registrar.'),
  number: z.string().describe('User part of the address of record.'),
  host: z.string().describe('Address or DNS name of the registrar.'),
  port: z.int().optional().describe('Port of the registrar; absent: SRV records of the host tell it (RFC 3263).'),
  naptr: z.literal(true).optional().describe('Set where NAPTR records tell which SRV records.'),
  transport: Transport.describe('Transport to the registrar.'),
  listener: z.string().describe('Listener that REGISTER leaves from and that its Contact names.'),
  expiresSeconds: z.int().describe('Lifetime asked for, in seconds.'),
  refreshPercent: z.int().describe('Part of the granted lifetime after which it is refreshed, in percent.'),
  contactUser: z.string().describe('User part of the Contact; empty where the account stands for many numbers.'),
  bulk: z.boolean().describe('Whether the account stands for many numbers (RFC 6140).'),
  retry: z
    .strictObject({
      minSeconds: z.int().describe('Wait after a first failure, in seconds.'),
      maxSeconds: z.int().describe('Longest wait between two attempts, in seconds.'),
    })
    .describe('When a failed registration is tried again.'),
  realm: z.string().optional().describe('Realm that the credentials are for; absent: any.'),
  username: z.string().describe('User name of the digest credentials.'),
  password: SecretValue.describe('Password of the digest credentials.'),
})
export type RegistrationConfig = z.infer<typeof RegistrationConfig>

export const CredentialsOfTrunk = z.strictObject({
  number: z.string().optional().describe('Number that calls with them before others do; absent: none.'),
  realm: z.string().optional().describe('Realm that they are for; absent: any.'),
  username: z.string().describe('User name of the digest credentials.'),
  password: SecretValue.describe('Password of the digest credentials.'),
})
export type CredentialsOfTrunk = z.infer<typeof CredentialsOfTrunk>

export const InboundAuthenticationConfig = z.strictObject({
  realm: z.string().describe('Realm that is asked for.'),
  algorithms: z.array(DigestAlgorithm).describe('Algorithms that are offered, in this order.'),
  role: z.enum(['UserAgent', 'Proxy']).describe('Whether calls are challenged with 401 or with 407.'),
  users: z
    .array(
      z.strictObject({
        name: z.string().describe('Name of the user in the manifest.'),
        username: z.string().describe('User name of the digest credentials.'),
        password: SecretValue.describe('Password of the digest credentials.'),
      }),
    )
    .describe('Who may call; nobody when it is empty.'),
  nonceKey: SecretValue.optional().describe(
    'Key that nonces are made and known by, equal on all replicas; absent: calls get 503 until there is one.',
  ),
})
export type InboundAuthenticationConfig = z.infer<typeof InboundAuthenticationConfig>

export const TrunkConfig = z.strictObject({
  type: z.literal('Trunk').describe('Which resource it is.'),
  name: z.string().describe('Name of the SipTrunk.'),
  listeners: z.array(z.string()).describe('Listeners on which calls of this peer are accepted.'),
  targets: z.array(TargetConfig).describe('Where calls to the peer are sent.'),
  allowedSources: z
    .array(z.string())
    .describe('Addresses and blocks that the peer may call from besides its targets, in canonical spelling.'),
  admission: TrunkAdmission.optional().describe('How many calls there may be with the peer at this replica.'),
  credentials: z
    .array(CredentialsOfTrunk)
    .optional()
    .describe('What answers challenges to calls, besides the accounts that are registered; absent: nothing.'),
  authentication: InboundAuthenticationConfig.optional().describe('How calls of the peer are challenged; absent: not.'),
  registrations: z.array(RegistrationConfig).describe('Every account with every registrar of its own, best first.'),
  registrationPolicy: z
    .enum(['All', 'FirstAvailable'])
    .describe('Whether an account is registered with all its registrars, or with the first that takes it.'),
  keepalive: z
    .strictObject({
      enabled: z.boolean().describe('Whether targets are probed.'),
      upIntervalSeconds: z.int().describe('Time between two probes of a target that is up.'),
      downIntervalSeconds: z.int().describe('Time between two probes of a target that is down.'),
      failureThreshold: z.int().describe('Failed probes in a row after which a target is down.'),
      timeoutSeconds: z.int().describe('Time after which a probe without answer has failed.'),
      scope: z.enum(['Fleet', 'Replica']).describe('Whether one replica probes for all, or each for itself.'),
      failureCodes: z.array(z.int()).describe('Status codes that count as a failed probe.'),
    })
    .describe('OPTIONS keepalive of every target.'),
  tls: TrunkTlsConfig.optional().describe('TLS with the peer; there where any of it may go over TLS.'),
  sip: ResolvedSipBehaviour.describe('Trunk over VoiceService; for calls whose route changes nothing of it.'),
})
export type TrunkConfig = z.infer<typeof TrunkConfig>

export const RouteConfig = z.strictObject({
  type: z.literal('Route').describe('Which resource it is.'),
  name: z.string().describe('Name of the route.'),
  match: z
    .strictObject({
      trunks: z.array(z.string()).optional().describe('Trunks that the call may come from; absent: any.'),
      calledPattern: z.string().optional().describe('Pattern for the whole called number; absent: any.'),
      callingPattern: z.string().optional().describe('Pattern for the whole calling number; absent: any.'),
    })
    .describe('Which calls take this route.'),
  priority: z.int().describe('Of several matching routes the lowest value is taken.'),
  targets: z
    .array(
      z.strictObject({
        trunk: z.string().describe('Name of the trunk.'),
        priority: z.int().describe('Lower values are tried first.'),
        weight: z.int().describe('Share among trunks of one priority.'),
        sip: ResolvedSipBehaviour.describe('Behaviour of the leg to this trunk: route over trunk over VoiceService.'),
      }),
    )
    .describe('Trunks that the call is sent to.'),
  inbound: z
    .record(z.string(), ResolvedSipBehaviour)
    .describe(
      'Behaviour of the leg a call came in on, by the name of its trunk: route over that trunk over VoiceService. Holds only trunks for which the route changes something; for the others it is `sip` of the trunk.',
    ),
})
export type RouteConfig = z.infer<typeof RouteConfig>

export const MediaEngineConfig = z.strictObject({
  type: z.literal('MediaEngine').describe('Which resource it is.'),
  name: z.string().describe('Name of the engine.'),
  host: z.string().describe('Address or DNS name of its control port.'),
  port: z.int().describe('Its control port: UDP, the ng protocol of rtpengine.'),
  weight: z.int().describe('Share of the calls; 0: only when no other engine is up.'),
})
export type MediaEngineConfig = z.infer<typeof MediaEngineConfig>

export const FleetConfig = z.strictObject({
  type: z.literal('Fleet').describe('Which resource it is.'),
  name: z.string().describe('Name of the VoiceService.'),
  admission: Admission.describe('How many calls there may be at this replica.'),
})
export type FleetConfig = z.infer<typeof FleetConfig>

export const ResourceBody = z.discriminatedUnion('type', [
  ListenerConfig,
  TrunkConfig,
  RouteConfig,
  MediaEngineConfig,
  FleetConfig,
])
export type ResourceBody = z.infer<typeof ResourceBody>

/** `Trunk/carrier`, `Route/outbound`, `Listener/udp`, `MediaEngine/a`, `Fleet/edge`: unique in a fleet. */
export type ResourceKey = `${ResourceBody['type']}/${string}`

export const Resource = z.strictObject({
  key: z
    .templateLiteral([z.enum(['Listener', 'Trunk', 'Route', 'MediaEngine', 'Fleet']), '/', z.string()])
    .describe('`Listener/udp`, `Trunk/carrier`, `Route/outbound`, `MediaEngine/a`, `Fleet/edge`: unique in a fleet.'),
  version: z.string().describe('Hash of the body.'),
  origin: Origin.describe('The manifest it comes from, so that a refusal can be told to the right one.'),
  body: ResourceBody.describe(
    'A ListenerConfig, TrunkConfig, RouteConfig, MediaEngineConfig or FleetConfig, told apart by `type`.',
  ),
})
export type Resource = z.infer<typeof Resource>

export const Snapshot = z.strictObject({
  /** `namespace/name` of the VoiceService. */
  fleet: z.string(),
  /** Hash of all keys and versions: equal content, equal revision. */
  revision: z.string(),
  resources: z.array(Resource),
})
export type Snapshot = z.infer<typeof Snapshot>
