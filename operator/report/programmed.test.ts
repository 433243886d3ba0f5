import { describe, expect, it } from 'vitest'
import { noCertificates } from '#api/snapshot.ts'
import { statusOf, type FleetView } from './status-of.ts'
import { portInUse, replica, snapshot, spell, view, voiceService } from './testing/fleet.ts'

describe('Programmed', () => {
  it.each<[string, Partial<FleetView>, service: string, trunk: string]>([
    [
      'all replicas run it',
      {},
      'True Programmed: 2/2 replicas run generation 5.',
      'True Programmed: 2/2 replicas run generation 2.',
    ],
    [
      'more replicas than desired run it',
      { voiceService: voiceService(1) },
      'True Programmed: 1/1 replicas run generation 5.',
      'True Programmed: 1/1 replicas run generation 2.',
    ],
    [
      'as many as are desired run it, and another one does not yet',
      { voiceService: voiceService(1), replicas: [replica('edge-0'), replica('edge-1', { versions: {} })] },
      'True Programmed: 1/1 replicas run generation 5.',
      'True Programmed: 1/1 replicas run generation 2.',
    ],
    [
      'no replica is connected',
      { replicas: [] },
      'False NoReplicas: None of 2 replicas is connected.',
      'False NoReplicas: None of 2 replicas is connected.',
    ],
    [
      'no replica is wanted',
      { voiceService: voiceService(0), replicas: [] },
      'True ScaledToZero: No replica is wanted, since spec.replicas of the VoiceService is 0; no call is taken.',
      'True ScaledToZero: No replica is wanted, since spec.replicas of the VoiceService is 0; no call is taken.',
    ],
    [
      'one replica is missing',
      { replicas: [replica('edge-0')] },
      'False Pending: 1/2 replicas run generation 5; 1 not connected',
      'False Pending: 1/2 replicas run generation 2; 1 not connected',
    ],
    [
      'one replica drains',
      { replicas: [replica('edge-0'), replica('edge-1', { draining: true })] },
      'False Pending: 1/2 replicas run generation 5; 1 not connected',
      'False Pending: 1/2 replicas run generation 2; 1 not connected',
    ],
    [
      'one replica has not answered for the trunk',
      { replicas: [replica('edge-0'), replica('edge-1', { pending: true, versions: { 'Trunk/carrier': 't1' } })] },
      'True Programmed: 2/2 replicas run generation 5.',
      'False Pending: 1/2 replicas run generation 2; edge-1 has not acknowledged it',
    ],
    [
      'one replica cannot bind a listener',
      {
        replicas: [
          replica('edge-0'),
          replica('edge-1', { versions: { 'Listener/udp': '' }, errors: [portInUse('l2')] }),
        ],
      },
      'False RejectedByDataplane: 1/2 replicas run generation 5; edge-1: spec.listeners[0].port: UDP 127.0.0.3:5060 is in use by another process: stop that process, or choose another port',
      'False RejectedByDataplane: 1/2 replicas run generation 2; edge-1: VoiceService edge spec.listeners[0].port: UDP 127.0.0.3:5060 is in use by another process: stop that process, or choose another port',
    ],
    [
      'a refusal of an older version is left over',
      {
        replicas: [
          replica('edge-0'),
          replica('edge-1', { versions: { 'Listener/udp': 'l1' }, errors: [portInUse('l1')] }),
        ],
      },
      'False Pending: 1/2 replicas run generation 5; edge-1 has not acknowledged it',
      'True Programmed: 2/2 replicas run generation 2.',
    ],
    [
      'a replica still runs a route that is gone',
      { replicas: [replica('edge-0'), replica('edge-1', { versions: { 'Route/gone': 'r1' } })] },
      'False Pending: 1/2 replicas run generation 5; edge-1 has not acknowledged it',
      'True Programmed: 2/2 replicas run generation 2.',
    ],
    [
      'a replica refuses everything',
      { replicas: [replica('edge-0'), replica('edge-1', { refused: 'OldEpoch', versions: { 'Listener/udp': 'l1' } })] },
      'False RejectedByDataplane: 1/2 replicas run generation 5; edge-1: refused the whole configuration (OldEpoch)',
      'True Programmed: 2/2 replicas run generation 2.',
    ],
    [
      'there is nothing to run',
      { snapshot: undefined },
      'False NotAccepted: This generation is not run, since it is not accepted.',
      'False NotAccepted: This generation is not run, since it is not accepted.',
    ],
  ])('when %s', (_what, changes, service, carrier) => {
    const { voiceService: status, trunks } = statusOf(view(changes))
    expect(spell(status.conditions, 'Programmed')).toBe(service)
    expect(spell(trunks.get('carrier')?.conditions, 'Programmed')).toBe(carrier)
  })

  it('is on the way, and nobody has refused it, where a listener waits for its Secret', () => {
    const [listener, ...trunks] = snapshot.resources
    if (listener?.body.type !== 'Listener') throw new Error('there is no listener')
    const waiting = { ...listener, body: { ...listener.body, transport: 'TLS' as const, tls: noCertificates } }
    const replicas = ['edge-0', 'edge-1'].map((name) =>
      replica(name, { versions: { 'Listener/udp': '' }, errors: [portInUse('l2')] }),
    )
    const changes = { snapshot: { ...snapshot, resources: [waiting, ...trunks] }, replicas }
    const { voiceService: status, trunks: statuses } = statusOf(view(changes))
    const message = 'replicas run generation'
    expect(spell(status.conditions, 'Programmed')).toBe(
      `False Pending: 0/2 ${message} 5; spec.listeners[0] waits for its Secret`,
    )
    expect(spell(statuses.get('carrier')?.conditions, 'Programmed')).toBe(
      `False Pending: 0/2 ${message} 2; VoiceService edge spec.listeners[0] waits for its Secret`,
    )
  })

  it('names the first three refusals and counts the others', () => {
    const refusing = { versions: { 'Listener/udp': '' }, errors: [portInUse('l2')] }
    const replicas = ['0', '1', '2', '3', '4'].map((index) => replica(`edge-${index}`, refusing))
    const { voiceService: status } = statusOf(view({ voiceService: voiceService(5), replicas }))
    const message = spell(status.conditions, 'Programmed')
    expect(message).toContain('edge-2: spec')
    expect(message).not.toContain('edge-3')
    expect(message).toMatch(/and 2 more$/)
  })
})
