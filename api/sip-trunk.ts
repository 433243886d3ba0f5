import { z } from 'zod'
import { TrunkAdmission } from './admission.ts'
import { Authentication } from './authentication.ts'
import {
  Cidr,
  Host,
  LocalRef,
  Name,
  namedList,
  ObjectMeta,
  Port,
  setOf,
  TlsVersion,
  Transport,
  withRules,
} from './fields.ts'
import { LastGoodTrunk } from './last-good.ts'
import { SipBehaviour } from './sip-behaviour.ts'
import { apiVersion, namedConditions } from './voice-service.ts'

export const Target = z.strictObject({
  name: Name.describe('Name of the target, shown in status, logs and metrics.'),
  host: Host.describe('Address or DNS name of the peer.'),
  port: Port.optional().describe(
    'Port of the peer. Absent: of a name its SRV records tell hosts and ports (see dns); without any, and of an address, it is 5060, 5061 for TLS, 80 for WS, 443 for WSS.',
  ),
  transport: Transport.default('UDP').describe('Transport to the peer.'),
  priority: z
    .int()
    .min(0)
    .max(65535)
    .default(0)
    .describe('Order of the targets: all of a lower value are tried before any of a higher one.'),
  weight: z
    .int()
    .min(0)
    .max(65535)
    .default(1)
    .describe('Share of the calls among targets of one priority. 0: only when all others of that priority failed.'),
})
export type Target = z.infer<typeof Target>

export const Keepalive = withRules(
  z.strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Whether targets are probed with OPTIONS. When off, all are taken as up.'),
    upIntervalSeconds: z
      .int()
      .min(5)
      .max(1200)
      .default(60)
      .describe('Time between two probes of a target that is up, in seconds.'),
    downIntervalSeconds: z
      .int()
      .min(5)
      .max(1200)
      .default(30)
      .describe('Time between two probes of a target that is down, in seconds.'),
    failureThreshold: z
      .int()
      .min(1)
      .max(10)
      .default(5)
      .describe('Failed probes in a row after which a target is down.'),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(32)
      .default(4)
      .describe('Time after which a probe without answer has failed, in seconds. Must be less than both intervals.'),
    scope: z
      .enum(['Fleet', 'Replica'])
      .default('Fleet')
      .describe(
        'Who probes. Fleet: one replica, which tells the others; what these find out by their own calls counts for themselves. Replica: every one, which costs the peer as many OPTIONS as there are replicas.',
      ),
    failureCodes: setOf(z.int().min(400).max(699), { max: 32 })
      .default([503, 505])
      .describe('Status codes that count as a failed probe, as silence does. Every other answer shows a live peer.'),
    transport: Transport.optional().describe(
      'Transport of the probes, at the port of the target. Absent: that of the target.',
    ),
  }),
  [
    {
      cel: 'self.timeoutSeconds < self.upIntervalSeconds && self.timeoutSeconds < self.downIntervalSeconds',
      message: 'timeoutSeconds must be less than upIntervalSeconds and downIntervalSeconds',
      path: () => ['timeoutSeconds'],
      holds: (keepalive) =>
        keepalive.timeoutSeconds < keepalive.upIntervalSeconds &&
        keepalive.timeoutSeconds < keepalive.downIntervalSeconds,
    },
  ],
)
export type Keepalive = z.infer<typeof Keepalive>

export const Registrar = z.strictObject({
  name: Name.describe('Name of the registrar, shown in status, logs and metrics.'),
  host: Host.describe('Address or DNS name of the registrar; also the domain of the address of record.'),
  port: Port.optional().describe('Port of the registrar. Absent: as for targets.'),
  transport: Transport.default('UDP').describe('Transport to the registrar.'),
  expiresSeconds: z.int().min(60).max(65535).default(3600).describe('Lifetime asked for in REGISTER, in seconds.'),
  refreshPercent: z
    .int()
    .min(10)
    .max(95)
    .default(80)
    .describe('Part of the lifetime that was granted after which the registration is refreshed, in percent.'),
})
export type Registrar = z.infer<typeof Registrar>

export const Account = z.strictObject({
  name: Name.describe('Name of the account, shown in status, logs and metrics.'),
  number: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[A-Za-z0-9\-_.!~*'()&=+$,;?/%]+$/, 'must be the user part of a SIP URI')
    .meta({ form: 'user part of a SIP URI' })
    .describe('User part of the address of record and of the Contact that is registered.'),
  secretRef: LocalRef.describe(
    'Secret with the digest credentials: key `password`, and key `username` where it differs from the number.',
  ),
  realm: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      'Realm that the credentials are for; challenges of other realms are not answered with them. ' +
        'Absent: any; inside a call those alone that have challenged its INVITE.',
    ),
  registrarNames: setOf(Name, { min: 1, max: 6 })
    .optional()
    .describe('Registrars that this account is registered with. Absent: all of the trunk.'),
  bulk: z
    .boolean()
    .default(false)
    .describe(
      'Whether the account stands for all numbers that the registrar has for it (GIN, RFC 6140): the Contact has no user, and calls come with the number that was dialled.',
    ),
})
export type Account = z.infer<typeof Account>

export const Registration = z.strictObject({
  registrars: namedList(Registrar, { min: 1, max: 6 }).describe(
    'Registrars, in the order in which they are preferred.',
  ),
  accounts: namedList(Account, { min: 1, max: 256 }).describe('Addresses of record that the fleet registers.'),
  policy: z
    .enum(['All', 'FirstAvailable'])
    .default('All')
    .describe(
      'All: every account is registered with each of its registrars. FirstAvailable: with the first that takes it; the next is tried when one fails, and left when a better one is back.',
    ),
  randomContact: z
    .boolean()
    .default(false)
    .describe(
      'Whether the user of the Contact is a token that only the registrar learns, in place of the number. It changes with the password.',
    ),
  retry: withRules(
    z.strictObject({
      minSeconds: z
        .int()
        .min(1)
        .max(300)
        .default(5)
        .describe('Wait after a first failure, in seconds. It doubles with each further one.'),
      maxSeconds: z.int().min(1).max(3600).default(120).describe('Longest wait between two attempts, in seconds.'),
    }),
    [
      {
        cel: 'self.minSeconds <= self.maxSeconds',
        message: 'minSeconds must not be greater than maxSeconds',
        path: () => ['minSeconds'],
        holds: ({ minSeconds, maxSeconds }) => minSeconds <= maxSeconds,
      },
    ],
  )
    .prefault({})
    .describe('When a failed registration is tried again. Half of each wait is drawn at random.'),
})
export type Registration = z.infer<typeof Registration>

export const TrunkDns = z.strictObject({
  mode: z
    .enum(['SrvThenA', 'AOnly', 'NaptrSrvA'])
    .default('SrvThenA')
    .describe(
      'Which records tell the servers of a name without port (RFC 3263). SrvThenA: SRV records of its transport, as _sip._udp or _sips._tcp; A and AAAA where there are none. AOnly: A and AAAA. NaptrSrvA: NAPTR records first, which name the SRV records of the transport.',
    ),
})
export type TrunkDns = z.infer<typeof TrunkDns>

export const TrunkTls = z.strictObject({
  verify: z
    .boolean()
    .default(true)
    .describe(
      "Whether the peer's certificate is checked when it is connected to. Off, anybody who stands between hears and changes everything: for trials only.",
    ),
  caRef: LocalRef.optional().describe(
    "Secret with the certificate authorities (`ca.crt`) that the peer's certificate must be of. Absent: the public ones.",
  ),
  serverName: Host.optional().describe(
    'Name that is asked for (SNI, RFC 6066), and that the certificate must have (RFC 5922: a SIP domain or DNS name, no wildcard). Absent: host of the target or registrar.',
  ),
  allowedNames: setOf(Host, { max: 16 })
    .default([])
    .describe(
      "Names any of which the peer's certificate may have instead, also when the peer connects to a listener that asks for certificates.",
    ),
  secretRef: LocalRef.optional().describe(
    'Secret of type `kubernetes.io/tls` with the certificate that is shown to a peer that asks for one. Absent: that of the listener.',
  ),
  minVersion: TlsVersion.default('TLSv1.2').describe('Oldest version of TLS that is spoken with the peer.'),
})
export type TrunkTls = z.infer<typeof TrunkTls>

export const SipTrunkSpec = z.strictObject({
  voiceServiceRef: LocalRef.describe('VoiceService that the trunk belongs to. Cannot be changed.').meta({
    'x-kubernetes-validations': [
      { rule: 'self == oldSelf', message: 'voiceServiceRef cannot be changed; create a new SipTrunk' },
    ],
  }),
  listeners: setOf(Name, { min: 1, max: 16 })
    .optional()
    .describe(
      'Names of the listeners that this peer uses. Calls of the peer are accepted there, and calls to it leave from the first of them that has its transport. Absent: all.',
    ),
  targets: namedList(Target, { min: 1, max: 20 }).describe('Where calls to the peer are sent.'),
  access: z
    .strictObject({
      allowedSources: setOf(Cidr, { max: 100 })
        .default([])
        .describe('Addresses and blocks that the peer may call from, besides the addresses of its targets.'),
    })
    .prefault({})
    .describe('Who is taken for this peer. A source that belongs to no trunk gets no answer.'),
  admission: TrunkAdmission.optional().describe(
    'How many calls there may be with the peer. Every replica counts its own. Absent: any number.',
  ),
  authentication: Authentication.prefault({}).describe('Digest authentication of calls, in either direction.'),
  registration: Registration.optional().describe('Registration of the fleet with the peer. Absent: none.'),
  keepalive: Keepalive.prefault({}).describe('OPTIONS keepalive of every target.'),
  dns: TrunkDns.prefault({}).describe('How names of targets and registrars are looked up.'),
  tls: TrunkTls.prefault({}).describe('TLS with this peer, where a transport is TLS or WSS.'),
  sip: SipBehaviour.optional().describe('SIP behaviour towards this peer; overrides the VoiceService.'),
})
export type SipTrunkSpec = z.infer<typeof SipTrunkSpec>

export const SipTrunk = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('SipTrunk'),
  metadata: ObjectMeta,
  spec: SipTrunkSpec,
  status: z.unknown().optional(),
})
export type SipTrunk = z.infer<typeof SipTrunk>

export const SipTrunkStatus = z.strictObject({
  observedGeneration: z.int().min(0).optional().describe('Generation of the spec that this status speaks of.'),
  conditions: namedConditions(),
  programmed: z
    .string()
    .max(32)
    .optional()
    .describe('Replicas that run this generation, of those asked for, as `3/3`.'),
  targetsUp: z
    .string()
    .max(32)
    .optional()
    .describe('Targets that are up on every replica that sees them, of all, as `1/1`.'),
  targets: z
    .array(
      z.strictObject({
        name: z.string().max(63).describe('Name of the target in the spec.'),
        address: z.string().max(300).describe('Transport, host and port.'),
        state: z.enum(['Up', 'Down', 'Unknown']).describe('Down when any replica that probes it sees it down.'),
        lastCode: z
          .int()
          .min(0)
          .max(699)
          .optional()
          .describe('Status code of the last probe; absent when nothing came.'),
        lastTransitionTime: z.iso.datetime().optional().describe('When the state last changed.'),
        failure: z
          .enum(['NoAnswer', 'Rejected', 'Unreachable', 'TlsFailed', 'NameNotResolved'])
          .optional()
          .describe(
            'Why it is not up, or not all of it: nothing came, a code that counts as failure, no connection, no TLS, no address.',
          ),
        consecutiveFailures: z.int().min(0).optional().describe('Failed probes in a row; absent when there are none.'),
        message: z.string().max(500).optional().describe('The last failure, for people.'),
        endpoints: setOf(z.string().max(64), { max: 16 })
          .optional()
          .describe('Addresses, with ports, that its name stands for now; absent where it is an address.'),
        prober: z.string().max(253).optional().describe('Replica that probes for the fleet.'),
        replicasUp: z.int().min(0).describe('Replicas that see it up.'),
        replicasTotal: z.int().min(0).describe('Replicas that report on it.'),
      }),
    )
    .max(20)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
    .optional()
    .describe('State of every target.'),
  registrations: z
    .array(
      z.strictObject({
        account: z.string().max(63).describe('Name of the account in the spec.'),
        registrar: z.string().max(63).describe('Name of the registrar in the spec.'),
        state: z
          .enum(['Registered', 'Unregistered', 'Pending', 'Standby'])
          .describe('Whether the binding is in place. Standby: a better registrar has the account.'),
        lastTransitionTime: z.iso.datetime().optional().describe('When the state last changed.'),
        failure: z
          .enum(['AuthFailed', 'NoAnswer', 'Rejected', 'TlsFailed', 'NameNotResolved'])
          .optional()
          .describe('Why the last attempt failed.'),
        message: z.string().max(500).optional().describe('The last failure, for people.'),
        lastCode: z
          .int()
          .min(0)
          .max(699)
          .optional()
          .describe('Status code of the last answer; absent when nothing came.'),
        expirationTime: z.iso.datetime().optional().describe('When the binding lapses unless it is refreshed.'),
        replica: z.string().max(253).describe('Replica that registers.'),
      }),
    )
    .max(64)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['account', 'registrar'] })
    .optional()
    .describe('State of the registrations, the first 64, those in trouble first.'),
  lastGood: LastGoodTrunk.optional().describe(
    'The last good version, which runs in the place of a spec that has turned invalid; there only as long as that is so, and on Kubernetes only. It is what an operator that starts meanwhile has of it, so whoever may write the status may change what runs.',
  ),
})
export type SipTrunkStatus = z.infer<typeof SipTrunkStatus>

/** A Kubernetes Secret; `stringData` wins over `data`. */
export const SecretManifest = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Secret'),
  metadata: ObjectMeta,
  data: z.record(z.string(), z.base64()).optional(),
  stringData: z.record(z.string(), z.string()).optional(),
  type: z.string().optional(),
  immutable: z.boolean().optional(),
})
export type SecretManifest = z.infer<typeof SecretManifest>
