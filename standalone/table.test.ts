import { describe, expect, it } from 'vitest'
import type { StatusCondition } from '#api/conditions.ts'
import { formatAge, renderView, troublesOf, type View } from './table.ts'

const start = Date.UTC(2026, 0, 1)
const condition = (type: string, status: StatusCondition['status'], reason: string, message = ''): StatusCondition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: new Date(start).toISOString(),
})

const view: View = {
  fleets: [
    {
      name: 'voice/edge',
      createdAt: start,
      status: {
        conditions: [condition('Ready', 'True', 'Ready')],
        replicas: { desired: 2, ready: 2, programmed: 2 },
        trunks: 2,
        calls: 7,
      },
    },
  ],
  trunks: [
    {
      name: 'voice/carrier',
      createdAt: start,
      status: {
        conditions: [
          condition('Ready', 'True', 'Ready'),
          condition('Registered', 'True', 'Registered'),
          condition('Reachable', 'False', 'AllTargetsDown', 'target a does not answer'),
        ],
        programmed: '2/2',
        targetsUp: '0/1',
      },
    },
    { name: 'voice/pbx', createdAt: start + 60_000, status: {} },
  ],
  problems: ['pbx.yaml:3:1: SipTrunk voice/pbx spec.prot: unknown field'],
}

describe('renderView', () => {
  it('shows fleets, trunks and what is wrong', () => {
    expect(renderView(view, start + 184_000).join('\n')).toBe(
      `
VOICESERVICE   READY   REPLICAS   PROGRAMMED   TRUNKS   CALLS   AGE
voice/edge     True    2/2        2/2          2        7       3m4s

SIPTRUNK        READY   PROGRAMMED   REGISTERED   REACHABLE   TARGETS   AGE
voice/carrier   True    2/2          True         False       0/1       3m4s
voice/pbx       -       -            -            -           -         2m4s

pbx.yaml:3:1: SipTrunk voice/pbx spec.prot: unknown field
voice/carrier Reachable=False (AllTargetsDown): target a does not answer`.trimStart(),
    )
  })

  it('names Ready only when nothing else says why', () => {
    const trunk = {
      name: 'a/b',
      createdAt: start,
      status: {
        conditions: [
          condition('Ready', 'False', 'NotAccepted'),
          condition('Accepted', 'False', 'Invalid', 'no target'),
        ],
      },
    }
    const lines = renderView({ fleets: [], trunks: [trunk], problems: [] }, start)
    expect(lines.at(-1)).toBe('a/b Accepted=False (Invalid): no target')
    expect(lines.join('\n')).not.toContain('Ready=False')
  })
})

describe('troublesOf', () => {
  it('passes over what is only on its way', () => {
    const conditions = [
      condition('Programmed', 'False', 'Pending', '1/2 replicas run generation 1'),
      condition('Ready', 'False', 'NotProgrammed'),
      condition('Reachable', 'False', 'AllTargetsDown', 'no answer'),
    ]
    expect(troublesOf({ name: 'a/b', createdAt: start, status: { conditions } })).toEqual([
      'a/b Reachable=False (AllTargetsDown): no answer',
    ])
  })
})

describe('formatAge', () => {
  it.each([
    [-5, '0s'],
    [119_000, '119s'],
    [120_000, '2m'],
    [187_000, '3m7s'],
    [95 * 60_000, '95m'],
    [312 * 60_000, '5h12m'],
    [30 * 3_600_000, '30h'],
    [100 * 3_600_000, '4d'],
  ])('writes %d ms as kubectl does: %s', (milliseconds, text) => expect(formatAge(milliseconds)).toBe(text))
})
