import { describe, expect, it } from 'vitest'
import { AdmissionControl } from './admission.ts'

describe('how many calls a trunk may begin (feature item 29.3)', () => {
  it('is any number without limits', () => {
    const control = new AdmissionControl()
    expect(control.refusal('carrier', undefined, 1_000_000, 0)).toBeUndefined()
    expect(control.refusal('carrier', {}, 1_000_000, 0)).toBeUndefined()
  })

  it('is maxCallsInbound at once; the message says how many there are', () => {
    const control = new AdmissionControl()
    const limits = { maxCallsInbound: 2 }
    expect(control.refusal('carrier', limits, 1, 0)).toBeUndefined()
    expect(control.refusal('carrier', limits, 2, 0)).toBe('trunk carrier has 2 calls at this replica, and may have 2')
  })

  it('is callsPerSecond in the long run and burst at once, for each trunk of its own', () => {
    const control = new AdmissionControl()
    const limits = { callsPerSecond: 10, burst: 3 }
    const begun = (trunk: string, now: number) =>
      Array.from({ length: 20 }, () => control.refusal(trunk, limits, 0, now)).filter((why) => why === undefined).length
    expect(begun('carrier', 0)).toBe(3)
    expect(begun('pbx', 0)).toBe(3)
    expect(begun('carrier', 200)).toBe(2)
  })
})
