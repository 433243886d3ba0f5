import type { Log } from '#lib/log.ts'
import type { Readiness } from '#lib/ready.ts'
import type { AdminSources } from './admin.ts'
import type { CallCounters } from './call-counters.ts'
import type { Calls } from './call/calls.ts'
import type { Applier } from './config/apply.ts'
import { certificateExpiries } from './config/certificate-expiry.ts'
import type { ControlClient } from './config/control-client.ts'
import type { Drain } from './drain.ts'
import { explain } from './explain.ts'
import type { HostMetrics } from './host-metrics.ts'
import { collectMetrics } from './replica-metrics.ts'
import type { Family } from './metrics.ts'
import type { EnginePool } from './media/engine-pool.ts'
import type { SipStatistics } from './sip-metrics.ts'
import type { Trunks } from './trunks/trunks.ts'

/** The parts of a replica that can be looked into. */
export interface InspectedParts {
  readonly engine: SipStatistics
  readonly applier: Applier
  readonly trunks: Trunks
  readonly calls: Calls
  readonly callCounters: CallCounters
  readonly host: HostMetrics
  readonly engines: EnginePool
  readonly client: ControlClient
  readonly drain: Drain
  readonly readiness: Readiness
  readonly log: Log
}

/** What the admin interface shows and does. */
export function adminSources(parts: InspectedParts): AdminSources {
  const { applier, trunks, calls, engines, client, drain, readiness, log } = parts
  const { running } = applier
  return {
    config: () => ({
      ...applier.verdict,
      listeners: [...(running.current?.listeners.values() ?? [])],
      resources: [...(running.current?.resources.values() ?? [])],
    }),
    calls: () => calls.list(),
    trunks: () => trunks.view(),
    members: () => client.members,
    media: () => engines.list(),
    health: () => ({
      ready: readiness.ready,
      waitingFor: readiness.waitingFor,
      draining: drain.begun,
      connected: client.connected,
      calls: calls.count,
      ...applier.verdict,
    }),
    explain: (call) => explain(call, running.current, trunks),
    setLogLevel: (level) => {
      log.level = level
    },
    drain: () => void drain.begin(),
  }
}

export function metricsOf({
  engine,
  applier,
  trunks,
  calls,
  callCounters,
  host,
  engines,
  client,
}: InspectedParts): Family[] {
  return collectMetrics({
    engine,
    calls: () => calls.count,
    callCounters,
    host,
    sockets: () => applier.running.current?.listeners.values() ?? [],
    mediaEngines: () => engines.list(),
    targets: () => trunks.targets(),
    registrations: () => trunks.registrations(),
    usable: () => trunks.usableTargets(),
    trunkCounters: trunks.counters,
    verdict: () => applier.verdict,
    connected: () => client.connected,
    certificates: () => certificateExpiries(applier.running.current?.listeners.values() ?? []),
  })
}
