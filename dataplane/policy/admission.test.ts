import { describe, expect, it } from 'vitest'
import { AdmissionControl } from './admission.ts'

function control(counts: { all?: number; from?: number; to?: number } = {}): AdmissionControl {
  const { all = 0, from = 0, to = 0 } = counts
  return new AdmissionControl({ all: () => all, from: () => from, to: () => to })
}

describe('how many calls may begin (feature item 29.3)', () => {
  it('is any number without limits', () => {
    const many = control({ all: 1_000_000, from: 1_000_000, to: 1_000_000 })
    for (const limits of [undefined, {}]) {
      expect(many.refusalFrom('carrier', limits, limits, 0)).toBeUndefined()
      expect(many.refusalTo('carrier', limits, 0)).toBeUndefined()
    }
  })

  it('is maxCalls of the fleet, whatever trunk they come from', () => {
    expect(control({ all: 1 }).refusalFrom('carrier', undefined, { maxCalls: 2 }, 0)).toBeUndefined()
    expect(control({ all: 2 }).refusalFrom('carrier', undefined, { maxCalls: 2 }, 0)).toBe(
      'the fleet: there are 2 at this replica, and may be 2',
    )
  })

  it('is maxCallsInbound from a trunk, maxCallsOutbound to it, and maxCalls of both together', () => {
    const limits = { maxCallsInbound: 2, maxCallsOutbound: 3, maxCalls: 4 }
    expect(control({ from: 1 }).refusalFrom('carrier', limits, undefined, 0)).toBeUndefined()
    expect(control({ from: 2 }).refusalFrom('carrier', limits, undefined, 0)).toBe(
      'calls from trunk carrier: there are 2 at this replica, and may be 2',
    )
    expect(control({ from: 1, to: 2 }).refusalTo('carrier', limits, 0)).toBeUndefined()
    expect(control({ to: 3 }).refusalTo('carrier', limits, 0)).toBe(
      'calls to trunk carrier: there are 3 at this replica, and may be 3',
    )
    for (const which of ['refusalFrom', 'refusalTo'] as const) {
      const full = control({ from: 1, to: 3 })
      const refusal =
        which === 'refusalTo' ? full.refusalTo('carrier', limits, 0) : full.refusalFrom('carrier', limits, undefined, 0)
      expect(refusal).toBe('calls with trunk carrier: there are 4 at this replica, and may be 4')
    }
  })

  it('is callsPerSecond in the long run and burst at once: from a trunk, to it, and of the fleet', () => {
    const one = control()
    const begun = (refusal: () => string | undefined) =>
      Array.from({ length: 20 }, refusal).filter((why) => why === undefined).length
    const limits = { callsPerSecond: 10, burst: 3, callsPerSecondOutbound: 20, burstOutbound: 4 }
    const from = (trunk: string, now: number) => begun(() => one.refusalFrom(trunk, limits, undefined, now))
    const to = (trunk: string, now: number) => begun(() => one.refusalTo(trunk, limits, now))
    const fleet = (now: number) =>
      begun(() => one.refusalFrom('other', undefined, { callsPerSecond: 5, burst: 6 }, now))
    expect([from('carrier', 0), from('pbx', 0), to('carrier', 0), fleet(0)]).toEqual([3, 3, 4, 6])
    expect([from('carrier', 200), to('carrier', 200), fleet(200)]).toEqual([2, 4, 1])
  })
})
