import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CallCounters } from './call-counters.ts'
import { HostMetrics, kernelAddress } from './host-metrics.ts'
import { renderMetrics } from './metrics.ts'
import { collectMetrics, type MetricSources } from './replica-metrics.ts'
import { TrunkCounters } from './trunks/counters.ts'
import type { CallRecord } from './call/call-record.ts'

const call = {} as CallRecord

function sources(fields: Partial<MetricSources> = {}): MetricSources {
  return {
    engine: { counters: {}, gauges: () => ({}) },
    calls: () => 0,
    callCounters: new CallCounters(),
    host: new HostMetrics(() => ''),
    sockets: () => [],
    mediaEngines: () => [],
    targets: () => [],
    registrations: () => [],
    usable: () => [],
    trunkCounters: new TrunkCounters(),
    verdict: () => ({ revision: null, errors: [] }),
    certificates: () => [],
    connected: () => true,
    ...fields,
  }
}

describe('the metrics of a replica', () => {
  it('show what the engine counted, with the labels of what it counted it for', () => {
    const counters = {
      'received_requests INVITE': 3,
      'sent_responses INVITE 486': 2,
      'rejected_malformed Missing Via': 1,
      retransmitted: 4,
      dropped_stranger_flood: 9,
    }
    const text = renderMetrics(collectMetrics(sources({ engine: { counters, gauges: () => ({ dialogs: 6 }) } })))
    for (const line of [
      'sbcfleet_sip_requests_received_total{method="INVITE"} 3',
      'sbcfleet_sip_responses_sent_total{method="INVITE",code="486"} 2',
      'sbcfleet_sip_messages_malformed_total{reason="Missing Via"} 1',
      'sbcfleet_sip_retransmissions_total{direction="sent"} 4',
      'sbcfleet_sip_retransmissions_total{direction="received"} 0',
      'sbcfleet_sip_messages_dropped_total{cause="flood_of_unknown_sources"} 9',
      'sbcfleet_sip_dialogs 6',
    ]) {
      expect(text).toContain(`${line}\n`)
    }
  })

  it('count calls by how they ended', () => {
    const callCounters = new CallCounters()
    callCounters.started()
    callCounters.answered()
    callCounters.ended(call, { kind: 'Released', by: 'B' })
    callCounters.ended(call, { kind: 'Refused', status: 486 })
    callCounters.ended(call, { kind: 'Refused', status: 486 })
    callCounters.challenged('carrier', 'Answered')
    callCounters.challenged('carrier', 'Unanswered')
    callCounters.challenged('carrier', 'Answered')
    callCounters.authenticated('pbx', 'Stale')
    callCounters.notAdmitted('pbx', 'inbound')
    const text = renderMetrics(collectMetrics(sources({ callCounters })))
    expect(text).toContain('sbcfleet_authentications_total{trunk="pbx",result="Stale"} 1\n')
    expect(text).toContain('sbcfleet_calls_not_admitted_total{trunk="pbx",direction="inbound"} 1\n')
    expect(text).toContain('sbcfleet_challenges_total{trunk="carrier",result="Answered"} 2\n')
    expect(text).toContain('sbcfleet_calls_ended_total{cause="Released",leg="B",code=""} 1\n')
    expect(text).toContain('sbcfleet_calls_ended_total{cause="Refused",leg="",code="486"} 2\n')
    expect(text).toContain('\nsbcfleet_calls_started_total 1\n')
  })

  it('show what the kernel threw away, for the sockets of this replica only', () => {
    const line = (address: string, drops: number) =>
      `  123: ${address} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 ${drops}`
    const host = new HostMetrics((file) =>
      file.endsWith('6')
        ? `  sl  local_address\n${line('00000000000000000000000001000000:13C4', 5)}\n`
        : `  sl  local_address\n${line('0100007F:13C4', 7)}\n${line('0200007F:13C4', 9)}\n`,
    )
    const sockets = () => [
      { name: 'udp', transport: 'UDP', address: '127.0.0.1', port: 5060 },
      { name: 'udp6', transport: 'UDP', address: '::1', port: 5060 },
      { name: 'tcp', transport: 'TCP', address: '127.0.0.2', port: 5060 },
    ]
    const family = collectMetrics(sources({ host, sockets })).find(({ name }) => name.startsWith('sbcfleet_udp'))
    expect(family?.samples).toEqual([
      { labels: { listener: 'udp' }, value: 7 },
      { labels: { listener: 'udp6' }, value: 5 },
    ])
  })

  it('know how the kernel writes addresses', () => {
    expect(kernelAddress('192.0.2.1', 5061)).toBe('010200C0:13C5')
    expect(kernelAddress('2001:db8::1', 5060)).toBe('B80D0120000000000000000001000000:13C4')
  })

  it('are all described in the reference, and the reference describes no others', () => {
    const page = readFileSync(join(import.meta.dirname, '../docs/metrics.md'), 'utf8')
    const described = [...page.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name)
    expect(new Set(described)).toEqual(new Set(collectMetrics(sources()).map(({ name }) => name)))
    expect(described).toHaveLength(new Set(described).size)
  })
})
