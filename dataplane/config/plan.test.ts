import { describe, expect, it } from 'vitest'
import type { Resource } from '#api/snapshot.ts'
import { plan, type Situation } from './plan.ts'
import { trunkResource } from './testing/resources.ts'

const empty: Situation = { revision: undefined, resources: new Map(), sockets: new Map() }

function situation(options: { revision?: string; trunks?: Resource[]; sockets?: Record<string, string> }): Situation {
  return {
    revision: options.revision ?? 'one',
    resources: new Map((options.trunks ?? []).map((resource) => [resource.key, resource])),
    sockets: new Map(Object.entries(options.sockets ?? {})),
  }
}

describe('plan', () => {
  it('reloads a socket that gets another certificate, and no other', () => {
    const sockets = { 'TLS 127.0.0.1:5061': 'tls', 'UDP 127.0.0.1:5060': 'udp' }
    const running = { ...situation({ sockets }), reloadable: new Map([['TLS 127.0.0.1:5061', 'old']]) }
    const wanted = { ...situation({ sockets }), reloadable: new Map([['TLS 127.0.0.1:5061', 'new']]) }
    expect(plan(running, wanted)).toEqual([
      {
        act: 'reload',
        socket: 'TLS 127.0.0.1:5061',
        because: 'listener tls has other certificates, or tells another address',
      },
    ])
  })

  it.each<[string, Situation, Situation, string[]]>([
    ['nothing to nothing', empty, empty, []],
    [
      'nothing to the first configuration',
      empty,
      situation({ trunks: [trunkResource('a')], sockets: { 'UDP 127.0.0.1:5060': 'udp' } }),
      ['open UDP 127.0.0.1:5060: listener udp is new', 'swap: Trunk/a added'],
    ],
    [
      'a listener that moves: its new socket is open before the old one is closed',
      situation({ sockets: { 'UDP 127.0.0.1:5060': 'udp' } }),
      situation({ revision: 'two', sockets: { 'UDP 127.0.0.1:5062': 'udp' } }),
      [
        'open UDP 127.0.0.1:5062: listener udp moves here from UDP 127.0.0.1:5060',
        'swap: revision two has the same content',
        'close UDP 127.0.0.1:5060: listener udp moves to UDP 127.0.0.1:5062',
      ],
    ],
    [
      'a listener that is renamed: its socket stays open',
      situation({ sockets: { 'UDP 127.0.0.1:5060': 'udp' } }),
      situation({ revision: 'two', sockets: { 'UDP 127.0.0.1:5060': 'inside' } }),
      ['swap: revision two has the same content'],
    ],
    [
      'two listeners that change places: no socket is touched',
      situation({ sockets: { 'UDP 127.0.0.1:5060': 'a', 'UDP 127.0.0.1:5062': 'b' } }),
      situation({ revision: 'two', sockets: { 'UDP 127.0.0.1:5060': 'b', 'UDP 127.0.0.1:5062': 'a' } }),
      ['swap: revision two has the same content'],
    ],
    [
      'a listener that goes: closed after the swap',
      situation({ sockets: { 'UDP 127.0.0.1:5060': 'udp', 'TCP 127.0.0.1:5060': 'tcp' } }),
      situation({ revision: 'two', sockets: { 'UDP 127.0.0.1:5060': 'udp' } }),
      ['swap: revision two has the same content', 'close TCP 127.0.0.1:5060: listener tcp is gone'],
    ],
    [
      'trunks that come, change and go: one swap',
      situation({ trunks: [trunkResource('a'), trunkResource('b')] }),
      situation({ trunks: [trunkResource('b', { allowedSources: ['192.0.2.0/24'] }), trunkResource('c')] }),
      ['swap: Trunk/c added, Trunk/b changed, Trunk/a removed'],
    ],
    [
      'many trunks: counted, not listed',
      situation({}),
      situation({ trunks: ['a', 'b', 'c', 'd'].map((name) => trunkResource(name)) }),
      ['swap: 4 resources added'],
    ],
    [
      'the same configuration: nothing to do',
      situation({ trunks: [trunkResource('a')], sockets: { 'UDP 127.0.0.1:5060': 'udp' } }),
      situation({ trunks: [trunkResource('a')], sockets: { 'UDP 127.0.0.1:5060': 'udp' } }),
      [],
    ],
  ])('from %s', (_what, running, wanted, expected) => {
    const steps = plan(running, wanted).map((step) =>
      step.act === 'swap' ? `swap: ${step.because}` : `${step.act} ${step.socket}: ${step.because}`,
    )
    expect(steps).toEqual(expected)
  })
})
