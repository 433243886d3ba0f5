import { RE2JS } from 're2js'
import type { RouteConfig } from '#api/snapshot.ts'
import { fixedBeginning } from './fixed-beginning.ts'
import type { CompiledRoute } from './route-match.ts'
import { type RouteTable, routeTable } from './route-table.ts'

/**
 * Compiles the patterns of all routes and puts the routes in the order in which they are tried. Throws an `Error` that
 * names route and field when a pattern is not RE2.
 */
export function compileRoutes(routes: readonly RouteConfig[]): RouteTable {
  return routeTable([...routes].sort(compareRoutes).map(compileRoute))
}

/** Throws an `Error` that names the field when a pattern is not RE2. */
export function compileRoute(config: RouteConfig): CompiledRoute {
  const { calledPattern, callingPattern } = config.match
  return {
    config,
    called: compilePattern(config.name, 'calledPattern', calledPattern),
    calling: compilePattern(config.name, 'callingPattern', callingPattern),
  }
}

/** Lower priority first, then the longest fixed beginning of calledPattern, then most conditions, then by name. */
export function compareRoutes(a: RouteConfig, b: RouteConfig): number {
  return (
    a.priority - b.priority ||
    fixedBeginning(b.match.calledPattern ?? '').length - fixedBeginning(a.match.calledPattern ?? '').length ||
    conditions(b) - conditions(a) ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  )
}

function conditions({ match }: RouteConfig): number {
  return [match.trunks, match.calledPattern, match.callingPattern].filter((condition) => condition !== undefined).length
}

function compilePattern(route: string, field: string, pattern: string | undefined) {
  if (pattern === undefined) return undefined
  try {
    const compiled = RE2JS.compile(pattern)
    return (number: string) => compiled.matches(number)
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error)
    throw new Error(`route ${route}: match.${field} is not a regular expression in RE2 syntax: ${cause}`, {
      cause: error,
    })
  }
}
