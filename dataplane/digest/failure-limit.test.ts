import { describe, expect, it } from 'vitest'
import { FailureLimit } from './failure-limit.ts'

const fail = (limit: FailureLimit, address: string, username: string, times: number, now = 0) => {
  for (let time = 0; time < times; time++) limit.failed(address, username, now)
}

describe('how often somebody may be wrong', () => {
  it('is ten times at once, and once every six seconds in the long run', () => {
    const limit = new FailureLimit()
    fail(limit, '192.0.2.1', 'edge', 9)
    expect(limit.allows('192.0.2.1', 'edge', 0)).toBe(true)
    fail(limit, '192.0.2.1', 'edge', 1)
    expect(limit.allows('192.0.2.1', 'edge', 0)).toBe(false)
    expect(limit.allows('192.0.2.1', 'edge', 5900)).toBe(false)
    expect(limit.allows('192.0.2.1', 'edge', 6000)).toBe(true)
  })

  it('is counted for each user of an address and each address of a user', () => {
    const limit = new FailureLimit()
    fail(limit, '192.0.2.1', 'edge', 10)
    expect(limit.allows('192.0.2.1', 'other', 0)).toBe(true)
    expect(limit.allows('192.0.2.2', 'edge', 0)).toBe(true)
  })

  it('has an end for an address that says it is another user every time', () => {
    const limit = new FailureLimit()
    for (let user = 0; user < 60; user++) limit.failed('192.0.2.1', `user-${user}`, 0)
    expect(limit.allows('192.0.2.1', 'edge', 0)).toBe(false)
    expect(limit.allows('192.0.2.1', 'edge', 1000)).toBe(true)
  })

  it('takes bounded memory, and forgets first who failed longest ago', () => {
    const limit = new FailureLimit(4)
    fail(limit, '192.0.2.1', 'edge', 10)
    limit.failed('192.0.2.2', 'a', 0)
    limit.failed('192.0.2.1', 'edge', 0)
    limit.failed('192.0.2.3', 'b', 0)
    expect(limit.size).toBe(4)
    expect(limit.allows('192.0.2.1', 'edge', 0)).toBe(false)
  })
})
