import { describe, expect, it } from 'vitest'
import type { StatusCondition } from '#api/conditions.ts'
import { urgencyOf } from './urgency.ts'

/** Conditions written as `Programmed=True:Programmed`, of a generation. */
function conditions(text: string, observedGeneration = 1): StatusCondition[] {
  return text.split(' ').map((one) => {
    const [type = '', status, reason = ''] = one.split(/[=:]/)
    const lastTransitionTime = '2026-01-01T00:00:00Z'
    return { type, status: status as 'True', reason, message: '', observedGeneration, lastTransitionTime }
  })
}

const taken = 'Accepted=True:Accepted ResolvedRefs=True:ResolvedRefs'
const well = `${taken} Programmed=True:Programmed Reachable=True:AllTargetsUp`
const waiting = `${taken} Programmed=False:Pending Reachable=True:AllTargetsUp`

describe('how soon a status is written', () => {
  it.each<[string, StatusCondition[] | undefined, StatusCondition[], string]>([
    ['a resource is new and replicas have not answered', undefined, conditions(waiting), 'Soon'],
    ['a resource is new and cannot be used', undefined, conditions('Accepted=False:Invalid'), 'Now'],
    ['a change of the spec waits for answers', conditions(well), conditions(waiting, 2), 'Soon'],
    ['all replicas have answered', conditions(waiting, 2), conditions(well, 2), 'Now'],
    [
      'a Secret is gone, whatever replicas do',
      conditions(well),
      conditions('Accepted=True:Accepted ResolvedRefs=False:SecretNotFound Programmed=False:Pending'),
      'Now',
    ],
    [
      'a replica refuses what ran before',
      conditions(well),
      conditions(`${taken} Programmed=False:RejectedByDataplane Reachable=True:AllTargetsUp`),
      'Now',
    ],
    ['a replica is lost', conditions(well), conditions(waiting), 'Turn'],
    ['a peer is down', conditions(well), conditions(well.replace('True:AllTargetsUp', 'False:NoAnswer')), 'Turn'],
    ['only counts and messages differ', conditions(well), conditions(well), 'Detail'],
  ])('when %s', (_what, before, after, urgency) => {
    expect(urgencyOf(before, after)).toBe(urgency)
  })
})
