import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { MediaEngineConfig, RouteConfig, TargetConfig, TrunkConfig } from '#api/snapshot.ts'
import type { OpenListener, RunningConfig } from '../../config/running.ts'
import type { TrunkHealth } from '../../trunks/health.ts'
import { compileSources } from '../inbound-trunk.ts'
import { compileContacts } from '../registered-contact.ts'
import { compileRoutes } from '../route-order.ts'

/** Builders with defaults, for tests: what a case does not name is as in a small working fleet. */
export function listener(fields: Partial<OpenListener> & { name: string }): OpenListener {
  return { type: 'Listener', transport: 'UDP', port: 5060, ipFamily: 'IPv4', address: '203.0.113.1', ...fields }
}

export function target(fields: Partial<TargetConfig> & { name: string; host: string }): TargetConfig {
  return { port: 5060, transport: 'UDP', priority: 0, weight: 1, listener: 'udp', ...fields }
}

export function trunk(fields: Partial<TrunkConfig> & { name: string }): TrunkConfig {
  return {
    type: 'Trunk',
    listeners: ['udp'],
    targets: [],
    allowedSources: [],
    registrations: [],
    registrationPolicy: 'All',
    keepalive: {
      enabled: false,
      upIntervalSeconds: 60,
      downIntervalSeconds: 30,
      failureThreshold: 5,
      timeoutSeconds: 4,
      scope: 'Fleet',
      failureCodes: [503, 505],
    },
    sip: builtInBehaviour,
    ...fields,
  }
}

export function route(
  fields: Omit<Partial<RouteConfig>, 'targets'> & {
    name: string
    targets: readonly Partial<RouteConfig['targets'][0]>[]
  },
): RouteConfig {
  return {
    type: 'Route',
    match: {},
    priority: 100,
    inbound: {},
    ...fields,
    targets: fields.targets.map((one) => ({ trunk: '', priority: 0, weight: 1, sip: builtInBehaviour, ...one })),
  }
}

export function runningConfig(parts: {
  listeners?: readonly OpenListener[]
  trunks: readonly TrunkConfig[]
  routes: readonly RouteConfig[]
  mediaEngines?: readonly MediaEngineConfig[]
  revision?: string
}): RunningConfig {
  const listeners = parts.listeners ?? [listener({ name: 'udp' })]
  return {
    fleet: 'voice/edge',
    revision: parts.revision ?? 'r1',
    resources: new Map(),
    listeners: new Map(listeners.map((one) => [one.name, one])),
    trunks: new Map(parts.trunks.map((one) => [one.name, one])),
    sources: compileSources(parts.trunks),
    contacts: compileContacts(parts.trunks),
    routes: compileRoutes(parts.routes),
    mediaEngines: new Map(parts.mediaEngines?.map((one) => [one.name, one])),
  }
}

/** Health in which every target is up but those named `trunk/target`, and hosts resolve as given. */
export function health(
  config: RunningConfig,
  state: {
    down?: readonly string[]
    addresses?: Readonly<Record<string, readonly string[]>>
    passedOver?: readonly string[]
  } = {},
): TrunkHealth {
  const addresses = (name: string, host: string) => state.addresses?.[name] ?? (/^[0-9.]+$|:/.test(host) ? [host] : [])
  const targets = [...config.trunks.values()].flatMap(({ name, targets }) =>
    targets.map((one) => ({ trunk: name, target: one.name, port: one.port ?? 5060, host: one.host })),
  )
  return {
    endpoints(trunkName, targetName) {
      const found = targets.find((one) => one.trunk === trunkName && one.target === targetName)
      const { host = '', port = 5060 } = found ?? {}
      const isPassedOver = (address: string) => state.passedOver?.includes(address) === true
      return addresses(`${trunkName}/${targetName}`, host).map((address) => ({
        address,
        port,
        isPassedOver: isPassedOver(address),
      }))
    },
    usable: (trunkName, targetName) => state.down?.includes(`${trunkName}/${targetName}`) !== true,
    observe: () => {},
    serviceRoute: () => [],
    trunksAt: (address) =>
      targets
        .filter((one) => addresses(`${one.trunk}/${one.target}`, one.host).includes(address))
        .map(({ trunk, host, port }) => ({ trunk, host, port })),
    targets: () => [],
    registrations: () => [],
    onChange: () => {},
  }
}
