import { expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import type { OurObject } from './cluster.ts'
import { FleetStatuses } from './fleet-statuses.ts'
import type { Occurrence } from './kube/events.ts'

it('of a fleet that another operator runs are not written, and the user is told who does it', () => {
  const events: Occurrence[] = []
  const forgotten: string[] = []
  const statuses = new FleetStatuses({
    replicas: () => [],
    writer: { write: () => {}, forget: ({ kind }, key) => void forgotten.push(`${kind} ${key}`) },
    events: { record: (occurrence) => void events.push(occurrence) },
    clock: new ManualClock(),
  })
  const read = (kind: string, name: string) => ({
    object: { kind, metadata: { namespace: 'voice', name } } satisfies OurObject,
    value: undefined,
    problem: '',
  })
  const voiceService = read('VoiceService', 'edge')
  const trunks = [read('SipTrunk', 'carrier')]
  statuses.leave({ voiceService, trunks, secrets: [], neighbours: [], services: [] }, 'other/sbcfleet')
  expect(forgotten).toEqual(['SipTrunk voice/carrier', 'VoiceService voice/edge'])
  expect(events).toMatchObject([
    { regarding: voiceService.object, type: 'Warning', reason: 'OtherOperator', action: 'Program' },
  ])
  expect(events[0]?.note).toMatch(/Lease other\/sbcfleet runs this fleet.*watchNamespaces/)
})

it('keep the last good routes of a VoiceService that can no longer be read', () => {
  const written = new Map<string, unknown>()
  const statuses = new FleetStatuses({
    replicas: () => [],
    writer: { write: ({ kind }, _, status) => void written.set(kind, status), forget: () => {} },
    events: { record: () => {} },
    clock: new ManualClock(),
  })
  const lastGood = { uid: 'first', routes: [{ generation: 1, route: { name: 'numbers' } }] }
  const object = { kind: 'VoiceService', metadata: { namespace: 'voice', name: 'edge', uid: 'first', generation: 2 } }
  const voiceService = {
    object: { ...object, status: { lastGood } },
    value: undefined,
    problem: 'spec: from another time',
  }
  const outcome = {
    compiled: undefined,
    strays: { conditions: [], problems: [] },
    refused: undefined,
    unrolled: undefined,
    podFailure: undefined,
  }
  statuses.report('voice/edge', { voiceService, trunks: [], secrets: [], neighbours: [], services: [] }, outcome)
  expect(written.get('VoiceService')).toMatchObject({ observedGeneration: 2, lastGood })
})
