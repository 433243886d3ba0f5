import { z } from 'zod'
import { Admission } from './admission.ts'
import { StatusCondition } from './conditions.ts'
import { DrachtioServer } from './drachtio.ts'
import {
  Host,
  LocalRef,
  Name,
  namedList,
  ObjectMeta,
  ObjectName,
  Port,
  type Rule,
  setOf,
  TlsVersion,
  Transport,
  withRules,
} from './fields.ts'
import { LastGoodRoutes } from './last-good.ts'
import { annotations, PodTemplate } from './pod-template.ts'
import { healthPort } from './replica-ports.ts'
import { SipBehaviour } from './sip-behaviour.ts'

export const apiVersion = 'sbcfleet.dev/v1alpha1'

export const ListenerTls = z.strictObject({
  secretRef: LocalRef.describe(
    'Secret of type `kubernetes.io/tls` with the certificate (`tls.crt`, with those that lead to its authority) and its key (`tls.key`). When it changes, new connections see the new one; those that are open stay.',
  ),
  additionalSecretRefs: z
    .array(LocalRef)
    .max(8)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .default([])
    .describe(
      'Secrets with further certificates, each shown to clients that ask for one of its DNS names (SNI, RFC 6066).',
    ),
  clientCaRef: LocalRef.optional().describe(
    'Secret with certificate authorities (`ca.crt`). Clients must then show a certificate of one of them, and requests count only if its name is one of the trunk that they come from. Absent: clients need no certificate.',
  ),
  minVersion: TlsVersion.default('TLSv1.2').describe('Oldest version of TLS that is spoken.'),
})
export type ListenerTls = z.infer<typeof ListenerTls>

export const Listener = withRules(
  z.strictObject({
    name: Name.describe('Name of the listener, for trunks to refer to.'),
    transport: Transport.describe('Transport that is listened on. WS and WSS are SIP over WebSocket (RFC 7118).'),
    port: Port.describe('Port that every replica binds, on its own address.'),
    ipFamily: z.enum(['IPv4', 'IPv6']).default('IPv4').describe("Which of the replica's own addresses is bound."),
    advertisedAddress: Host.optional().describe(
      'IP address or DNS name that peers are told in Via and Contact, where they reach the listener at another than the one that is bound, as behind NAT or a load balancer. Absent: the one that is bound.',
    ),
    advertisedPort: Port.optional().describe('Port that peers are told. Absent: the one that is bound.'),
    tls: ListenerTls.optional().describe('Certificates of a TLS or WSS listener. Needed there, and nowhere else.'),
  }),
  [
    {
      cel: "(self.transport == 'TLS' || self.transport == 'WSS') == has(self.tls)",
      message: 'tls is needed with transport TLS or WSS, and only there',
      holds: ({ transport, tls }) => (transport === 'TLS' || transport === 'WSS') === (tls !== undefined),
      path: () => ['tls'],
    },
    {
      cel: "!has(self.advertisedAddress) || !(self.advertisedAddress in ['0.0.0.0', '::'])",
      message: 'advertisedAddress must be where peers reach the listener, which 0.0.0.0 and :: never are',
      holds: ({ advertisedAddress }) => advertisedAddress !== '0.0.0.0' && advertisedAddress !== '::',
      path: () => ['advertisedAddress'],
    },
    {
      cel: `self.port != ${healthPort} || self.transport == 'UDP'`,
      message: `port ${healthPort} is where replicas serve health and metrics over TCP; take another one, or UDP`,
      holds: ({ port, transport }) => port !== healthPort || transport === 'UDP',
      path: () => ['port'],
    },
  ],
)
export type Listener = z.infer<typeof Listener>

export const RouteTarget = z.strictObject({
  trunkRef: z
    .strictObject({ name: ObjectName.describe('Name of the SipTrunk, in the same namespace.') })
    .describe('Trunk that the call is sent to.'),
  priority: z
    .int()
    .min(0)
    .max(65535)
    .default(0)
    .describe('Order of the trunks: all of a lower value are tried before any of a higher one.'),
  weight: z
    .int()
    .min(0)
    .max(65535)
    .default(1)
    .describe('Share of the calls among trunks of one priority. 0: only when all others of that priority failed.'),
})
export type RouteTarget = z.infer<typeof RouteTarget>

export const MediaEngine = z.strictObject({
  name: Name.describe('Name of the engine, shown in logs and metrics.'),
  host: Host.describe('Address or DNS name of the machine rtpengine runs on.'),
  port: Port.default(22222).describe('Its control port, as `listen-ng` of rtpengine says: UDP, the ng protocol.'),
  weight: z
    .int()
    .min(0)
    .max(65535)
    .default(1)
    .describe('Share of the calls among the engines that are up. 0: only when no other one is.'),
})
export type MediaEngine = z.infer<typeof MediaEngine>

const Pattern = z.string().min(1).max(256).meta({ form: 'RE2' })

export const Route = z.strictObject({
  name: Name.describe('Name of the route, shown in logs, metrics and decisions.'),
  match: z
    .strictObject({
      trunks: setOf(ObjectName, { min: 1, max: 64 })
        .optional()
        .describe('Names of the SipTrunks that the call may come from. Absent: any trunk of the fleet.'),
      calledPattern: Pattern.optional().describe(
        'Regular expression (RE2 syntax) for the whole called number: the user part of the Request-URI after %-escapes were decoded. Absent: any number.',
      ),
      callingPattern: Pattern.optional().describe(
        'Regular expression (RE2 syntax) for the whole calling number: the user part of the From URI after %-escapes were decoded. Absent: any number.',
      ),
    })
    .prefault({})
    .describe('Which calls take this route. All that is given must match.'),
  priority: z
    .int()
    .min(0)
    .max(65535)
    .default(100)
    .describe(
      'Which of several matching routes is taken: the lowest value; among equals the one whose calledPattern has the longest fixed beginning, then the one with the most conditions, then the first by name.',
    ),
  targets: z
    .array(RouteTarget)
    .min(1)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .describe('Trunks that the call is sent to, in order of priority and weight, until one takes it.'),
  sip: SipBehaviour.optional().describe('SIP behaviour on this route; overrides the trunks and the VoiceService.'),
})
export type Route = z.infer<typeof Route>

export const VoiceServiceSpec = withRules(
  z.strictObject({
    replicas: z
      .int()
      .min(0)
      .max(3000)
      .default(1)
      .describe('How many replicas of the B2BUA run. Also set by the scale subresource.'),
    engine: z
      .enum(['Embedded', 'Drachtio'])
      .default('Embedded')
      .describe(
        'What speaks SIP. Embedded: the engine of the replica itself. Drachtio: a drachtio-server beside every replica, which cannot do all that the other can (see engines.md). Replicas restart when it changes.',
      ),
    drachtio: DrachtioServer.optional().describe('The drachtio-server, with engine Drachtio.'),
    listeners: namedList(Listener, { min: 1, max: 16 }).describe('Where every replica listens.'),
    sip: SipBehaviour.optional().describe('SIP behaviour of the fleet; trunks and routes override it.'),
    media: z
      .strictObject({
        engines: namedList(MediaEngine, { max: 64 })
          .default([])
          .describe(
            'The rtpengine servers that carry media where `sip.media.mode` is Anchor. Every replica asks all of them whether they live; a call takes one by its Call-ID, and only one that lives.',
          ),
      })
      .prefault({})
      .describe('What carries media that does not go around the fleet.'),
    admission: Admission.optional().describe(
      'How many calls there may be, of all trunks together. Every replica counts its own. Absent: any number.',
    ),
    routes: namedList(Route, { max: 1024 }).default([]).describe('The dial plan.'),
    service: z
      .strictObject({
        type: z
          .enum(['ClusterIP', 'NodePort', 'LoadBalancer'])
          .default('ClusterIP')
          .describe('Who can reach it: the cluster, or also others by a port of each node or a load balancer.'),
        annotations: annotations.optional().describe('Annotations of the Service, as load balancers want them.'),
      })
      .prefault({})
      .describe(
        'The Service in front of all replicas, on Kubernetes. Source addresses are kept, so that trunks can be told by them. Standalone passes over it.',
      ),
    template: PodTemplate.prefault({}).describe('The pods of the replicas, on Kubernetes. Standalone passes over it.'),
  }),
  [
    {
      cel: "self.listeners.all(a, self.listeners.exists_one(b, (a.transport == 'UDP') == (b.transport == 'UDP') && a.port == b.port && a.ipFamily == b.ipFamily))",
      message: 'two listeners may not share port and IP family, unless one of them is UDP and the other is not',
      holds: ({ listeners }) => secondOnSocket(listeners) === -1,
      path: ({ listeners }) => ['listeners', secondOnSocket(listeners), 'port'],
    },
    {
      cel: `(has(self.media) && has(self.media.engines) && size(self.media.engines) > 0) || !(${anchors('self.sip')} || (has(self.routes) && self.routes.exists(r, ${anchors('r.sip')})))`,
      message: 'sip.media.mode Anchor needs at least one engine in media.engines',
      holds: ({ media, sip, routes }) =>
        media.engines.length > 0 || ![{ sip }, ...routes].some((level) => level.sip?.media?.mode === 'Anchor'),
      path: () => ['media', 'engines'],
    },
    {
      cel: "(has(self.engine) && self.engine == 'Drachtio') == has(self.drachtio)",
      message: 'drachtio is needed with engine Drachtio, and only there',
      holds: ({ engine, drachtio }) => (engine === 'Drachtio') === (drachtio !== undefined),
      path: () => ['drachtio'],
    },
  ],
)

/** CEL for a level of SIP behaviour that anchors media by itself. */
function anchors(sip: string): string {
  return `(has(${sip}) && has(${sip}.media) && has(${sip}.media.mode) && ${sip}.media.mode == 'Anchor')`
}

/** Index of the first listener whose socket an earlier one has; -1 when there is none. */
function secondOnSocket(listeners: readonly Listener[]): number {
  const socket = ({ transport, port, ipFamily }: Listener) => `${transport === 'UDP'} ${ipFamily} ${port}`
  const sockets = listeners.map(socket)
  return sockets.findIndex((one, index) => sockets.indexOf(one) < index)
}
export type VoiceServiceSpec = z.infer<typeof VoiceServiceSpec>

/** Rules on the whole object; of its metadata the API server shows them the name only. */
export const voiceServiceRules: readonly Rule<{ metadata: { name: string } }>[] = [
  {
    cel: "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,46}[a-z0-9])?$')",
    message:
      'metadata.name must be at most 48 lower-case letters, digits and "-", and start with a letter: Services and replicas are named after it',
    holds: ({ metadata }) => /^[a-z]([-a-z0-9]{0,46}[a-z0-9])?$/.test(metadata.name),
    path: () => ['metadata', 'name'],
  },
  {
    cel: "!self.metadata.name.endsWith('-replicas')",
    message:
      'metadata.name must not end in "-replicas": a VoiceService of the name before that has a Service with this name',
    holds: ({ metadata }) => !metadata.name.endsWith('-replicas'),
    path: () => ['metadata', 'name'],
  },
]

export const VoiceService = withRules(
  z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('VoiceService'),
    metadata: ObjectMeta,
    spec: VoiceServiceSpec,
    status: z.unknown().optional(),
  }),
  voiceServiceRules,
)
export type VoiceService = z.infer<typeof VoiceService>

export const VoiceServiceStatus = z.strictObject({
  observedGeneration: z.int().min(0).optional().describe('Generation of the spec that this status speaks of.'),
  conditions: namedConditions(),
  revision: z.string().max(64).optional().describe('Hash of the configuration that replicas should run.'),
  replicas: z
    .strictObject({
      desired: z.int().min(0).describe('Replicas asked for.'),
      ready: z.int().min(0).describe('Replicas connected that run some configuration.'),
      programmed: z.int().min(0).describe('Replicas that run the newest configuration.'),
    })
    .optional()
    .describe('Counts of replicas.'),
  selector: z
    .string()
    .max(512)
    .optional()
    .describe('Labels of the pods of the replicas, for autoscalers; on Kubernetes only.'),
  trunks: z.int().min(0).optional().describe('SipTrunks in the configuration.'),
  calls: z.int().min(0).optional().describe('Calls up now, over all replicas.'),
  lastGood: LastGoodRoutes.optional().describe(
    'The last good versions of routes that have turned invalid, which run in their place; there only as long as that is so, and on Kubernetes only. It is what an operator that starts meanwhile has of them, so whoever may write the status may change what runs.',
  ),
})
export type VoiceServiceStatus = z.infer<typeof VoiceServiceStatus>

/** `status.conditions`, a map by type as Kubernetes wants it. */
export function namedConditions() {
  return z
    .array(StatusCondition)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional()
    .describe('What holds for the resource, by type.')
}
