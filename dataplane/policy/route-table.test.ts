import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { RouteConfig } from '#api/snapshot.ts'
import { matches } from './route-match.ts'
import { compileRoutes } from './route-order.ts'
import { routeTable } from './route-table.ts'

function route(name: string, match: RouteConfig['match'], priority = 100): RouteConfig {
  const targets = [{ trunk: 'carrier', priority: 0, weight: 1, sip: builtInBehaviour }]
  return { type: 'Route', name, match, priority, targets, inbound: {} }
}

const names = (found: readonly { config: RouteConfig }[]) => found.map(({ config }) => config.name)

describe('the table of routes', () => {
  it('finds what looking at every route finds, in the same order', () => {
    const patterns = [
      undefined,
      '.*',
      '4.*',
      '49.*',
      '\\+49[0-9]+',
      '49|48.*',
      '4989?1',
      '[45]9.*',
      'alice',
      '\\+?49.*',
    ]
    const trunks = [undefined, ['pbx'], ['carrier'], ['pbx', 'carrier', 'pbx'], []]
    const table = compileRoutes(
      patterns.flatMap((calledPattern, one) =>
        trunks.map((from, other) =>
          route(
            `r${one}-${other}`,
            { ...(calledPattern && { calledPattern }), ...(from && { trunks: from }) },
            one % 3,
          ),
        ),
      ),
    )
    for (const called of ['', '4', '49', '4989', '498', '4981', '+49891', '48', '59', 'alice', 'bob']) {
      for (const trunk of ['pbx', 'carrier', 'other']) {
        const call = { trunk, called, calling: '1' }
        expect(names(table.matching(call))).toEqual(names(table.inOrder.filter((one) => matches(one, call))))
      }
    }
  })

  it('compares a call with a handful of a thousand routes', () => {
    let compared = 0
    const compiled = compileRoutes(
      Array.from({ length: 1000 }, (_, at) => route(`r${at}`, { calledPattern: `49${String(at).padStart(3, '0')}.*` })),
    ).inOrder.map(({ config, called, calling }) => ({
      config,
      calling,
      called: (number: string) => {
        compared++
        return called?.(number) ?? true
      },
    }))
    const call = { trunk: 'pbx', called: '4912345', calling: '1' }
    expect(names(routeTable(compiled).matching(call))).toEqual(['r123'])
    expect(compared).toBe(1)
  })
})
