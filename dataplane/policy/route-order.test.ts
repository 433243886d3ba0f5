import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { RouteConfig } from '#api/snapshot.ts'
import { compileRoutes } from './route-order.ts'

function route(name: string, match: RouteConfig['match'], priority = 100): RouteConfig {
  const targets = [{ trunk: 'carrier', priority: 0, weight: 1, sip: builtInBehaviour }]
  return { type: 'Route', name, match, priority, targets, inbound: {} }
}

describe('the order in which routes are tried', () => {
  it.each<[string, RouteConfig[], string[]]>([
    [
      'a lower priority value goes before a longer fixed beginning',
      [route('long', { calledPattern: '4989.*' }), route('first', {}, 1)],
      ['first', 'long'],
    ],
    [
      'the longest fixed beginning wins, whatever the order in the manifest',
      [
        route('any', { calledPattern: '.*' }),
        route('munich', { calledPattern: '\\+4989[0-9]+' }),
        route('germany', { calledPattern: '\\+49[0-9]+' }),
      ],
      ['munich', 'germany', 'any'],
    ],
    [
      'among equals, more conditions win',
      [route('loose', { calledPattern: '49.*' }), route('tight', { calledPattern: '49.*', trunks: ['pbx'] })],
      ['tight', 'loose'],
    ],
    ['then the name decides', [route('b', {}), route('a', {})], ['a', 'b']],
  ])('%s', (_case, routes, names) => {
    expect(compileRoutes(routes).inOrder.map(({ config }) => config.name)).toEqual(names)
  })
})

describe('patterns', () => {
  it('match the whole number', () => {
    const [compiled] = compileRoutes([route('r', { calledPattern: '[0-9]{4}', callingPattern: '1.*' })]).inOrder
    expect(compiled?.called?.('1234')).toBe(true)
    expect(compiled?.called?.('12345')).toBe(false)
    expect(compiled?.calling?.('21')).toBe(false)
  })

  it('are refused by route and field when they are not RE2', () => {
    expect(() => compileRoutes([route('bad', { calledPattern: '(?=1)2' })])).toThrow(
      /route bad: match.calledPattern is not a regular expression in RE2 syntax/,
    )
  })

  it('take linear time on input that is exponential for a backtracking engine', () => {
    const [compiled] = compileRoutes([route('r', { calledPattern: '(a+)+b' })]).inOrder
    expect(compiled?.called?.('a'.repeat(5_000))).toBe(false)
  })
})
