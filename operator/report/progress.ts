import { condition, type AnyCondition, type StatusCondition } from '#api/conditions.ts'
import { stampConditions, type Stamp } from './stamp.ts'

/** A status as far as its conditions go. */
interface WithConditions {
  readonly conditions?: StatusCondition[] | undefined
}

/**
 * Adds what tools that follow kstatus look at, as Flux and Argo CD do: `Stalled` when only a change by the user can help,
 * else `Reconciling` until it is Ready. Abnormal-true conditions are there only while they hold. A reference to what does
 * not exist is no dead end, since it may be on its way; what else is wrong is not certain before it has come.
 */
export function withProgress<S extends WithConditions>(status: S, stamp: Stamp): S {
  const conditions = status.conditions ?? []
  const progress = progressOf(conditions)
  return progress === undefined
    ? status
    : { ...status, conditions: [...conditions, ...stampConditions([progress], stamp)] }
}

function progressOf(conditions: readonly StatusCondition[]): AnyCondition | undefined {
  const find = (type: string) => conditions.find((one) => one.type === type)
  const [ready, accepted, resolved, programmed] = ['Ready', 'Accepted', 'ResolvedRefs', 'Programmed'].map(find)
  if (ready?.status === 'True') return undefined
  if (resolved?.status === 'False') return progressing(`ResolvedRefs: ${resolved.message}`)
  if (accepted?.reason === 'Invalid' || accepted?.reason === 'PartiallyInvalid') {
    return condition({ type: 'Stalled', status: 'True', reason: 'NotAccepted', message: accepted.message })
  }
  if (programmed?.reason === 'RejectedByDataplane' || programmed?.reason === 'ResourcesRefused') {
    return condition({ type: 'Stalled', status: 'True', reason: 'Refused', message: programmed.message })
  }
  return progressing(ready?.message ?? 'Ready is not known yet.')
}

function progressing(message: string): AnyCondition {
  return condition({ type: 'Reconciling', status: 'True', reason: 'Progressing', message })
}

/** The status of an object that this release cannot read. */
export function unreadableStatus(problem: string, stamp: Stamp) {
  const message = `Left out: ${problem}`
  const conditions = stampConditions(
    [
      condition({ type: 'Accepted', status: 'False', reason: 'Invalid', message }),
      condition({ type: 'Programmed', status: 'False', reason: 'NotAccepted', message: 'What ran before goes on.' }),
      condition({ type: 'Ready', status: 'False', reason: 'NotAccepted', message: `Accepted: ${message}` }),
    ],
    stamp,
  )
  return { observedGeneration: stamp.generation, conditions }
}
