import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApiError } from './api-error.ts'
import { EventRecorder, type Event, type Occurrence } from './events.ts'
import { microTime } from './micro-time.ts'

const regarding = {
  apiVersion: 'sbc.test/v1',
  kind: 'Trunk',
  metadata: { namespace: 'voice', name: 'carrier', uid: '1' },
}
const down: Occurrence = {
  regarding,
  type: 'Warning',
  reason: 'TrunkUnreachable',
  action: 'Probe',
  note: 'sip.carrier.example does not answer',
}

function setUp() {
  const clock = new ManualClock()
  const created: Event[] = []
  const patched: { name: string; patch: object }[] = []
  const lines: string[] = []
  const fail: { create?: Error; patch?: Error } = {}
  const recorder = new EventRecorder({
    api: {
      create: async (_resource, event) => {
        if (fail.create !== undefined) throw fail.create
        created.push(event as never)
        return event
      },
      patch: async (_resource, { name }, patch) => {
        if (fail.patch !== undefined) throw fail.patch
        patched.push({ name, patch })
        return {} as never
      },
    },
    controller: 'sbcfleet.dev/operator',
    instance: 'operator-0',
    clock,
    log: createLog({ level: 'warn', name: 'test', write: (line) => lines.push(line) }),
  })
  return { clock, created, patched, lines, fail, recorder }
}

describe('the event recorder', () => {
  it('reports an event in the namespace of the object', () => {
    const { recorder, created, clock } = setUp()
    recorder.record(down)
    expect(created).toEqual([
      {
        metadata: { namespace: 'voice', name: expect.stringMatching(/^carrier\.[0-9a-f-]{13}$/) as string },
        eventTime: microTime(clock.wallTime()),
        type: 'Warning',
        reason: 'TrunkUnreachable',
        action: 'Probe',
        note: 'sip.carrier.example does not answer',
        regarding: { apiVersion: 'sbc.test/v1', kind: 'Trunk', namespace: 'voice', name: 'carrier', uid: '1' },
        reportingController: 'sbcfleet.dev/operator',
        reportingInstance: 'operator-0',
      },
    ])
  })

  it('makes one event with a count of those that repeat, whatever the note', async () => {
    const { recorder, created, patched, clock } = setUp()
    for (let second = 0; second < 60; second++) {
      recorder.record({ ...down, note: `no answer for ${second} s` })
      clock.advance(1000)
    }
    recorder.record({ ...down, reason: 'RegistrationRejected' })
    expect(created.map(({ reason }) => reason)).toEqual(['TrunkUnreachable', 'RegistrationRejected'])
    await recorder.stop()
    const name = created[0]?.metadata.name
    expect(patched.map(({ patch, ...rest }) => [rest.name, (patch as Event).series?.count])).toEqual([
      [name, 31],
      [name, 60],
    ])
    expect(clock.pending).toBe(0)
  })

  it('begins a new event after six minutes without a repetition', () => {
    const { recorder, created, clock } = setUp()
    recorder.record(down)
    clock.advance(359_999)
    recorder.record(down)
    clock.advance(30_000 + 360_000)
    recorder.record(down)
    expect(created).toHaveLength(2)
  })

  it('writes an event anew when the API server has forgotten it', async () => {
    const { recorder, created, clock, fail } = setUp()
    fail.patch = new ApiError('patch', 404, { reason: 'NotFound' })
    recorder.record(down)
    recorder.record(down)
    clock.advance(30_000)
    await recorder.stop()
    expect(created.map(({ series }) => series?.count)).toEqual([undefined, 2])
  })

  it('goes on when an event cannot be reported, and says so', async () => {
    const { recorder, fail, lines } = setUp()
    fail.create = new ApiError('create', 403, { reason: 'Forbidden', message: 'no right to create events' })
    recorder.record(down)
    await recorder.stop()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('no right to create events')
  })

  it('loses events rather than flood the API server', () => {
    const { recorder, created, clock } = setUp()
    const about = (name: number) => ({ ...down, regarding: { ...regarding, metadata: { name: `t${name}` } } })
    for (let name = 0; name < 500; name++) recorder.record(about(name))
    expect(created).toHaveLength(2)
    clock.advance(1000)
    expect(created).toHaveLength(6)
    clock.advance(60_000)
    expect(created).toHaveLength(102)
    for (let name = 500; name < 600; name++) recorder.record(about(name))
    expect(created).toHaveLength(104)
    expect(created[0]?.metadata.namespace).toBe('default')
  })

  it('writes no more for events that repeat than for new ones', async () => {
    const { recorder, created, patched, clock } = setUp()
    const about = (name: number) => ({ ...down, regarding: { ...regarding, metadata: { name: `t${name}` } } })
    for (let second = 0; second < 300; second++) {
      for (let name = 0; name < 1000; name++) recorder.record(about(name))
      clock.advance(1000)
      expect(created.length + patched.length).toBeLessThanOrEqual(2 + 4 * (second + 1))
    }
    await recorder.stop()
    expect(clock.pending).toBe(0)
  })

  it.each([
    ['a'.repeat(1024), 'a'.repeat(1024)],
    ['a'.repeat(1025), `${'a'.repeat(1018)}…`],
    ['ü'.repeat(600), `${'ü'.repeat(509)}…`],
    [`a${'ü'.repeat(600)}`, `a${'ü'.repeat(508)}…`],
  ])('keeps as much of a long note as the API server takes (%#)', (note, kept) => {
    const { recorder, created } = setUp()
    recorder.record({ ...down, note })
    expect(created[0]?.note).toBe(kept)
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(1024)
  })
})
