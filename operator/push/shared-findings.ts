import type { Finding, ReplicaReport, TargetReport } from '#api/wire.ts'
import type { Clock } from '#lib/clock.ts'

/** How long a finding outlives the last report of it: a prober that died is replaced in that time. In milliseconds. */
const keptMilliseconds = 120_000

interface Known {
  readonly finding: Finding
  readonly text: string
  readonly replica: string
  seenAt: number
}

/** What the probers of one fleet have found, gathered from their reports, for the other replicas to know. */
export class SharedFindings {
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get all(): Finding[] {
    return [...this.#known.values()].map(({ finding }) => finding)
  }

  /** Takes in what a replica reports, all of it, and gives back what is new. */
  take(replica: string, { targets }: Pick<ReplicaReport, 'targets'>): Finding[] {
    const now = this.#clock.now()
    const changed: Finding[] = []
    for (const report of targets) {
      if (report.probe === undefined) continue
      const known = this.#known.get(report.probe)
      const finding = findingOf(report, report.probe)
      const text = JSON.stringify(finding)
      if (known?.text === text) {
        known.seenAt = now
        continue
      }
      // While a peer passes to another prober both may report; the later change is the truer.
      if (known !== undefined && known.replica !== replica && known.finding.since > finding.since) continue
      this.#known.set(report.probe, { finding, text, replica, seenAt: now })
      changed.push(finding)
    }
    for (const [probe, { seenAt }] of this.#known) if (now - seenAt > keptMilliseconds) this.#known.delete(probe)
    return changed
  }
}

function findingOf({ state, since, lastCode, failure, detail, downAddresses }: TargetReport, probe: string): Finding {
  return {
    probe,
    state,
    since,
    ...(lastCode === undefined ? {} : { lastCode }),
    ...(failure === undefined ? {} : { failure }),
    ...(detail === undefined ? {} : { detail }),
    ...(downAddresses === undefined ? {} : { downAddresses }),
  }
}
