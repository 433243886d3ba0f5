import type { StatusCondition } from '#api/conditions.ts'
import type { Urgency } from '../kube/status-writer.ts'

/** Conditions that follow from what users do. */
const ofUsers = ['Accepted', 'ResolvedRefs', 'Programmed', 'Stalled']
/** Conditions that turn by themselves. */
const ofTheWorld = ['Registered', 'Reachable']

/** How soon a change of conditions is to be seen: who has just applied a manifest waits for it. */
export function urgencyOf(before: readonly StatusCondition[] | undefined, after: readonly StatusCondition[]): Urgency {
  const turned = (types: readonly string[]) => types.filter((type) => !isSame(find(before, type), find(after, type)))
  const byUsers = turned(ofUsers)
  const programmed = find(after, 'Programmed')
  const waits = programmed?.reason === 'Pending' || programmed?.reason === 'NoReplicas'
  if (byUsers.length === 0) return turned(ofTheWorld).length > 0 ? 'Turn' : 'Detail'
  // A replica that ends and comes back, which nobody may have wanted: as many statuses as there are trunks.
  if (waits && byUsers.join() === 'Programmed' && isOld(find(before, 'Programmed'), programmed)) return 'Turn'
  // Replicas answer within a fraction of a second, and then there is more to say.
  const isTaken = ['Accepted', 'ResolvedRefs'].every((type) => find(after, type)?.status === 'True')
  return isTaken && programmed?.reason === 'Pending' ? 'Soon' : 'Now'
}

function find(conditions: readonly StatusCondition[] | undefined, type: string): StatusCondition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

function isSame(one: StatusCondition | undefined, other: StatusCondition | undefined): boolean {
  return (
    one?.status === other?.status &&
    one?.reason === other?.reason &&
    one?.observedGeneration === other?.observedGeneration
  )
}

/** Whether this generation was run by all replicas already. */
function isOld(before: StatusCondition | undefined, after: StatusCondition): boolean {
  return before?.status === 'True' && before.observedGeneration === after.observedGeneration
}
