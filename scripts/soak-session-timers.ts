import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { kinds } from './session-dialog.ts'
import { beginSessionLoad, untilUp } from './session-load.ts'

const usage = `npm run soak -- session-timers [--calls 500] [--interval 90] [--minutes 30]

Calls over every combination of what caller and callee can do with session timers (${kinds.join(', ')}). Good when no
call has ended by itself, no refresh was missed and none came twice. A shorter interval makes a shorter soak.`

/** Runs the soak; `good` says how it went. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      calls: { type: 'string', default: '500' },
      interval: { type: 'string', default: '90' },
      minutes: { type: 'string', default: '30' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return { good: true }
  }
  const [calls, interval, minutes] = [values.calls, values.interval, values.minutes].map(Number)
  if (!calls || !interval || !minutes) throw new Error(usage)
  const load = await beginSessionLoad({
    expiresSeconds: interval,
    minSeSeconds: Math.min(interval, 90),
    alwaysRequest: true,
  })
  try {
    load.tell({
      ...{ order: 'begin', port: load.port, calls, callsPerSecond: 50, seconds: interval },
      ...{ callers: kinds, callees: kinds },
    })
    await untilUp(load, calls, calls / 10 + 120)
    for (let passed = 1; passed <= minutes * 2; passed++) {
      await pause(30_000)
      console.log(`after ${passed / 2} min: ${JSON.stringify({ ...(await load.seen()), calls: load.calls.count })}`)
    }
    const { refreshed, missed, doubled, ended, refused } = await load.seen()
    const alive = load.calls.count
    const good = alive === calls && missed === 0 && doubled === 0 && ended === 0 && refused === 0
    return { good, calls, alive, refreshed, missed, doubled, endedUnasked: ended, refused }
  } finally {
    await load.end()
  }
}
