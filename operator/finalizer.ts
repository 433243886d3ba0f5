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
 * outside. It goes when no connected replica runs the trunk any more, or at the deadline.
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
  const isRun = replicas.some(({ versions }) => versions.has(`Trunk/${name}`))
  return isRun && left > 0 ? { do: 'wait', milliseconds: left } : without
}
