import { describe, expect, it } from 'vitest'
import { carrierOf, now, replica, spell, target, trunk } from './testing/fleet.ts'

describe('Reachable', () => {
  it.each<[string, Parameters<typeof target>[], Parameters<typeof target>[], string, string]>([
    [
      'all targets are up',
      [
        ['a', 'Up'],
        ['b', 'Up'],
      ],
      [
        ['a', 'Up'],
        ['b', 'Up'],
      ],
      '2/2',
      'True AllTargetsUp: 2 of 2 targets up.',
    ],
    [
      'one target is down for all',
      [
        ['a', 'Up'],
        ['b', 'Down', { lastCode: 503 }],
      ],
      [
        ['a', 'Up'],
        ['b', 'Down', { lastCode: 503 }],
      ],
      '1/2',
      'True PartiallyUp: 1 of 2 targets up; b (TCP [2001:db8::1]:5070) is down: last answer 503',
    ],
    [
      'one target is down for one replica',
      [
        ['a', 'Up'],
        ['b', 'Up'],
      ],
      [
        ['a', 'Up'],
        ['b', 'Down', { detail: 'no answer within 4 s' }],
      ],
      '1/2',
      'True PartiallyUp: 1 of 2 targets up; b (TCP [2001:db8::1]:5070) is down: no answer within 4 s, up on 1 of 2 replicas',
    ],
    [
      'all targets are down',
      [
        ['a', 'Down'],
        ['b', 'Down'],
      ],
      [],
      '0/2',
      'False AllTargetsDown: 0 of 2 targets up; a (UDP 192.0.2.1:5060) is down: no answer; b (TCP [2001:db8::1]:5070) is down: no answer',
    ],
    [
      'nothing has answered yet',
      [['a', 'Unknown']],
      [],
      '0/2',
      'Unknown Pending: 0 of 2 targets up; a (UDP 192.0.2.1:5060) has not answered yet; b (TCP [2001:db8::1]:5070) has not answered yet',
    ],
    [
      'one is down and the other has not answered yet',
      [
        ['a', 'Down'],
        ['b', 'Unknown'],
      ],
      [],
      '0/2',
      'Unknown Pending: 0 of 2 targets up; a (UDP 192.0.2.1:5060) is down: no answer; b (TCP [2001:db8::1]:5070) has not answered yet',
    ],
  ])('when %s', (_what, first, second, targetsUp, message) => {
    const reports = [first, second].map((targets) => targets.map((each) => target(...each)))
    const replicas = reports.map((targets, index) => replica(`edge-${index}`, { report: { targets } }))
    const status = carrierOf({ replicas })
    expect(status.targetsUp).toBe(targetsUp)
    expect(spell(status.conditions, 'Reachable')).toBe(message)
  })

  it('is not known when keepalive is off', () => {
    const trunks = [trunk('carrier', { keepalive: { enabled: false } })]
    expect(spell(carrierOf({ trunks }).conditions, 'Reachable')).toMatch(/^Unknown Unmonitored/)
  })

  it('shows every target with the replicas that see it up, and when it changed last', () => {
    const early = { since: now - 60_000 }
    const late = { since: now - 1_000, lastCode: 503 }
    const replicas = [
      replica('edge-0', { report: { targets: [target('a', 'Up', early), target('b', 'Down', early)] } }),
      replica('edge-1', { report: { targets: [target('a', 'Down', late), target('b', 'Down', late)] } }),
    ]
    expect(carrierOf({ replicas }).targets).toEqual([
      {
        name: 'a',
        address: 'UDP 192.0.2.1:5060',
        state: 'Down',
        lastCode: 503,
        lastTransitionTime: '2026-01-01T11:59:59.000Z',
        replicasUp: 1,
        replicasTotal: 2,
      },
      {
        name: 'b',
        address: 'TCP [2001:db8::1]:5070',
        state: 'Down',
        lastCode: 503,
        lastTransitionTime: '2026-01-01T11:59:59.000Z',
        replicasUp: 0,
        replicasTotal: 2,
      },
    ])
  })

  it('shows the endpoints that a name stands for, as all replicas together see them', () => {
    const at = (...endpoints: string[]) => ({ since: now, endpoints })
    const replicas = [
      replica('edge-0', { report: { targets: [target('a', 'Up', at('192.0.2.9:5070', '192.0.2.10:5060'))] } }),
      replica('edge-1', { report: { targets: [target('a', 'Up', at('192.0.2.9:5070', '192.0.2.8:5060'))] } }),
    ]
    const [a, b] = carrierOf({ replicas }).targets ?? []
    expect(a?.endpoints).toEqual(['192.0.2.10:5060', '192.0.2.8:5060', '192.0.2.9:5070'])
    expect(b).not.toHaveProperty('endpoints')
  })

  it.each([
    ['NoAnswer', 'NoAnswer', 'NoAnswer'],
    ['Rejected', 'Rejected', 'Rejected503'],
    ['TlsFailed', 'TlsFailed', 'TlsFailed'],
    ['NameNotResolved', 'NameNotResolved', 'NameNotResolved'],
    ['Unreachable', 'NoAnswer', 'AllTargetsDown'],
  ] as const)('says what to look after when all targets are down: %s and %s are %s', (a, b, reason) => {
    const targets = [target('a', 'Down', { failure: a }), target('b', 'Down', { failure: b })]
    const status = carrierOf({ replicas: [replica('edge-0', { report: { targets } })] })
    expect(spell(status.conditions, 'Reachable')).toMatch(new RegExp(`^False ${reason}: `))
  })

  it('shows the prober, the failures in a row, and the last of them (keepalive check 8)', () => {
    const report = { failure: 'Rejected', failures: 3, detail: '503 Busy', lastCode: 503, probe: 'p' } as const
    const targets = [target('a', 'Up', report)]
    const status = carrierOf({ replicas: [replica('edge-1', { report: { targets } })] })
    expect(status.targets?.[0]).toMatchObject({
      state: 'Up',
      prober: 'edge-1',
      consecutiveFailures: 3,
      failure: 'Rejected',
      message: '503 Busy',
    })
  })
})
