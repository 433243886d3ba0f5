import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { ReplicaState } from '../push/replica-state.ts'

/** What replicas report of one trunk. */
export interface TrunkReports {
  readonly targets: readonly By<TargetReport>[]
  readonly registrations: readonly By<RegistrationReport>[]
}

/** A report, and whose it is. Reports are replaced, never changed, so equal ones are the same ones. */
export interface By<R> {
  readonly replica: string
  readonly report: R
}

const nothing: TrunkReports = { targets: [], registrations: [] }

/**
 * Everything that replicas report, by trunk. Made once for all trunks of a fleet: thousands of targets are not looked
 * through again for each of them.
 */
export function reportsByTrunk(replicas: readonly ReplicaState[]): (trunk: string) => TrunkReports {
  const byTrunk = new Map<string, { targets: By<TargetReport>[]; registrations: By<RegistrationReport>[] }>()
  const of = (trunk: string) => {
    const known = byTrunk.get(trunk)
    if (known !== undefined) return known
    const made = { targets: [], registrations: [] }
    byTrunk.set(trunk, made)
    return made
  }
  for (const { replica, report: { targets = [], registrations = [] } = {} } of replicas) {
    for (const report of targets) of(report.trunk).targets.push({ replica, report })
    for (const report of registrations) of(report.trunk).registrations.push({ replica, report })
  }
  return (trunk) => byTrunk.get(trunk) ?? nothing
}

/** Whether two say the same by the same. */
export function isSame(one: TrunkReports, other: TrunkReports): boolean {
  return areSame(one.targets, other.targets) && areSame(one.registrations, other.registrations)
}

function areSame<R>(some: readonly By<R>[], others: readonly By<R>[]): boolean {
  if (some.length !== others.length) return false
  return some.every(({ replica, report }, index) => {
    const other = others[index]
    return other?.report === report && other?.replica === replica
  })
}
