import { describe, expect, it } from 'vitest'
import {
  type KeepalivePolicy,
  probeInterval,
  type ProbeResult,
  step,
  type TargetHealth,
  unknownHealth,
} from './keepalive.ts'

const policy: KeepalivePolicy = {
  enabled: true,
  upIntervalSeconds: 60,
  downIntervalSeconds: 30,
  failureThreshold: 3,
  timeoutSeconds: 4,
  scope: 'Fleet' as const,
  failureCodes: [503, 505],
}

const answer = (status: number): ProbeResult => ({ kind: 'Answer', status, reason: 'Reason' })
const silence: ProbeResult = { kind: 'NoAnswer', detail: 'no answer' }
const notSent: ProbeResult = { kind: 'NotSent', detail: 'no SIP server' }

function after(...results: readonly ProbeResult[]): TargetHealth {
  return results.reduce((health, result) => step(health, result, policy), unknownHealth)
}

describe('a target', () => {
  it.each([200, 204, 302, 400, 401, 404, 405, 408, 486, 500, 501, 502, 504, 603])(
    'that answers %i is up, since only 503, 505 and silence are failures',
    (status) => {
      expect(after(answer(status))).toEqual({ state: 'Up', failures: 0, lastCode: status, detail: undefined })
    },
  )

  it.each([
    { name: '503', result: answer(503), lastCode: 503, failure: 'Rejected', detail: '503 Reason' },
    { name: '505', result: answer(505), lastCode: 505, failure: 'Rejected', detail: '505 Reason' },
    { name: 'silence', result: silence, lastCode: undefined, failure: 'NoAnswer', detail: 'no answer' },
  ])(
    'is down after as many failures by $name as the threshold says, and not before',
    ({ result, lastCode, failure, detail }) => {
      expect(after(answer(200), result, result)).toEqual({ state: 'Up', failures: 2, lastCode, failure, detail })
      expect(after(answer(200), result, result, result)).toEqual({
        state: 'Down',
        failures: 3,
        lastCode,
        failure,
        detail,
      })
    },
  )

  it('may count other codes as failures', () => {
    const strict = { ...policy, failureThreshold: 1, failureCodes: [403] }
    expect(step(unknownHealth, answer(403), strict).state).toBe('Down')
    expect(step(unknownHealth, answer(503), strict).state).toBe('Up')
  })

  it('counts failures of every kind together', () => {
    expect(after(answer(503), silence, answer(505)).state).toBe('Down')
  })

  it('is up again at the first success, and counts from nothing', () => {
    expect(after(silence, silence, silence, answer(200))).toMatchObject({ state: 'Up', failures: 0 })
    expect(after(silence, silence, answer(200), silence, silence).state).toBe('Up')
  })

  it('stays unknown until there were enough failures', () => {
    expect(after(silence, silence)).toMatchObject({ state: 'Unknown', failures: 2 })
    expect(after(silence, silence, silence).state).toBe('Down')
  })

  it('is not blamed for what did not leave', () => {
    expect(after(answer(200), notSent, notSent, notSent, notSent)).toEqual({
      state: 'Up',
      failures: 0,
      lastCode: 200,
      detail: 'no SIP server',
    })
  })

  it('does not count beyond the threshold, so that a higher one starts from there', () => {
    expect(after(silence, silence, silence, silence, silence).failures).toBe(3)
  })
})

describe('the time between probes', () => {
  it.each([
    { state: 'Up', random: 0.5, milliseconds: 60_000 },
    { state: 'Up', random: 0, milliseconds: 54_000 },
    { state: 'Up', random: 1, milliseconds: 66_000 },
    { state: 'Down', random: 0.5, milliseconds: 30_000 },
    { state: 'Unknown', random: 0.5, milliseconds: 30_000 },
  ] as const)('is $milliseconds ms in state $state where the dice show $random', ({ state, random, milliseconds }) => {
    expect(probeInterval({ ...unknownHealth, state }, policy, random)).toBeCloseTo(milliseconds, 6)
  })
})
