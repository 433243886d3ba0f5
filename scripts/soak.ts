/** A soak by name; what it found comes as one JSON object on the last line, and `good` decides the exit code. */
interface Soak {
  run(args: string[]): Promise<object>
}

const soaks: Readonly<Record<string, () => Promise<Soak>>> = {
  calls: () => import('./soak-calls.ts'),
  'held-calls': () => import('./soak-held-calls.ts'),
  'session-timers': () => import('./soak-session-timers.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const load = Object.hasOwn(soaks, name) ? soaks[name] : undefined
if (load === undefined) {
  console.error(`There is no soak ${JSON.stringify(name)}. Say one of: ${Object.keys(soaks).join(', ')}.`)
  process.exitCode = 1
} else {
  const found = await (await load()).run(args)
  console.log(JSON.stringify(found))
  if (!('good' in found && found.good === true)) process.exitCode = 1
}
