import { parseArgs } from 'node:util'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { matches } from '../dataplane/policy/route-match.ts'
import { compileRoutes } from '../dataplane/policy/route-order.ts'

const usage = `npm run bench -- routes [--routes 1000]

So many routes, each for a prefix of its own, and one for everything else: what it costs to find those that a call takes,
and, beside it, what it would cost to compare the call with every route.`

/** Runs the bench. */
export function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: { routes: { type: 'string', default: '1000' }, help: { type: 'boolean', default: false } },
  })
  if (values.help) {
    console.log(usage)
    return Promise.resolve({})
  }
  const count = Number(values.routes)
  if (!(count > 0)) throw new Error(usage)
  const prefixes = Array.from({ length: count }, (_, at) => `49${String(at).padStart(6, '0')}`)
  const table = compileRoutes(
    [...prefixes.map((prefix) => `${prefix}[0-9]*`), '.*'].map((calledPattern, at) => ({
      ...{ type: 'Route', name: `r${at}`, priority: 100, inbound: {}, match: { calledPattern } },
      targets: [{ trunk: 'carrier', priority: 0, weight: 1, sip: builtInBehaviour }],
    })),
  )
  let at = 0
  const next = () => ({ trunk: 'pbx', called: `${prefixes[at++ % count]}123`, calling: '100' })
  return Promise.resolve({
    routes: count,
    microseconds: time(() => table.matching(next()).length),
    everyRouteMicroseconds: time(() => {
      const call = next()
      return table.inOrder.filter((route) => matches(route, call)).length
    }),
  })
}

/** Microseconds a run, of the fastest of some rounds. */
function time(find: () => number): number {
  let best = Infinity
  for (let round = 0; round < 20; round++) {
    const start = performance.now()
    let runs = 0
    while (performance.now() - start < 30) {
      if (find() !== 2) throw new Error('A call has to find its own route and the one for everything.')
      runs++
    }
    best = Math.min(best, ((performance.now() - start) * 1000) / runs)
  }
  return Number(best.toPrecision(3))
}
