import { describe, expect, it } from 'vitest'
import { ReportSource, ReportSum } from './report-delta.ts'
import type { RegistrationReport, ReplicaReport, TargetReport } from './wire.ts'

const target = (name: string, state: TargetReport['state']): TargetReport => ({
  trunk: 'a',
  target: name,
  state,
  since: 1,
})
const registration: RegistrationReport = { trunk: 'a', account: 'b', registrar: 'c', state: 'Pending', since: 0 }

const first: ReplicaReport = {
  targets: [target('x', 'Up'), target('y', 'Up')],
  registrations: [registration],
  calls: 1,
}
const second: ReplicaReport = { targets: [target('x', 'Down')], registrations: [registration], calls: 1 }

describe('reports', () => {
  it('tell what has changed and what is gone, and add up to the whole', () => {
    const source = new ReportSource()
    const sum = new ReportSum()
    sum.take(source.whole(first))
    expect(sum.current).toEqual(first)
    const change = source.changes(second)
    expect(change).toMatchObject({ whole: false, targets: [target('x', 'Down')], registrations: [], gone: ['a/y'] })
    if (change !== undefined) sum.take(change)
    expect(sum.current).toEqual(second)
  })

  it('are not made when nothing has changed, but for the beat', () => {
    const source = new ReportSource()
    source.whole(first)
    expect(source.changes(first)).toBeUndefined()
    expect(source.beat(first)).toMatchObject({ whole: false, targets: [], gone: [], calls: 1 })
    expect(source.changes({ ...first, calls: 2 })?.calls).toBe(2)
  })

  it('that are whole replace everything before', () => {
    const sum = new ReportSum()
    sum.take(new ReportSource().whole(first))
    sum.take(new ReportSource().whole(second))
    expect(sum.current).toEqual(second)
  })
})
