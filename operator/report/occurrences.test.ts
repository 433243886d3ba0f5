import { describe, expect, it } from 'vitest'
import type { StatusCondition } from '#api/conditions.ts'
import { occurrencesOf } from './occurrences.ts'

function one(type: string, status: StatusCondition['status'], message = 'why'): StatusCondition[] {
  return [{ type, status, reason: 'Reason', message, lastTransitionTime: '2026-01-01T00:00:00.000Z' }]
}

describe('events', () => {
  it.each([
    ['a trunk that is lost', one('Reachable', 'True'), one('Reachable', 'False'), ['Warning TrunkUnreachable: why']],
    ['a trunk that is back', one('Reachable', 'False'), one('Reachable', 'True'), ['Normal TrunkReachable: why']],
    ['a trunk that is lost from the start', undefined, one('Reachable', 'False'), ['Warning TrunkUnreachable: why']],
    [
      'a registration that fails',
      one('Registered', 'Unknown'),
      one('Registered', 'False'),
      ['Warning RegistrationFailed: why'],
    ],
    ['another message', one('Reachable', 'False', 'a'), one('Reachable', 'False', 'b'), []],
    ['what is well from the start', undefined, one('Ready', 'True'), []],
    ['what is not told', one('Programmed', 'True'), one('Programmed', 'False'), []],
  ])('of %s', (_what, before, after, expected) => {
    expect(occurrencesOf(before, after).map(({ type, reason, note }) => `${type} ${reason}: ${note}`)).toEqual(expected)
  })
})
