import { condition, type Condition, type Reason } from '#api/conditions.ts'
import type { SipTrunk, SipTrunkStatus, Target } from '#api/sip-trunk.ts'
import { located } from '../compile/located.ts'
import type { TrunkReports } from './reports-by-trunk.ts'
import { isoTime, listed } from './stamp.ts'

type TargetStatus = NonNullable<SipTrunkStatus['targets']>[number]

export interface Reachability {
  readonly condition: Condition<'Reachable'>
  readonly targets: TargetStatus[]
  /** As `1/2`. */
  readonly targetsUp: string
}

/** What all replicas together see of the trunk's targets. */
export function reachabilityOf(trunk: SipTrunk, reports: TrunkReports['targets']): Reachability {
  const seen = trunk.spec.targets.map((target) =>
    targetOf(
      located(target, trunk.spec.dns.mode),
      reports.filter(({ report }) => report.target === target.name),
    ),
  )
  const targets = seen.map(({ status }) => status)
  const up = targets.filter(({ state }) => state === 'Up').length
  return {
    condition: trunk.spec.keepalive.enabled ? reachable(seen) : unmonitored,
    targets,
    targetsUp: `${up}/${targets.length}`,
  }
}

const unmonitored = condition({
  type: 'Reachable',
  status: 'Unknown',
  reason: 'Unmonitored',
  message: 'Keepalive is off; targets are taken as up.',
})

interface SeenTarget {
  readonly status: TargetStatus
  readonly detail: string | undefined
}

/** Down when any replica that knows of it sees it down; up when one sees it up and none down. */
function targetOf(target: Target, reports: TrunkReports['targets']): SeenTarget {
  const states = reports.map(({ report }) => report.state)
  const state = states.includes('Down') ? 'Down' : states.includes('Up') ? 'Up' : 'Unknown'
  const telling = reports
    .map(({ report }) => report)
    .filter((report) => report.state === state)
    .sort((a, b) => b.since - a.since)[0]
  const prober = reports.find(({ report }) => report.probe !== undefined)?.replica
  const endpoints = [...new Set(reports.flatMap(({ report }) => report.endpoints ?? []))].sort()
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  return {
    detail: telling?.detail,
    status: {
      name: target.name,
      address: `${target.transport} ${host}${target.port === undefined ? '' : `:${target.port}`}`,
      state,
      ...(telling?.lastCode === undefined ? {} : { lastCode: telling.lastCode }),
      ...(telling?.failure === undefined ? {} : { failure: telling.failure }),
      ...(telling?.detail === undefined ? {} : { message: telling.detail }),
      ...(telling?.failures === undefined ? {} : { consecutiveFailures: telling.failures }),
      ...(endpoints.length === 0 ? {} : { endpoints: endpoints.slice(0, 16) }),
      ...(prober === undefined ? {} : { prober }),
      ...(telling === undefined ? {} : { lastTransitionTime: isoTime(telling.since) }),
      replicasUp: states.filter((other) => other === 'Up').length,
      replicasTotal: states.length,
    },
  }
}

function reachable(seen: readonly SeenTarget[]): Condition<'Reachable'> {
  const type = 'Reachable'
  const up = seen.filter(({ status }) => status.state === 'Up').length
  const summary = `${up} of ${seen.length} targets up`
  if (up === seen.length) return condition({ type, status: 'True', reason: 'AllTargetsUp', message: `${summary}.` })
  const troubles = seen.filter(({ status }) => status.state !== 'Up').map(trouble)
  const message = `${summary}; ${listed(troubles, 3)}`
  if (seen.some(({ status }) => status.replicasUp > 0)) {
    return condition({ type, status: 'True', reason: 'PartiallyUp', message })
  }
  if (seen.every(({ status }) => status.state === 'Down')) {
    return condition({ type, status: 'False', reason: causeOf(seen), message })
  }
  return condition({ type, status: 'Unknown', reason: 'Pending', message })
}

/** What to look after, when it is the same for all of them. */
function causeOf(seen: readonly SeenTarget[]): Reason<'Reachable'> {
  const failures = new Set(seen.map(({ status }) => status.failure))
  const [failure] = failures
  if (failures.size !== 1 || failure === undefined) return 'AllTargetsDown'
  return failure === 'Rejected' ? 'Rejected503' : failure
}

function trouble({ status, detail }: SeenTarget): string {
  if (status.state === 'Up') return `${status.name} (${status.address}) is down in part: ${detail ?? ''}`
  if (status.state === 'Unknown') return `${status.name} (${status.address}) has not answered yet`
  const others = status.replicasUp > 0 ? `, up on ${status.replicasUp} of ${status.replicasTotal} replicas` : ''
  const last = detail ?? (status.lastCode === undefined ? 'no answer' : `last answer ${status.lastCode}`)
  return `${status.name} (${status.address}) is down: ${last}${others}`
}
