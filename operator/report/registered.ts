import { condition, type Condition, type Reason } from '#api/conditions.ts'
import type { Account, Registrar, Registration, SipTrunk, SipTrunkStatus } from '#api/sip-trunk.ts'
import type { RegistrationReport } from '#api/wire.ts'
import type { By, TrunkReports } from './reports-by-trunk.ts'
import { isoTime, listed } from './stamp.ts'

type RegistrationStatus = NonNullable<SipTrunkStatus['registrations']>[number]

export interface RegistrationView {
  readonly condition: Condition<'Registered'>
  /** Absent when the trunk has no registration. */
  readonly registrations?: RegistrationStatus[]
}

/** How many registrations a status shows. */
const shownRegistrations = 64

/** What one replica takes away another one is about to bring, or nobody wants: it says nothing of the trunk. */
type Present = RegistrationReport & { readonly state: Exclude<RegistrationReport['state'], 'Leaving'> }

interface Seen {
  readonly account: string
  readonly registrar: string
  readonly replica: string
  readonly report: Present | undefined
}

/** What all replicas together know of the trunk's registrations: every account with every registrar. */
export function registrationsOf(trunk: SipTrunk, all: TrunkReports['registrations']): RegistrationView {
  const { registration } = trunk.spec
  if (registration === undefined) {
    const message = 'The trunk has no registration.'
    return { condition: condition({ type: 'Registered', status: 'Unknown', reason: 'NotConfigured', message }) }
  }
  const reports = bestOf(all)
  const seen = registration.accounts.flatMap((account) =>
    registrarsOf(account, registration).map((registrar): Seen => {
      const best = reports.get(`${account.name}/${registrar.name}`)
      return { account: account.name, registrar: registrar.name, replica: best?.replica ?? '', report: best?.report }
    }),
  )
  const inTroubleFirst = seen.toSorted((a, b) => rank(a.report) - rank(b.report))
  return { condition: registered(seen), registrations: inTroubleFirst.slice(0, shownRegistrations).map(statusOf) }
}

function registrarsOf({ registrarNames }: Account, { registrars }: Registration): readonly Registrar[] {
  return registrars.filter(({ name }) => registrarNames === undefined || registrarNames.includes(name))
}

/** While an account moves from one replica to another both report it; a binding in place is what counts. */
function bestOf(reports: TrunkReports['registrations']): Map<string, By<Present>> {
  const best = new Map<string, By<Present>>()
  for (const { replica, report } of reports) {
    if (!isPresent(report)) continue
    const key = `${report.account}/${report.registrar}`
    const other = best.get(key)?.report
    if (other === undefined || isBetter(report, other)) best.set(key, { replica, report })
  }
  return best
}

function isPresent(report: RegistrationReport): report is Present {
  return report.state !== 'Leaving'
}

function isBetter(report: Present, other: Present): boolean {
  const difference = rank(report) - rank(other)
  return difference === 0 ? (report.expiresAt ?? 0) > (other.expiresAt ?? 0) : difference > 0
}

/** From the worst to the best. */
function rank(report: Present | undefined): number {
  return { Unregistered: 0, Pending: 1, Standby: 2, Registered: 3 }[report?.state ?? 'Pending']
}

function statusOf({ account, registrar, replica, report }: Seen): RegistrationStatus {
  const detail = detailOf(report)
  return {
    account,
    registrar,
    state: report?.state ?? 'Pending',
    ...(report === undefined ? {} : { lastTransitionTime: isoTime(report.since) }),
    ...(report?.failure === undefined ? {} : { failure: report.failure }),
    ...(detail === undefined ? {} : { message: detail }),
    ...(report?.lastCode === undefined ? {} : { lastCode: report.lastCode }),
    ...(report?.expiresAt === undefined ? {} : { expirationTime: isoTime(report.expiresAt) }),
    replica,
  }
}

function registered(seen: readonly Seen[]): Condition<'Registered'> {
  const type = 'Registered'
  const wanted = seen.filter(({ report }) => report?.state !== 'Standby')
  const inPlace = wanted.filter(({ report }) => report?.state === 'Registered')
  const summary = `${inPlace.length} of ${wanted.length} registrations in place`
  if (inPlace.length === wanted.length) {
    return condition({ type, status: 'True', reason: 'Registered', message: `${summary}.` })
  }
  const failed = wanted.filter(({ report }) => report?.state === 'Unregistered')
  if (failed.length === 0) {
    const message = `${summary}; the others have not been answered yet`
    // Nothing failed, so there is nothing to be alarmed about.
    return condition({ type, status: 'Unknown', reason: 'Pending', message })
  }
  const message = `${summary}; ${listed(failed.map(trouble), 3)}`
  if (inPlace.length === 0) return condition({ type, status: 'False', reason: reasonOf(failed), message })
  // One registrar down does not flap the trunk (feature item 24): calls still find every account.
  const found = new Set(inPlace.map(({ account }) => account))
  const status = failed.every(({ account }) => found.has(account)) ? 'True' : 'False'
  return condition({ type, status, reason: 'Partial', message })
}

/** Wrong credentials before silence before anything else: the first is what a user can mend. */
function reasonOf(failed: readonly Seen[]): Reason<'Registered'> {
  const failures = failed.map(({ report }) => report?.failure)
  if (failures.includes('AuthFailed')) return 'AuthFailed'
  for (const failure of ['TlsFailed', 'NameNotResolved'] as const) if (failures.includes(failure)) return failure
  return failures.includes('NoAnswer') ? 'NoAnswer' : 'Unregistered'
}

/** A binding that was not renewed in time has no failure yet: the last answer was a good one. */
function detailOf(report: Present | undefined): string | undefined {
  if (report === undefined || report.detail !== undefined) return report?.detail
  const lapsed = report.state === 'Unregistered' && report.failure === undefined && report.lastCode !== undefined
  return lapsed ? `lapsed at ${isoTime(report.since)}` : undefined
}

function trouble({ account, registrar, replica, report }: Seen): string {
  const last = detailOf(report) ?? (report?.lastCode === undefined ? 'no answer' : `last answer ${report.lastCode}`)
  return `${account} with ${registrar} from ${replica}: ${last}`
}
