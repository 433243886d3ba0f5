import type { StatusCondition } from '#api/conditions.ts'
import type { Occurrence } from '../kube/events.ts'

type Told = Pick<Occurrence, 'type' | 'reason' | 'action'>

/** What users are told of when a condition turns, by its type and new status; only what somebody would act on. */
const told: Readonly<Record<string, Partial<Record<StatusCondition['status'], Told>>>> = {
  Accepted: { False: { type: 'Warning', reason: 'NotAccepted', action: 'Compile' } },
  ResolvedRefs: { False: { type: 'Warning', reason: 'ReferenceNotResolved', action: 'Compile' } },
  Stalled: { True: { type: 'Warning', reason: 'Stalled', action: 'Program' } },
  Ready: { True: { type: 'Normal', reason: 'Ready', action: 'Program' } },
  Registered: {
    True: { type: 'Normal', reason: 'Registered', action: 'Register' },
    False: { type: 'Warning', reason: 'RegistrationFailed', action: 'Register' },
  },
  Reachable: {
    True: { type: 'Normal', reason: 'TrunkReachable', action: 'Probe' },
    False: { type: 'Warning', reason: 'TrunkUnreachable', action: 'Probe' },
  },
}

/** The events that a change of conditions makes. A condition seen for the first time counts when it is bad. */
export function occurrencesOf(
  before: readonly StatusCondition[] | undefined,
  after: readonly StatusCondition[],
): Omit<Occurrence, 'regarding'>[] {
  return after.flatMap(({ type, status, message }) => {
    const event = told[type]?.[status]
    const old = before?.find((one) => one.type === type)?.status
    if (event === undefined || old === status || (old === undefined && event.type === 'Normal')) return []
    return [{ ...event, note: message }]
  })
}
