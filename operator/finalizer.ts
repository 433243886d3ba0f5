import type { KubeObject } from './kube/resource.ts'
import type { ReplicaState } from './push/replica-state.ts'

/** Holds a SipTrunk back until replicas have stopped to register it. */
export const unregisterFinalizer = 'sbcfleet.dev/unregister'

/** How long replicas are given, in milliseconds, before the trunk goes anyway. */
export const unregisterDeadline = 30_000

export type FinalizerStep =
  | { readonly do: 'nothing' }
  | { readonly do: 'write'; readonly finalizers: readonly string[] }
  | { readonly do: 'wait'; readonly milliseconds: number }

/**
 * What is to be done about the finalizer of a trunk. Only one that registers has it, since nothing else is left behind
 * outside. It goes when no connected replica runs the trunk any more and the registrars have answered, or at the deadline.
 */
export function finalizerStep(
  { metadata }: KubeObject,
  { registers, replicas, now }: { registers: boolean; replicas: readonly ReplicaState[]; now: number },
): FinalizerStep {
  const { finalizers = [], deletionTimestamp, name } = metadata
  const has = finalizers.includes(unregisterFinalizer)
  const without: FinalizerStep = { do: 'write', finalizers: finalizers.filter((one) => one !== unregisterFinalizer) }
  if (deletionTimestamp === undefined) {
    if (has === registers) return { do: 'nothing' }
    return registers ? { do: 'write', finalizers: [...finalizers, unregisterFinalizer] } : without
  }
  if (!has) return { do: 'nothing' }
  const left = Date.parse(deletionTimestamp) + unregisterDeadline - now
  return left > 0 && replicas.some((replica) => holds(replica, name)) ? { do: 'wait', milliseconds: left } : without
}

/** Whether something of the trunk may be left at this replica or through it; one that has not reported may have it. */
function holds({ versions, report }: ReplicaState, trunk: string): boolean {
  if (versions.has(`Trunk/${trunk}`) || report === undefined) return true
  return report.registrations.some((one) => one.trunk === trunk && one.state !== 'Standby')
}
