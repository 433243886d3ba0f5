import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { ListenerConfig, Resource, ResourceBody, RouteConfig, TrunkConfig } from '#api/snapshot.ts'
import { contentHash } from '#lib/hash.ts'
import { stringifyWithSecrets } from '#lib/secret.ts'

/** A trunk with one target and nothing else. */
export function trunkResource(name: string, changes: Partial<TrunkConfig> = {}): Resource {
  const target = {
    name: 'a',
    host: '192.0.2.1',
    port: 5060,
    transport: 'UDP',
    priority: 0,
    weight: 1,
    listener: 'udp',
  } as const
  return resource({
    type: 'Trunk',
    name,
    listeners: ['udp'],
    targets: [target],
    allowedSources: [],
    registrations: [],
    registrationPolicy: 'All',
    keepalive: {
      enabled: true,
      upIntervalSeconds: 60,
      downIntervalSeconds: 30,
      failureThreshold: 5,
      timeoutSeconds: 4,
      scope: 'Fleet',
      failureCodes: [503, 505],
    },
    sip: builtInBehaviour,
    ...changes,
  })
}

export function listenerResource(name: string, port: number, changes: Partial<ListenerConfig> = {}): Resource {
  return resource({ type: 'Listener', name, transport: 'UDP', port, ipFamily: 'IPv4', ...changes })
}

export function routeResource(name: string, match: RouteConfig['match'], trunk = 'a'): Resource {
  const targets = [{ trunk, priority: 0, weight: 1, sip: builtInBehaviour }]
  return resource({ type: 'Route', name, match, priority: 100, targets, inbound: {} })
}

function resource(body: ResourceBody): Resource {
  const kind = body.type === 'Trunk' ? 'SipTrunk' : 'VoiceService'
  return {
    key: `${body.type}/${body.name}`,
    version: contentHash(stringifyWithSecrets(body)),
    origin: { kind, namespace: 'voice', name: kind === 'SipTrunk' ? body.name : 'edge', generation: 1, field: 'spec' },
    body,
  }
}
