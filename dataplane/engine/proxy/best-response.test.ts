import { describe, expect, it } from 'vitest'
import { readMessage } from '../message/parse.ts'
import { bestFailure, type Failure, otherChallenges } from './best-response.ts'

function failure(status: number, headers: readonly string[] = []): Failure {
  const parsed = readMessage(`SIP/2.0 ${status} No\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`)
  if (!parsed.ok) throw new Error(parsed.reason)
  return { status, response: parsed.message }
}

describe('the best of several refusals (RFC 3261 §16.7, step 6)', () => {
  it.each([
    ['any 6xx', [302, 486, 603], 603],
    ['else the lowest class', [503, 486, 302], 302],
    ['else the lowest class', [500, 404], 404],
    ['of 4xx one that tells what to do', [404, 486, 407], 407],
    ['of 4xx one that tells what to do', [480, 484], 484],
    ['of equals the first', [486, 480], 486],
  ])('%s: of %s it is %s', (_rule, statuses, best) => {
    expect(bestFailure(statuses.map((status) => failure(status)))?.status).toBe(best)
  })

  it('what a target said comes before what was made up for one that said nothing', () => {
    expect(bestFailure([{ status: 408, response: undefined }, failure(486)])?.status).toBe(486)
  })

  it('is none of none', () => {
    expect(bestFailure([])).toBeUndefined()
  })
})

describe('the challenges of the others (§16.7, step 7)', () => {
  const first = failure(401, ['WWW-Authenticate: Digest realm="a"'])
  const second = failure(407, ['Proxy-Authenticate: Digest realm="b"', 'Proxy-Authenticate: Digest realm="c"'])
  const other = failure(404, ['WWW-Authenticate: Digest realm="d"'])

  it('go with a challenge, every one of them', () => {
    expect(otherChallenges(first, [first, second, other])).toEqual([
      ['Proxy-Authenticate', 'Digest realm="b"'],
      ['Proxy-Authenticate', 'Digest realm="c"'],
    ])
  })

  it('go with nothing else', () => {
    expect(otherChallenges(other, [first, second, other])).toEqual([])
  })
})
