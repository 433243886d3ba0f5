import { describe, expect, it } from 'vitest'
import type { StatusCondition } from '#api/conditions.ts'
import { unreadableStatus, withProgress } from './progress.ts'

const lastTransitionTime = '2026-01-01T00:00:00.000Z'
const now = Date.UTC(2026, 0, 2)

function of(...given: [type: string, status: 'True' | 'False', reason: string][]): StatusCondition[] {
  return given.map(([type, status, reason]) => ({ type, status, reason, message: `${type} says`, lastTransitionTime }))
}

function added(conditions: StatusCondition[], previous: StatusCondition[] = []) {
  const status = withProgress({ conditions }, { generation: 4, previous, now })
  return status.conditions.slice(conditions.length)
}

describe('withProgress', () => {
  it('adds nothing to what is Ready', () => {
    expect(added(of(['Accepted', 'True', 'Accepted'], ['Ready', 'True', 'Ready']))).toEqual([])
  })

  it.each<[string, StatusCondition[], string, string]>([
    ['is invalid', of(['Accepted', 'False', 'Invalid'], ['Ready', 'False', 'NotAccepted']), 'Stalled', 'Accepted says'],
    [
      'is invalid in part',
      of(['Accepted', 'True', 'PartiallyInvalid'], ['Ready', 'False', 'PartiallyInvalid']),
      'Stalled',
      'Accepted says',
    ],
    [
      'is left out until its Secret comes',
      of(
        ['Accepted', 'False', 'Invalid'],
        ['ResolvedRefs', 'False', 'SecretNotFound'],
        ['Ready', 'False', 'NotAccepted'],
      ),
      'Reconciling',
      'ResolvedRefs: ResolvedRefs says',
    ],
    [
      'was refused by a replica',
      of(['Programmed', 'False', 'RejectedByDataplane'], ['Ready', 'False', 'NotProgrammed']),
      'Stalled',
      'Programmed says',
    ],
    [
      'was refused by the API server',
      of(['Programmed', 'False', 'ResourcesRefused'], ['Ready', 'False', 'NotProgrammed']),
      'Stalled',
      'Programmed says',
    ],
    [
      'refers to what may still come',
      of(['Accepted', 'False', 'VoiceServiceNotFound'], ['Ready', 'False', 'NotAccepted']),
      'Reconciling',
      'Ready says',
    ],
    [
      'waits for replicas',
      of(['Programmed', 'False', 'Pending'], ['Ready', 'False', 'NotProgrammed']),
      'Reconciling',
      'Ready says',
    ],
  ])('of a resource that %s', (_what, conditions, type, message) => {
    expect(added(conditions)).toMatchObject([{ type, status: 'True', message, observedGeneration: 4 }])
  })

  it('keeps the time since when it is so', () => {
    const conditions = of(['Ready', 'False', 'NotProgrammed'])
    const [first] = added(conditions, of(['Reconciling', 'True', 'Progressing']))
    expect(first?.lastTransitionTime).toBe(lastTransitionTime)
  })
})

describe('a resource that cannot be read', () => {
  it('is stalled, and says which field', () => {
    const stamp = { generation: 4, previous: undefined, now }
    const status = withProgress(unreadableStatus('spec.engine: not known', stamp), stamp)
    expect(status.conditions.map(({ type, status: held }) => `${type}=${held}`)).toEqual([
      'Accepted=False',
      'Programmed=False',
      'Ready=False',
      'Stalled=True',
    ])
    expect(status.conditions.at(-1)?.message).toContain('spec.engine')
  })
})
