import { condition } from '#api/conditions.ts'
import type { Finding } from './check.ts'
import type { Problem, ResourceConditions, ResourceId } from './world.ts'

/** How many problems a condition spells out; the rest is counted. */
const shown = 5

/** What compiling one resource came to: its conditions, and its problems one by one. */
export interface Verdict {
  readonly conditions: ResourceConditions
  readonly problems: readonly Problem[]
}

/**
 * Turns findings into conditions. `used` says whether anything of the resource is in the configuration, or which generation
 * is there in its place.
 */
export function verdict(
  resource: ResourceId,
  findings: readonly (Finding & { readonly field: string })[],
  used: boolean | { readonly instead: number },
): Verdict {
  const unresolved = findings.filter((finding) => finding.unresolved !== undefined)
  const reason = unresolved[0]?.unresolved
  return {
    problems: findings.map(({ field, message, missing, limit }) => ({
      resource,
      field,
      message,
      ...(missing !== undefined && { missing }),
      ...(limit !== undefined && { limit }),
    })),
    conditions: {
      resource,
      accepted: accepted(findings, used),
      resolvedRefs:
        reason === undefined
          ? condition({
              type: 'ResolvedRefs',
              status: 'True',
              reason: 'ResolvedRefs',
              message: 'Every reference resolves.',
            })
          : condition({ type: 'ResolvedRefs', status: 'False', reason, message: spell(unresolved) }),
    },
  }
}

function accepted(
  findings: readonly (Finding & { readonly field: string })[],
  used: boolean | { readonly instead: number },
) {
  const type = 'Accepted'
  if (typeof used === 'object') {
    const message = `Not taken: ${spell(findings)} The last good one, of generation ${used.instead}, goes on.`
    return condition({ type, status: 'False', reason: 'Invalid', message })
  }
  if (!used) return condition({ type, status: 'False', reason: 'Invalid', message: `Left out: ${spell(findings)}` })
  if (findings.length === 0) {
    return condition({ type, status: 'True', reason: 'Accepted', message: 'All of it is in the configuration.' })
  }
  const leftOut = findings.filter(({ limit }) => limit === undefined)
  const limits = findings.filter(({ limit }) => limit !== undefined)
  const limited = limits.length === 0 ? '' : `All that is there is in the configuration, but: ${spell(limits)}`
  if (leftOut.length === 0) return condition({ type, status: 'True', reason: 'LimitedByEngine', message: limited })
  const message = [`Parts left out: ${spell(leftOut)}`, ...(limited === '' ? [] : [limited])].join(' ')
  return condition({ type, status: 'True', reason: 'PartiallyInvalid', message })
}

function spell(findings: readonly (Finding & { readonly field: string })[]): string {
  const lines = findings.slice(0, shown).map(({ field, message }) => sentence(`${field}: ${message}`))
  const more = findings.length - lines.length
  return [...lines, ...(more > 0 ? [`And ${more} more.`] : [])].join(' ')
}

/** Ends a text with a full stop, unless it ends as a sentence already. */
export function sentence(text: string): string {
  return /[.?!]$/.test(text) ? text : `${text}.`
}
