import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import type { Occurrence } from '../kube/events.ts'
import { Crowd } from './crowd.ts'

const edge = {
  apiVersion: 'sbcfleet.dev/v1alpha1',
  kind: 'VoiceService',
  metadata: { namespace: 'voice', name: 'edge' },
}

function begin() {
  const clock = new ManualClock()
  const recorded: Occurrence[] = []
  const crowd = new Crowd({ record: (occurrence) => void recorded.push(occurrence), clock })
  const turn = (name: string, reason = 'TrunkUnreachable') =>
    crowd.tell(
      {
        ...{ type: 'Warning', reason, action: 'Probe', note: 'no answer' },
        regarding: { apiVersion: edge.apiVersion, kind: 'SipTrunk', metadata: { namespace: 'voice', name } },
      },
      edge,
    )
  const told = () => recorded.map(({ regarding, reason }) => `${regarding.kind} ${regarding.metadata.name} ${reason}`)
  return { clock, recorded, turn, told }
}

describe('trunks that turn', () => {
  it('200 at once make ten events of their own, and one of the VoiceService for all the others', () => {
    const { clock, recorded, turn, told } = begin()
    for (let index = 0; index < 200; index++) turn(`t${index}`)
    expect(told()).toEqual(Array.from({ length: 10 }, (_, index) => `SipTrunk t${index} TrunkUnreachable`))
    clock.advance(10_000)
    expect(told().slice(10)).toEqual(['VoiceService edge TrunkUnreachable'])
    const note = recorded.at(-1)?.note ?? ''
    expect(note).toBe(
      '190 more SipTrunks within 10 s: t10, t11, t12, t13, t14, t15, t16, t17, t18, t19 and 180 others; the status of each has its cause',
    )
    expect(clock.pending).toBe(0)
  })

  it('a few are told each by itself, and so is another word for them', () => {
    const { clock, turn, told } = begin()
    for (let index = 0; index < 8; index++) turn(`t${index}`)
    for (let index = 0; index < 8; index++) turn(`t${index}`, 'TrunkReachable')
    clock.advance(10_000)
    expect(told()).toHaveLength(16)
    for (let index = 0; index < 8; index++) turn(`t${index}`)
    expect(told()).toHaveLength(24)
  })

  it('keep the note short enough for an event, whatever their names', () => {
    const { clock, recorded, turn } = begin()
    for (let index = 0; index < 500; index++) turn(`${'a'.repeat(59)}${index}`)
    clock.advance(10_000)
    expect(recorded.at(-1)?.note.length).toBeLessThan(1_024)
  })
})
