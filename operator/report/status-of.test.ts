import { describe, expect, it } from 'vitest'
import { condition } from '#api/conditions.ts'
import { SipTrunkStatus } from '#api/sip-trunk.ts'
import { VoiceServiceStatus } from '#api/voice-service.ts'
import { statusOf, strayTrunkStatus } from './status-of.ts'
import { carrierOf, now, portInUse, replica, spell, target, trunk, view, voiceService } from './testing/fleet.ts'

describe('Ready', () => {
  it('needs no answer of the outside world', () => {
    const replicas = ['edge-0', 'edge-1'].map((name) =>
      replica(name, { report: { targets: [target('a', 'Down'), target('b', 'Down')] } }),
    )
    expect(spell(carrierOf({ replicas }).conditions, 'Ready')).toMatch(/^True Ready/)
  })

  it.each([
    [
      'Accepted',
      { accepted: condition({ type: 'Accepted', status: 'False', reason: 'Invalid', message: 'no target' }) },
      'False NotAccepted: Accepted: no target',
    ],
    [
      'ResolvedRefs',
      {
        resolvedRefs: condition({
          type: 'ResolvedRefs',
          status: 'False',
          reason: 'SecretNotFound',
          message: 'no Secret',
        }),
      },
      'False NotResolved: ResolvedRefs: no Secret',
    ],
  ])('needs %s', (_type, conditions, message) => {
    expect(spell(carrierOf({ trunks: [{ ...trunk('carrier'), ...conditions }] }).conditions, 'Ready')).toBe(message)
  })

  it('needs every part, also where the others run', () => {
    const accepted = condition({ type: 'Accepted', status: 'True', reason: 'PartiallyInvalid', message: 'no route a' })
    const { voiceService: status } = statusOf(view({ voiceService: { ...voiceService(2), accepted } }))
    expect(spell(status.conditions, 'Programmed')).toMatch(/^True/)
    expect(spell(status.conditions, 'Ready')).toBe('False PartiallyInvalid: Accepted: no route a')
  })

  it('does not need what the engine cannot do', () => {
    const accepted = condition({ type: 'Accepted', status: 'True', reason: 'LimitedByEngine', message: 'no WSS' })
    const { voiceService: status } = statusOf(view({ voiceService: { ...voiceService(2), accepted } }))
    expect(spell(status.conditions, 'Ready')).toMatch(/^True Ready/)
  })

  it('needs pods that are as they are wanted', () => {
    const { voiceService: status } = statusOf(view({ unrolled: '1/2 pods are made from the template of today' }))
    expect(spell(status.conditions, 'Ready')).toBe(
      'False NotProgrammed: Programmed: 1/2 pods are made from the template of today.',
    )
    expect(spell(status.conditions, 'Programmed')).toMatch(/^False Pending/)
  })

  it('needs pods that can be made, and says why they cannot', () => {
    const podFailure = 'pods "edge-0" is forbidden: exceeded quota'
    const { voiceService: status, trunks } = statusOf(view({ replicas: [], podFailure }))
    expect(spell(status.conditions, 'Programmed')).toBe(
      `False FailedCreate: None of 2 replicas is connected. Pods cannot be made; StatefulSet edge says: ${podFailure}`,
    )
    expect(spell(status.conditions, 'Ready')).toContain(podFailure)
    expect(spell(trunks.get('carrier')?.conditions, 'Programmed')).toMatch(/^False NoReplicas/)
    expect(spell(statusOf(view({ podFailure })).voiceService.conditions, 'Programmed')).toMatch(/^True/)
  })

  it('needs no replica where none is wanted, and says that no call is taken', () => {
    const { voiceService: status, trunks } = statusOf(view({ voiceService: voiceService(0), replicas: [] }))
    const message = 'True Ready: Accepted, and references resolved; no replica is wanted, and no call is taken.'
    expect(spell(status.conditions, 'Ready')).toBe(message)
    expect(spell(trunks.get('carrier')?.conditions, 'Ready')).toBe(message)
  })

  it('needs Programmed', () => {
    const message = 'False NotProgrammed: Programmed: None of 2 replicas is connected.'
    expect(spell(statusOf(view({ replicas: [] })).voiceService.conditions, 'Ready')).toBe(message)
  })
})

describe('the whole status', () => {
  it('has the form of the schema, with the generation everywhere', () => {
    const targets = [target('a', 'Up'), target('b', 'Down')]
    const replicas = [replica('edge-0', { report: { calls: 2, targets } }), replica('edge-1', { report: { calls: 3 } })]
    const { voiceService: service, trunks } = statusOf(view({ replicas }))
    expect(VoiceServiceStatus.parse(service)).toMatchObject({
      observedGeneration: 5,
      revision: 'new',
      replicas: { desired: 2, ready: 2, programmed: 2 },
      trunks: 2,
      calls: 5,
    })
    expect(service.conditions?.map(({ type }) => type)).toEqual(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'])
    const carrier = SipTrunkStatus.parse(trunks.get('carrier'))
    expect(carrier).toMatchObject({ observedGeneration: 2, programmed: '2/2', targetsUp: '1/2' })
    expect(carrier.conditions?.map(({ type }) => type)).toEqual([
      'Accepted',
      'ResolvedRefs',
      'Programmed',
      'Registered',
      'Reachable',
      'Ready',
    ])
    expect(carrier.conditions?.every(({ observedGeneration }) => observedGeneration === 2)).toBe(true)
  })

  it('counts a replica that runs nothing or drains as not ready', () => {
    const replicas = [replica('edge-0', { revision: null }), replica('edge-1', { draining: true }), replica('edge-2')]
    expect(statusOf(view({ replicas })).voiceService.replicas?.ready).toBe(1)
  })

  it('keeps the time of the last transition while the status of a condition stays, whatever its message', () => {
    const before = statusOf(view({ replicas: [] }))
    const later = now + 60_000
    const { voiceService: after } = statusOf(
      view({
        now: later,
        replicas: [replica('edge-0')],
        voiceService: { ...voiceService(2), previous: before.voiceService },
      }),
    )
    const times = Object.fromEntries(after.conditions?.map((each) => [each.type, each.lastTransitionTime]) ?? [])
    expect(times).toMatchObject({ Accepted: '2026-01-01T12:00:00.000Z', Programmed: '2026-01-01T12:00:00.000Z' })
    const { voiceService: ready } = statusOf(
      view({ now: later, voiceService: { ...voiceService(2), previous: after } }),
    )
    expect(ready.conditions?.find(({ type }) => type === 'Programmed')).toMatchObject({
      status: 'True',
      lastTransitionTime: '2026-01-01T12:01:00.000Z',
    })
  })

  it('is the same for the same input, so that nothing is written when nothing changed', () => {
    const first = statusOf(view())
    const trunks = [trunk('carrier'), trunk('pbx')].map((each) => {
      const previous = first.trunks.get(each.resource.metadata.name)
      return { ...each, previous }
    })
    const again = statusOf(
      view({ now: now + 60_000, voiceService: { ...voiceService(2), previous: first.voiceService }, trunks }),
    )
    expect(again).toEqual(first)
  })

  it('cuts a message that is too long', () => {
    const error = { ...portInUse('l2'), message: 'x'.repeat(2_000) }
    const replicas = [replica('edge-0', { versions: { 'Listener/udp': '' }, errors: [error] })]
    const { voiceService: status } = statusOf(view({ replicas }))
    expect(status.conditions?.find(({ type }) => type === 'Programmed')?.message).toHaveLength(1_000)
  })

  it('tells a trunk without VoiceService that nothing of it runs', () => {
    const accepted = condition({
      type: 'Accepted',
      status: 'False',
      reason: 'VoiceServiceNotFound',
      message: 'VoiceService edge does not exist',
    })
    const status = strayTrunkStatus({ ...trunk('carrier'), accepted }, now)
    expect(spell(status.conditions, 'Programmed')).toMatch(/^False NotAccepted/)
    expect(spell(status.conditions, 'Ready')).toBe('False NotAccepted: Accepted: VoiceService edge does not exist')
    expect(status.programmed).toBe('0/0')
  })
})
