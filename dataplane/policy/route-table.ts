import { fixedBeginning } from './fixed-beginning.ts'
import { type CompiledRoute, matches, type RoutedCall } from './route-match.ts'

/** The routes of a configuration. */
export interface RouteTable {
  /** All of them, in the order in which they are tried. */
  readonly inOrder: readonly CompiledRoute[]
  /** Those that a call takes, in that order. */
  matching(call: RoutedCall): CompiledRoute[]
}

/** Places in the order, by what the called number begins with. */
type ByBeginning = Map<string, number[]>

/**
 * Routes, given in the order in which they are tried, so that a call is compared only with those that are for its trunk
 * and whose pattern begins as its number does: of a thousand routes that is a handful.
 */
export function routeTable(inOrder: readonly CompiledRoute[]): RouteTable {
  const forAll: ByBeginning = new Map()
  const byTrunk = new Map<string, ByBeginning>()
  const lengths = new Set<number>()
  for (const [place, { config }] of inOrder.entries()) {
    const beginning = fixedBeginning(config.match.calledPattern ?? '')
    lengths.add(beginning.length)
    const { trunks } = config.match
    if (trunks === undefined) enter(forAll, beginning, place)
    else for (const trunk of new Set(trunks)) enter(entryOf(byTrunk, trunk), beginning, place)
  }
  return {
    inOrder,
    matching(call) {
      const places: number[] = []
      for (const table of [forAll, byTrunk.get(call.trunk)]) {
        if (table === undefined) continue
        for (const length of lengths) {
          if (length <= call.called.length) places.push(...(table.get(call.called.slice(0, length)) ?? []))
        }
      }
      return places
        .sort((a, b) => a - b)
        .flatMap((place) => inOrder[place] ?? [])
        .filter((route) => matches(route, call))
    },
  }
}

function entryOf(byTrunk: Map<string, ByBeginning>, trunk: string): ByBeginning {
  const known = byTrunk.get(trunk) ?? new Map<string, number[]>()
  byTrunk.set(trunk, known)
  return known
}

function enter(table: ByBeginning, beginning: string, place: number): void {
  const known = table.get(beginning)
  if (known === undefined) table.set(beginning, [place])
  else known.push(place)
}
