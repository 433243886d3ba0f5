import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { ReplicaState } from '../push/replica-state.ts'

/** What replicas report of one trunk. */
export interface TrunkReports {
  readonly targets: readonly (TargetReport & { readonly replica: string })[]
  readonly registrations: readonly { readonly replica: string; readonly report: RegistrationReport }[]
}

const nothing: TrunkReports = { targets: [], registrations: [] }

/**
 * Everything that replicas report, by trunk. Made once for all trunks of a fleet: thousands of targets are not looked
 * through again for each of them.
 */
export function reportsByTrunk(replicas: readonly ReplicaState[]): (trunk: string) => TrunkReports {
  const byTrunk = new Map<
    string,
    { targets: TrunkReports['targets'][number][]; registrations: TrunkReports['registrations'][number][] }
  >()
  const of = (trunk: string) => {
    const known = byTrunk.get(trunk) ?? { targets: [], registrations: [] }
    byTrunk.set(trunk, known)
    return known
  }
  for (const { replica, report } of replicas) {
    for (const target of report?.targets ?? []) of(target.trunk).targets.push({ ...target, replica })
    for (const registration of report?.registrations ?? []) {
      of(registration.trunk).registrations.push({ replica, report: registration })
    }
  }
  return (trunk) => byTrunk.get(trunk) ?? nothing
}
