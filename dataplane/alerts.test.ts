import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import type { CallRecord } from './call/call-record.ts'
import { CallCounters } from './call-counters.ts'
import { HostMetrics } from './host-metrics.ts'
import { collectMetrics } from './replica-metrics.ts'
import { TrunkCounters } from './trunks/counters.ts'

interface Alerts {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

const callCounters = new CallCounters()
callCounters.ended({} as CallRecord, { kind: 'Media', why: 'Lost' })
callCounters.challenged('carrier', 'Unanswered')
callCounters.authenticated('carrier', 'Refused')
callCounters.authenticated('carrier', 'NoKey')

const families = collectMetrics({
  engine: { counters: {}, gauges: () => ({}) },
  calls: () => 0,
  callCounters,
  host: new HostMetrics(),
  sockets: () => [],
  mediaEngines: () => [{ name: 'a', up: false, sessions: 0 }],
  targets: () => [{ trunk: 'carrier', target: 'a', state: 'Down', since: 0 }],
  registrations: () => [
    {
      trunk: 'carrier',
      account: 'main',
      registrar: 'primary',
      state: 'Unregistered',
      since: 0,
      failure: 'AuthFailed',
      expiresAt: 5000,
    },
  ],
  usable: () => [{ trunk: 'carrier', target: 'a', usable: false }],
  trunkCounters: new TrunkCounters(),
  verdict: () => ({ revision: null, errors: [] }),
  connected: () => true,
  certificates: () => [{ listener: 'tls', names: 'DNS:sbc.example', expiresAt: 5000 }],
})
const { groups } = parse(readFileSync(join(import.meta.dirname, '../docs/alerts.yaml'), 'utf8')) as Alerts
const rules = groups.flatMap((group) => group.rules)

it.each(rules)('the alert $alert asks for metrics, labels and values that replicas serve', ({ expr }) => {
  const selectors = [...expr.matchAll(/(sbcfleet_\w+)(?:\{(\w+)="(\w+)"\})?/g)]
  expect(selectors.length).toBeGreaterThan(0)
  for (const [, name, label = '', value] of selectors) {
    const family = families.find((one) => one.name === name)
    expect(family?.samples.length, name).toBeGreaterThan(0)
    if (label !== '') expect(family?.samples.map(({ labels }) => labels?.[label])).toContain(value)
    const grouped = /by \(([\w, ]+)\)/.exec(expr)?.[1]?.split(', ') ?? []
    for (const by of grouped) if (by !== 'instance') expect(family?.samples[0]?.labels).toHaveProperty(by)
  }
})
