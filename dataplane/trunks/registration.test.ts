import { describe, expect, it } from 'vitest'
import type { Challenge } from '../digest/digest.ts'
import {
  backoffMilliseconds,
  grantedSeconds,
  mayAnswer,
  minExpiresSeconds,
  refreshMilliseconds,
  refusalOf,
} from './registration.ts'
import { responseMessage } from './scripted-port.ts'

const contact = 'sip:+15550100@192.0.2.1:5060'
const ok = (headers: [string, string][]) => responseMessage(200, 'OK', 'REGISTER', headers)

describe('the time granted by a 200 (RFC 3261 section 10.2.4)', () => {
  it.each([
    {
      name: 'is the expires parameter of our own Contact, among others',
      headers: [
        ['Contact', '<sip:+15550100@192.0.2.7:5060>;expires=17, <sip:+15550100@192.0.2.1:5060>;q=0.5;expires=100'],
        ['Expires', '300'],
      ],
      expected: 100,
    },
    {
      name: 'is found in a Contact on a line of its own, with an escaped user and the default port left out',
      headers: [
        ['Contact', '<sip:+15550100@192.0.2.7>;expires=17'],
        ['Contact', '"+15550100" <sip:%2B15550100@192.0.2.1;transport=udp>;Expires=120'],
      ],
      expected: 120,
    },
    {
      name: 'is that of the only Contact, even where the registrar wrote it anew',
      headers: [['Contact', '<sip:+15550100@198.51.100.9:40123>;expires=90']],
      expected: 90,
    },
    {
      name: 'is none where several bindings are listed, and ours is none of them',
      headers: [
        ['Contact', '<sip:+15550100@192.0.2.11:5060>;expires=17, <sip:+15550100@192.0.2.1:50600>;expires=18'],
        ['Expires', '300'],
      ],
      expected: 0,
    },
    {
      name: 'is none where the only binding is of another user',
      headers: [['Contact', '<sip:+15550199@192.0.2.1:5060>;expires=90']],
      expected: 0,
    },
    {
      name: 'is Expires where our Contact has no parameter',
      headers: [
        ['Contact', '<sip:+15550100@192.0.2.1:5060>'],
        ['Expires', '1800'],
      ],
      expected: 1800,
    },
    { name: 'is what was asked for where nothing is said', headers: [], expected: 3600 },
    { name: 'is what was asked for where nonsense is said', headers: [['Expires', 'soon']], expected: 3600 },
    {
      name: 'is what was asked for where the number is beyond 2**32',
      headers: [['Expires', '4294967296']],
      expected: 3600,
    },
    { name: 'may be none', headers: [['Contact', `<${contact}>;expires=0`]], expected: 0 },
  ] as { name: string; headers: [string, string][]; expected: number }[])('$name', ({ headers, expected }) => {
    expect(grantedSeconds(ok(headers), contact, 3600)).toBe(expected)
  })
})

describe('the next REGISTER', () => {
  const retry = { minSeconds: 5, maxSeconds: 120 }

  it('comes earlier where the configuration says so', () => {
    expect(refreshMilliseconds(100, 50)).toBe(50_000)
    expect(backoffMilliseconds('NoAnswer', 9, undefined, 1, { minSeconds: 1, maxSeconds: 30 })).toBe(30_000)
  })

  it.each([
    { granted: 100, milliseconds: 80_000 },
    { granted: 3600, milliseconds: 2_880_000 },
    { granted: 1, milliseconds: 1000 },
    { granted: 2 ** 32 - 1, milliseconds: 7 * 86_400 * 800 },
  ])('comes after 80 % of $granted s', ({ granted, milliseconds }) => {
    expect(refreshMilliseconds(granted, 80)).toBe(milliseconds)
  })

  it.each([
    { failure: 'NoAnswer', failures: 1, random: 1, seconds: 5 },
    { failure: 'NoAnswer', failures: 1, random: 0, seconds: 2.5 },
    { failure: 'NoAnswer', failures: 3, random: 1, seconds: 20 },
    { failure: 'Rejected', failures: 9, random: 1, seconds: 120 },
    { failure: 'Rejected', failures: 5000, random: 0, seconds: 60 },
    { failure: 'AuthFailed', failures: 1, random: 1, seconds: 120 },
    { failure: 'AuthFailed', failures: 9, random: 1, seconds: 1800 },
  ] as const)(
    'comes $seconds s after failure $failures by $failure where the dice show $random (RFC 5626 section 4.5)',
    ({ failure, failures, random, seconds }) => {
      expect(backoffMilliseconds(failure, failures, undefined, random, retry)).toBe(seconds * 1000)
    },
  )

  it('does not come before Retry-After, within half an hour', () => {
    expect(backoffMilliseconds('Rejected', 1, 60, 1, retry)).toBe(60_000)
    expect(backoffMilliseconds('Rejected', 1, 1, 1, retry)).toBe(5000)
    expect(backoffMilliseconds('Rejected', 1, 1_000_000, 1, retry)).toBe(1_800_000)
  })
})

describe('an answer', () => {
  it('tells Min-Expires where it is a number', () => {
    const answer = responseMessage(423, 'Interval Too Brief', 'REGISTER', [['Min-Expires', '600']])
    expect(minExpiresSeconds(answer)).toBe(600)
    expect(minExpiresSeconds(ok([]))).toBeUndefined()
    expect(minExpiresSeconds(ok([['Min-Expires', '-1']]))).toBeUndefined()
  })

  it.each([
    { status: 401, withCredentials: true, failure: 'AuthFailed', lasting: true },
    { status: 407, withCredentials: true, failure: 'AuthFailed', lasting: true },
    { status: 403, withCredentials: true, failure: 'AuthFailed', lasting: true },
    { status: 403, withCredentials: false, failure: 'Rejected', lasting: true },
    { status: 401, withCredentials: false, failure: 'Rejected', lasting: true },
    { status: 404, withCredentials: true, failure: 'Rejected', lasting: true },
    { status: 603, withCredentials: true, failure: 'Rejected', lasting: true },
    { status: 500, withCredentials: true, failure: 'Rejected', lasting: false },
    { status: 503, withCredentials: false, failure: 'Rejected', lasting: false },
    { status: 408, withCredentials: false, failure: 'Rejected', lasting: false },
    { status: 480, withCredentials: false, failure: 'Rejected', lasting: false },
  ])('$status, credentials sent: $withCredentials, is $failure', ({ status, withCredentials, failure, lasting }) => {
    expect(refusalOf(status, withCredentials)).toEqual({ failure, lasting })
  })
})

describe('a challenge', () => {
  const challenge = (stale: boolean): Challenge => ({
    realm: 'r',
    nonce: 'n',
    opaque: undefined,
    algorithm: undefined,
    hash: 'md5',
    session: false,
    qop: undefined,
    stale,
  })

  it.each([
    { before: 0, stale: false, answered: true },
    { before: 0, stale: true, answered: true },
    { before: 1, stale: false, answered: false },
    { before: 1, stale: true, answered: true },
    { before: 3, stale: true, answered: false },
  ])('after $before answered, stale: $stale, is answered: $answered (RFC 7616 section 3.3)', (row) => {
    expect(mayAnswer(challenge(row.stale), row.before)).toBe(row.answered)
  })
})
