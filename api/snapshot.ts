import { z } from 'zod'
import { Transport } from './fields.ts'
import { ResolvedSipBehaviour } from './sip-behaviour.ts'
import { Secret } from '#lib/secret.ts'

/**
 * What the compiler makes of the manifests and replicas run: a set of resources, each with a key and the hash of its
 * content as its version. Behaviour is resolved, references are checked, nothing is left to merge.
 */

/** A secret value: a string on the wire, a `Secret` that prints `[redacted]` in memory. */
const SecretValue = z.union([z.instanceof(Secret), z.string().transform((value) => new Secret(value))])

/** The manifest a compiled resource comes from, so that a refusal can be told to the right one. */
export const Origin = z.strictObject({
  kind: z.enum(['VoiceService', 'SipTrunk']),
  namespace: z.string(),
  name: z.string(),
  generation: z.int().min(0),
  /** Path inside the manifest, as `spec.routes[2]`. */
  field: z.string(),
})
export type Origin = z.infer<typeof Origin>

export const ListenerConfig = z.strictObject({
  type: z.literal('Listener'),
  name: z.string(),
  transport: Transport,
  port: z.int(),
  ipFamily: z.enum(['IPv4', 'IPv6']),
})
export type ListenerConfig = z.infer<typeof ListenerConfig>

export const TargetConfig = z.strictObject({
  name: z.string(),
  host: z.string(),
  port: z.int(),
  transport: Transport,
  priority: z.int(),
  weight: z.int(),
  /** Listener that requests to this target leave from. */
  listener: z.string(),
})
export type TargetConfig = z.infer<typeof TargetConfig>

export const RegistrationConfig = z.strictObject({
  account: z.string(),
  registrar: z.string(),
  number: z.string(),
  host: z.string(),
  port: z.int(),
  transport: Transport,
  listener: z.string(),
  expiresSeconds: z.int(),
  username: z.string(),
  password: SecretValue,
})
export type RegistrationConfig = z.infer<typeof RegistrationConfig>

export const TrunkConfig = z.strictObject({
  type: z.literal('Trunk'),
  name: z.string(),
  /** Listeners on which calls of this peer are accepted. */
  listeners: z.array(z.string()),
  targets: z.array(TargetConfig),
  allowedSources: z.array(z.string()),
  registrations: z.array(RegistrationConfig),
  keepalive: z.strictObject({
    enabled: z.boolean(),
    upIntervalSeconds: z.int(),
    downIntervalSeconds: z.int(),
    failureThreshold: z.int(),
    timeoutSeconds: z.int(),
  }),
  /** Trunk over VoiceService; for calls that take no route. */
  sip: ResolvedSipBehaviour,
})
export type TrunkConfig = z.infer<typeof TrunkConfig>

export const RouteConfig = z.strictObject({
  type: z.literal('Route'),
  name: z.string(),
  match: z.strictObject({
    trunks: z.array(z.string()).optional(),
    calledPattern: z.string().optional(),
    callingPattern: z.string().optional(),
  }),
  priority: z.int(),
  targets: z.array(
    z.strictObject({
      trunk: z.string(),
      priority: z.int(),
      weight: z.int(),
      /** Behaviour of the leg towards this trunk: route over trunk over VoiceService. */
      sip: ResolvedSipBehaviour,
    }),
  ),
  /**
   * Behaviour of the leg a call came in on, by the name of its trunk: route over that trunk over VoiceService. Holds only
   * trunks for which the route changes something; for the others it is `sip` of the trunk.
   */
  inbound: z.record(z.string(), ResolvedSipBehaviour),
})
export type RouteConfig = z.infer<typeof RouteConfig>

export const ResourceBody = z.discriminatedUnion('type', [ListenerConfig, TrunkConfig, RouteConfig])
export type ResourceBody = z.infer<typeof ResourceBody>

/** `Trunk/carrier`, `Route/outbound`, `Listener/udp`: unique in a fleet. */
export type ResourceKey = `${ResourceBody['type']}/${string}`

export const Resource = z.strictObject({
  key: z.templateLiteral([z.enum(['Listener', 'Trunk', 'Route']), '/', z.string()]),
  version: z.string(),
  origin: Origin,
  body: ResourceBody,
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
