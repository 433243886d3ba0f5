import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { beginSessionLoad, untilUp } from './session-load.ts'

const usage = `npm run bench -- refresh [--calls 5000] [--rate 100] [--interval 90] [--seconds 120]

Calls whose callers know no session timer, so that the fleet refreshes the leg of the callee: each twice an interval. Once
all are up, counts refreshes, CPU and the lag of the event loop for so many seconds. Callers and callees are another process.`

/** Runs the bench: what it costs to keep calls refreshed. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      calls: { type: 'string', default: '5000' },
      rate: { type: 'string', default: '100' },
      interval: { type: 'string', default: '90' },
      seconds: { type: 'string', default: '120' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return {}
  }
  const [calls, rate, interval, seconds] = [values.calls, values.rate, values.interval, values.seconds].map(Number)
  if (!calls || !rate || !interval || !seconds) throw new Error(usage)
  const load = await beginSessionLoad({
    alwaysRequest: true,
    preferRefresher: 'Sbc',
    expiresSeconds: interval,
    minSeSeconds: Math.min(interval, 90),
  })
  try {
    load.tell({
      ...{ order: 'begin', port: load.port, calls, callsPerSecond: rate, seconds: interval },
      ...{ callers: ['none'], callees: ['both'] },
    })
    const before = await untilUp(load, calls, (calls / rate) * 4 + 120)
    console.log(`${calls} calls are up`)
    const delay = monitorEventLoopDelay({ resolution: 1 })
    const cpu = process.cpuUsage()
    const started = performance.now()
    delay.enable()
    await pause(seconds * 1000)
    delay.disable()
    const { user, system } = process.cpuUsage(cpu)
    const elapsed = (performance.now() - started) / 1000
    const seen = await load.seen()
    return {
      calls: load.calls.count,
      refreshesPerSecond: round((seen.refreshed - before.refreshed) / elapsed),
      cpuPercent: round((user + system) / 10_000 / elapsed),
      lagP99Ms: round(delay.percentile(99) / 1e6),
      missed: seen.missed + seen.ended,
    }
  } finally {
    await load.end()
  }
}

const round = (value: number) => Math.round(value * 10) / 10
