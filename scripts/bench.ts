/** A bench by name; what it measured comes as one JSON object on the last line. */
interface Bench {
  run(args: string[]): Promise<object>
}

const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  calls: () => import('./bench-calls.ts'),
  flood: () => import('./bench-flood.ts'),
  overload: () => import('./bench-overload.ts'),
  parse: () => import('./bench-parse.ts'),
  push: () => import('./bench-push.ts'),
  refresh: () => import('./bench-refresh.ts'),
  routes: () => import('./bench-routes.ts'),
  trunks: () => import('./bench-trunks.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const load = Object.hasOwn(benches, name) ? benches[name] : undefined
if (load === undefined) {
  console.error(`There is no bench ${JSON.stringify(name)}. Say one of: ${Object.keys(benches).join(', ')}.`)
  process.exitCode = 1
} else {
  const bench = await load()
  console.log(JSON.stringify(await bench.run(args)))
}
