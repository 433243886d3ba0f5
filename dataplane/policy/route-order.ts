import { RE2JS } from 're2js'
import type { RouteConfig } from '#api/snapshot.ts'
import type { CompiledRoute } from '../config/running.ts'

/**
 * Compiles the patterns of all routes and puts the routes in the order in which they are tried. Throws an `Error` that
 * names route and field when a pattern is not RE2.
 */
export function compileRoutes(routes: readonly RouteConfig[]): CompiledRoute[] {
  return [...routes].sort(compareRoutes).map(compileRoute)
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

/** The text that every number matching the pattern begins with, as far as can be read from the pattern's beginning. */
export function fixedBeginning(pattern: string): string {
  // What is fixed in one alternative need not be in the other.
  if (hasTopLevelAlternative(pattern)) return ''
  let fixed = ''
  let at = pattern.startsWith('^') ? 1 : 0
  while (at < pattern.length) {
    const escaped = pattern[at] === '\\'
    const character = escaped ? pattern[at + 1] : pattern[at]
    const literal = escaped ? /^[^A-Za-z0-9]$/ : /^[^.^$*+?()[\]{}|\\]$/
    if (character === undefined || !literal.test(character)) break
    at += escaped ? 2 : 1
    const quantifier = pattern[at]
    if (quantifier === '?' || quantifier === '*' || quantifier === '{') break
    fixed += character
    if (quantifier === '+') break
  }
  return fixed
}

function hasTopLevelAlternative(pattern: string): boolean {
  let depth = 0
  let inClass = false
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]
    if (character === '\\') at++
    else if (inClass) inClass = character !== ']'
    else if (character === '[') inClass = true
    else if (character === '(') depth++
    else if (character === ')') depth--
    else if (character === '|' && depth === 0) return true
  }
  return false
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
