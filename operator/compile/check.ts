import type { Reason } from '#api/conditions.ts'

/** What a check found: the cause and the way out, and below which part of its input. */
export interface Finding {
  readonly message: string
  /** Field inside what was checked; absent for the whole of it. */
  readonly field?: string
  /** Set when an object that is referred to is missing something. */
  readonly unresolved?: Exclude<Reason<'ResolvedRefs'>, 'ResolvedRefs'>
  /** The object that does not exist, as `SipTrunk voice/carrier`. */
  readonly missing?: string
  /** Set when nothing is left out for it, but the chosen engine cannot do what is asked for. */
  readonly limit?: true
  /** Set when it only follows from other findings. */
  readonly follows?: true
}

/** Whether the manifest itself is wrong: no reference that may still come, and no limit of the engine. */
export function isFault({ unresolved, limit, follows }: Finding): boolean {
  return unresolved === undefined && limit === undefined && follows === undefined
}

/** Undefined means the check passed. */
export type Check<I> = (input: I) => Finding | undefined

/** A part of a resource on its way into the configuration. */
export interface Part<P, C> {
  readonly value: P
  /** Where it stands in the manifest, as `spec.targets[1]`. */
  readonly field: string
  readonly context: C
  /** The parts before it in the same list that passed. */
  readonly earlier: readonly Placed<P>[]
}

export interface Placed<P> {
  readonly value: P
  readonly field: string
}

/** The first thing that any of the checks finds. */
export function firstFinding<I>(input: I, checks: readonly Check<I>[]): Finding | undefined {
  for (const check of checks) {
    const finding = check(input)
    if (finding !== undefined) return finding
  }
  return undefined
}

/** The findings of one resource, in the order of its checks. */
export class Findings {
  readonly list: (Finding & { readonly field: string })[] = []

  /** Runs the checks; whether all passed. */
  passes<I>(input: I, field: string, checks: readonly Check<I>[]): boolean {
    const finding = firstFinding(input, checks)
    if (finding === undefined) return true
    this.list.push({ ...finding, field: finding.field === undefined ? field : `${field}.${finding.field}` })
    return false
  }

  /** Leaves out every part of a list for which a check finds something. */
  sift<P, C>(parts: readonly Placed<P>[], context: C, checks: readonly Check<Part<P, C>>[]): Placed<P>[] {
    const passed: Placed<P>[] = []
    for (const { value, field } of parts) {
      if (this.passes({ value, field, context, earlier: passed }, field, checks)) passed.push({ value, field })
    }
    return passed
  }
}

/** Gives every item of a list its path. */
export function placed<P>(items: readonly P[], field: string): Placed<P>[] {
  return items.map((value, index) => ({ value, field: `${field}[${index}]` }))
}
