import type { AnyCondition, StatusCondition } from '#api/conditions.ts'

const messageLength = 1_000

export interface Stamp {
  readonly generation: number
  readonly previous: readonly StatusCondition[] | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * Adds what a condition in a status has besides: the generation it speaks of, and when its status last changed.
 *
 * > lastTransitionTime is the last time the condition transitioned from one status to another.
 *
 * (Kubernetes API conventions, "Typical status properties"): another reason or message is no transition.
 */
export function stampConditions(conditions: readonly AnyCondition[], stamp: Stamp): StatusCondition[] {
  return conditions.map(({ type, status, reason, message }) => {
    const before = stamp.previous?.find((condition) => condition.type === type)
    return {
      type,
      status,
      reason,
      message: shorten(message, messageLength),
      observedGeneration: stamp.generation,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : isoTime(stamp.now),
    }
  })
}

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

/** The first few, and how many more there are. */
export function listed(parts: readonly string[], most: number): string {
  const shown = parts.slice(0, most).join('; ')
  return parts.length > most ? `${shown}; and ${parts.length - most} more` : shown
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text
}
