import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { Verdict } from './config/apply.ts'
import type { Engine } from './engine/engine.types.ts'
import type { Family } from './metrics.ts'

/** What the metrics of a replica are made of. */
export interface MetricSources {
  readonly engine: Pick<Engine, 'counters' | 'gauges'>
  readonly calls: () => number
  readonly targets: () => readonly TargetReport[]
  readonly registrations: () => readonly RegistrationReport[]
  readonly verdict: () => Verdict
  readonly connected: () => boolean
}

/** All metrics of a replica. Labels come from manifests and from the engine, never from the network. */
export function collectMetrics(sources: MetricSources): Family[] {
  const { revision, errors } = sources.verdict()
  const { user, system } = process.cpuUsage()
  return [
    gauge('sbcfleet_calls_active', 'Calls up now.', sources.calls()),
    {
      name: 'sbcfleet_sip_events_total',
      type: 'counter',
      help: 'What the SIP engine received, sent again, refused and dropped, by kind.',
      samples: Object.entries(sources.engine.counters).map(([event, value]) => ({ labels: { event }, value })),
    },
    {
      name: 'sbcfleet_sip_active',
      type: 'gauge',
      help: 'Transactions, dialogs and connections of the SIP engine that are alive now, by kind.',
      samples: Object.entries(sources.engine.gauges()).map(([kind, value]) => ({ labels: { kind }, value })),
    },
    {
      name: 'sbcfleet_target_state',
      type: 'gauge',
      help: '1 for the state that keepalive found a target in.',
      samples: sources.targets().map(({ trunk, target, state }) => ({ labels: { trunk, target, state }, value: 1 })),
    },
    {
      name: 'sbcfleet_registration_state',
      type: 'gauge',
      help: '1 for the state of a registration that this replica owns.',
      samples: sources.registrations().map(({ trunk, account, registrar, state }) => ({
        labels: { trunk, account, registrar, state },
        value: 1,
      })),
    },
    {
      name: 'sbcfleet_config_info',
      type: 'gauge',
      help: '1 for the revision that runs.',
      samples: revision === null ? [] : [{ labels: { revision }, value: 1 }],
    },
    gauge('sbcfleet_config_rejected_resources', 'Resources that this replica refuses to run.', errors.length),
    gauge('sbcfleet_control_connected', '1 while a control side is connected.', sources.connected() ? 1 : 0),
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'Processor time used, in seconds.',
      samples: [{ value: (user + system) / 1_000_000 }],
    },
    gauge('process_resident_memory_bytes', 'Memory used, in bytes.', process.memoryUsage.rss()),
  ]
}

function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ value }] }
}
