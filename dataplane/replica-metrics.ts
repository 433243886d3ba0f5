import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { CallCounters } from './call-counters.ts'
import type { Verdict } from './config/apply.ts'
import type { CertificateExpiry } from './config/certificate-expiry.ts'
import type { HostMetrics, UdpSocket } from './host-metrics.ts'
import type { EngineRecord } from './media/engine-pool.ts'
import type { Family } from './metrics.ts'
import { sipFamilies, type SipStatistics } from './sip-metrics.ts'
import type { TrunkCounters } from './trunks/counters.ts'

/** What the metrics of a replica are made of. */
export interface MetricSources {
  readonly engine: SipStatistics
  readonly calls: () => number
  readonly callCounters: CallCounters
  readonly host: HostMetrics
  /** The listeners that are open. */
  readonly sockets: () => Iterable<UdpSocket>
  readonly mediaEngines: () => readonly EngineRecord[]
  readonly targets: () => readonly TargetReport[]
  readonly registrations: () => readonly RegistrationReport[]
  /** Whether calls may go there, of every target. */
  readonly usable: () => readonly { readonly trunk: string; readonly target: string; readonly usable: boolean }[]
  readonly trunkCounters: TrunkCounters
  readonly verdict: () => Verdict
  readonly connected: () => boolean
  readonly certificates: () => readonly CertificateExpiry[]
}

/** All metrics of a replica. Labels come from manifests and from the engine, never from the network. */
export function collectMetrics(sources: MetricSources): Family[] {
  const { revision, errors } = sources.verdict()
  const { user, system } = process.cpuUsage()
  return [
    gauge('sbcfleet_calls_active', 'Calls up now.', sources.calls()),
    ...sources.callCounters.families(),
    ...sipFamilies(sources.engine),
    ...sources.host.families(sources.sockets()),
    {
      name: 'sbcfleet_media_engine_up',
      type: 'gauge',
      help: '1 while a media engine answers this replica, 0 while it does not.',
      samples: sources.mediaEngines().map(({ name, up }) => ({ labels: { engine: name }, value: up ? 1 : 0 })),
    },
    {
      name: 'sbcfleet_media_sessions',
      type: 'gauge',
      help: 'Calls of this replica whose media an engine carries now.',
      samples: sources.mediaEngines().map(({ name, sessions }) => ({ labels: { engine: name }, value: sessions })),
    },
    {
      name: 'sbcfleet_target_state',
      type: 'gauge',
      help: '1 for the state that keepalive found a target in.',
      samples: sources.targets().map(({ trunk, target, state }) => ({ labels: { trunk, target, state }, value: 1 })),
    },
    {
      name: 'sbcfleet_target_usable',
      type: 'gauge',
      help: '1 while this replica sends calls to a target, 0 while it is down for it.',
      samples: sources
        .usable()
        .map(({ trunk, target, usable }) => ({ labels: { trunk, target }, value: usable ? 1 : 0 })),
    },
    counters(
      'sbcfleet_probes_total',
      'OPTIONS that were sent or should have been, by result.',
      sources.trunkCounters.probes,
    ),
    {
      name: 'sbcfleet_targets_distrusted_total',
      type: 'counter',
      help: 'Times that a call of this replica, by 503 or silence, took a target out for it.',
      samples: [{ value: sources.trunkCounters.distrusted }],
    },
    counters(
      'sbcfleet_register_exchanges_total',
      'Exchanges with registrars, from a REGISTER to a verdict, by result.',
      sources.trunkCounters.registers,
    ),
    {
      name: 'sbcfleet_registration_failure',
      type: 'gauge',
      help: '1 for the cause of the last failure of a registration that this replica owns, while it fails.',
      samples: sources
        .registrations()
        .flatMap(({ trunk, account, registrar, failure }) =>
          failure === undefined ? [] : [{ labels: { trunk, account, registrar, failure }, value: 1 }],
        ),
    },
    {
      name: 'sbcfleet_registration_expiry_timestamp_seconds',
      type: 'gauge',
      help: 'When a binding that this replica owns lapses unless it is refreshed, in seconds since 1970.',
      samples: sources
        .registrations()
        .flatMap(({ trunk, account, registrar, expiresAt }) =>
          expiresAt === undefined
            ? []
            : [{ labels: { trunk, account, registrar }, value: Math.round(expiresAt / 1000) }],
        ),
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
      name: 'sbcfleet_certificate_expiry_timestamp_seconds',
      type: 'gauge',
      help: 'When a certificate that a listener shows expires, in seconds since 1970.',
      samples: sources.certificates().map(({ listener, names, expiresAt }) => ({
        labels: { listener, names },
        value: Math.round(expiresAt / 1000),
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

function counters(name: string, help: string, values: Readonly<Record<string, number>>): Family {
  const samples = Object.entries(values).map(([result, value]) => ({ labels: { result }, value }))
  return { name, type: 'counter', help, samples }
}

function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ value }] }
}
