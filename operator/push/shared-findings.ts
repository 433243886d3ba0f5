import type { Binding, Finding, Findings, RegistrationReport, ReplicaReport, TargetReport } from '#api/wire.ts'
import type { Clock } from '#lib/clock.ts'

/** How long a finding outlives the last report of it: a prober that died is replaced in that time. In milliseconds. */
const keptMilliseconds = 120_000

interface Known {
  readonly finding: Finding
  readonly text: string
  readonly replica: string
  seenAt: number
}

/** What is told to the replicas. */
export type News = Pick<Findings, 'findings' | 'bindings'>

/** What the probers and registrants of one fleet have found, gathered from their reports, for all replicas to know. */
export class SharedFindings {
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()
  readonly #bindings = new Map<string, Binding>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get all(): News {
    return {
      findings: [...this.#known.values()].map(({ finding }) => finding),
      bindings: [...this.#bindings.values()].filter(({ expiresAt }) => expiresAt > this.#clock.wallTime()),
    }
  }

  /** Takes in what a replica reports, all of it, and gives back what is new. */
  take(replica: string, { targets, registrations }: Pick<ReplicaReport, 'targets' | 'registrations'>): News {
    return { findings: this.#takeTargets(replica, targets), bindings: this.#takeBindings(replica, registrations) }
  }

  #takeTargets(replica: string, targets: readonly TargetReport[]): Finding[] {
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

  /** Of two replicas that both hold one, the later REGISTER is the one that the registrar has. */
  #takeBindings(replica: string, registrations: readonly RegistrationReport[]): Binding[] {
    const changed: Binding[] = []
    for (const { trunk, account, registrar, binding } of registrations) {
      const key = `${trunk}/${account}/${registrar}`
      const known = this.#bindings.get(key)
      if (binding === undefined) {
        if (known?.replica !== replica) continue
        this.#bindings.delete(key)
        changed.push({ ...known, expiresAt: 0 })
      } else {
        const isOlder = known !== undefined && known.replica !== replica && !isLater(binding, known)
        const isSame = known?.cseq === binding.cseq && known.callId === binding.callId && known.replica === replica
        if (isOlder || isSame) continue
        const next = { trunk, account, registrar, replica, ...binding }
        this.#bindings.set(key, next)
        changed.push(next)
      }
    }
    return changed
  }
}

function isLater(one: RegistrationReport['binding'] & object, other: Binding): boolean {
  return one.callId === other.callId ? one.cseq > other.cseq : one.expiresAt > other.expiresAt
}

function findingOf({ state, since, lastCode, failure, detail, downEndpoints }: TargetReport, probe: string): Finding {
  return {
    probe,
    state,
    since,
    ...(lastCode === undefined ? {} : { lastCode }),
    ...(failure === undefined ? {} : { failure }),
    ...(detail === undefined ? {} : { detail }),
    ...(downEndpoints === undefined ? {} : { downEndpoints }),
  }
}
