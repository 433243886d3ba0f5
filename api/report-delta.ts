import type { RegistrationReport, ReplicaReport, Report, TargetReport } from './wire.ts'

/** What a replica reports and the control side remembers, both as differences: one that is made, one that is taken. */

/** Names a target or a registration in a report. */
function keyOf(report: TargetReport | RegistrationReport): string {
  return 'target' in report
    ? `${report.trunk}/${report.target}`
    : `${report.trunk}/${report.account}/${report.registrar}`
}

/** Makes reports of what has changed since the one before. */
export class ReportSource {
  #told = new Map<string, string>()
  #calls: number | undefined

  /** Everything. What comes next is told as the difference to this. */
  whole(now: ReplicaReport): Report {
    this.#told = new Map()
    this.#calls = undefined
    return { ...(this.changes(now) ?? this.#nothing(now)), whole: true }
  }

  /** What has changed; undefined when nothing has. */
  changes(now: ReplicaReport): Report | undefined {
    const told = new Map<string, string>()
    const isNew = (report: TargetReport | RegistrationReport) => {
      const key = keyOf(report)
      const text = JSON.stringify(report)
      told.set(key, text)
      return this.#told.get(key) !== text
    }
    const targets = now.targets.filter(isNew)
    const registrations = now.registrations.filter(isNew)
    const gone = [...this.#told.keys()].filter((key) => !told.has(key))
    const same = targets.length + registrations.length + gone.length === 0 && now.calls === this.#calls
    this.#told = told
    this.#calls = now.calls
    return same ? undefined : { ...this.#nothing(now), targets, registrations, gone }
  }

  /** A report that says only that the replica is there. */
  beat(now: ReplicaReport): Report {
    return this.changes(now) ?? this.#nothing(now)
  }

  #nothing({ calls }: ReplicaReport): Report {
    return { type: 'report', whole: false, targets: [], registrations: [], gone: [], calls }
  }
}

/** Puts the reports of one replica together. */
export class ReportSum {
  readonly #targets = new Map<string, TargetReport>()
  readonly #registrations = new Map<string, RegistrationReport>()
  #sum: ReplicaReport | undefined

  /** Undefined before the first report. */
  get current(): ReplicaReport | undefined {
    return this.#sum
  }

  take({ whole, targets, registrations, gone, calls }: Report): void {
    if (whole) {
      this.#targets.clear()
      this.#registrations.clear()
    }
    for (const key of gone) {
      this.#targets.delete(key)
      this.#registrations.delete(key)
    }
    for (const target of targets) this.#targets.set(keyOf(target), target)
    for (const registration of registrations) this.#registrations.set(keyOf(registration), registration)
    this.#sum = { targets: [...this.#targets.values()], registrations: [...this.#registrations.values()], calls }
  }
}
