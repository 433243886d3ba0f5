import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { type Hunt, type HuntEvent, step } from './hunt.ts'

const place = (trunk: string, target: string) => ({ trunk, target: { name: target }, sip: builtInBehaviour })
/** One target with two addresses, another target, and one of another trunk with the first's name. */
const places = [place('carrier', 'a'), place('carrier', 'a'), place('carrier', 'b'), place('backup', 'a')]

/** The first has redirected to the second and third. */
const redirected = [
  place('carrier', 'a'),
  { ...place('carrier', 'b'), redirected: true },
  { ...place('carrier', 'c'), redirected: true },
  place('backup', 'a'),
]

const trying = (attempt: number): Hunt => ({ at: 'trying', attempt })
const heard = (attempt: number): Hunt => ({ at: 'heard', attempt })
const answered = (attempt: number): Hunt => ({ at: 'answered', attempt })
const over: Hunt = { at: 'over' }
const failure = (attempt: number, status: number, local = false): HuntEvent => ({
  type: 'failure',
  attempt,
  failure: { status, local },
})
const moveTo = (attempt: number) => [trying(attempt), { do: 'try', attempt }]

describe('the search for somebody to take the call', () => {
  it.each<[string, Hunt, HuntEvent, unknown]>([
    ['100 stops the wait', trying(0), { type: 'trying', attempt: 0 }, [heard(0)]],
    ['18x goes to the caller', trying(0), { type: 'provisional', attempt: 0 }, [heard(0), { do: 'progress' }]],
    ['2xx goes to the caller', heard(0), { type: 'answer', attempt: 0 }, [answered(0), { do: 'connect' }]],
    ['503 leads to the next address (RFC 3263 section 4.3)', heard(0), failure(0, 503), moveTo(1)],
    ['a timeout leads to the next address', trying(0), failure(0, 408, true), moveTo(1)],
    ['404 leads to the next target, past the other addresses', heard(0), failure(0, 404), moveTo(2)],
    ['500 leads to the next target', trying(2), failure(2, 500), moveTo(3)],
    ['486 ends it', trying(0), failure(0, 486), [over, { do: 'refuse', status: 486 }]],
    ['the last failure ends it', trying(3), failure(3, 503), [over, { do: 'refuse', status: 503 }]],
    [
      'silence leads to the next, and the silent one is cancelled',
      trying(0),
      { type: 'silence', attempt: 0 },
      [...moveTo(1), { do: 'cancel', attempt: 0 }],
    ],
    [
      'silence of the last is 408 for the caller',
      trying(3),
      { type: 'silence', attempt: 3 },
      [over, { do: 'refuse', status: 408 }, { do: 'cancel', attempt: 3 }],
    ],
    ['who has said something is not silent', heard(0), { type: 'silence', attempt: 0 }, [heard(0)]],
    [
      'the call has rung long enough',
      heard(1),
      { type: 'expired', status: 487 },
      [over, { do: 'refuse', status: 487 }, { do: 'cancel', attempt: 1 }],
    ],
    ['the caller is gone', trying(1), { type: 'callerGone' }, [over, { do: 'cancel', attempt: 1 }]],
    ['a failure after that says nothing new', over, failure(1, 487), [over]],
    ['a late 18x of one that was given up', trying(1), { type: 'provisional', attempt: 0 }, [trying(1)]],
    ['a late failure of one that was given up', trying(1), failure(0, 486), [trying(1)]],
    [
      'a late 2xx of one that was given up is released (RFC 3261 section 13.2.2.4)',
      trying(1),
      { type: 'answer', attempt: 0 },
      [trying(1), { do: 'release', attempt: 0 }],
    ],
    ['a 2xx after the caller went', over, { type: 'answer', attempt: 0 }, [over, { do: 'release', attempt: 0 }]],
    ['a second 2xx', answered(1), { type: 'answer', attempt: 0 }, [answered(1), { do: 'release', attempt: 0 }]],
    ['the time is up after the answer', answered(0), { type: 'expired', status: 408 }, [answered(0)]],
    ['the caller goes after the answer', answered(0), { type: 'callerGone' }, [answered(0)]],
  ])('%s', (_case, hunt, event, expected) => {
    expect(step(hunt, event, places)).toEqual(expected)
  })

  it.each<[string, Hunt, HuntEvent, unknown]>([
    ['begins with the first', heard(0), { type: 'redirected', attempt: 0 }, moveTo(1)],
    ['goes on after any failure', heard(1), failure(1, 486), moveTo(2)],
    ['stops at 6xx (RFC 3261 section 21.6)', heard(1), failure(1, 603), [over, { do: 'refuse', status: 603 }]],
    ['ends with the last, whose failure counts', heard(2), failure(2, 486), [over, { do: 'refuse', status: 486 }]],
    ['leads on by the rules of hunting', heard(2), failure(2, 503), moveTo(3)],
  ])('among the contacts of a redirection %s (RFC 3261 section 8.1.3.4)', (_case, hunt, event, expected) => {
    expect(step(hunt, event, redirected)).toEqual(expected)
  })
})
