import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { callThroughManifests, startFleet } from '../test/sip/fleet.ts'
import { startSipp } from '../test/sip/sipp.ts'
import { childOf, residentMegabytes } from './process-figures.ts'

const usage = `npm run soak -- held-calls [--calls 10000] [--rate 200] [--waves 2] [--limit 400]

So many calls at once through one replica over UDP, begun at that rate, and all of them up for a minute before the first
one ends; then the same again. Good when none failed, memory stayed under the limit in MB, and no wave took more than a
tenth and 10 MB above the first: then what a call held was given back.`

const listener = 15_360
const caller = { address: '127.0.4.1', port: 15_370 }
const called = { address: '127.0.4.1', port: 15_380 }
/** As long as all calls are up together, in seconds. */
const together = 60
/** A transaction is over 32 s after its end at the latest (RFC 3261, timers H, F and J). */
const settling = 40

/** Runs the soak; `good` says how it went. Memory is that of the replica, in MB. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      calls: { type: 'string', default: '10000' },
      rate: { type: 'string', default: '200' },
      waves: { type: 'string', default: '2' },
      limit: { type: 'string', default: '400' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return { good: true }
  }
  const [calls, rate, waves, limit] = [values.calls, values.rate, values.waves, values.limit].map(Number)
  if (!calls || !rate || !waves || !limit) throw new Error(usage)
  const fleet = await startFleet(callThroughManifests({ listener, caller: [caller], called: [called] }))
  try {
    const replica = childOf(fleet.process)
    const atRestMB = residentMegabytes(replica)
    const found: Wave[] = []
    for (let wave = 0; wave < waves; wave++) {
      found.push(await runWave(replica, calls, rate))
      console.log(JSON.stringify({ wave: wave + 1, ...found.at(-1) }))
    }
    const [first] = found
    const failed = found.reduce((sum, wave) => sum + wave.failed, 0)
    const peakMB = Math.max(...found.map((wave) => wave.peakMB))
    const leaks = first === undefined || found.some((wave) => wave.peakMB > first.peakMB * 1.1 + 10)
    return { good: failed === 0 && peakMB <= limit && !leaks, calls, failed, atRestMB, peakMB, leaks, waves: found }
  } finally {
    await fleet.stop()
  }
}

interface Wave {
  readonly failed: number
  /** The most of the samples that were taken twice a second. */
  readonly peakMB: number
  /** When all calls had been up for half of their time together. */
  readonly heldMB: number
  /** When all calls were over and their transactions, too. */
  readonly afterMB: number
}

async function runWave(replica: number, calls: number, rate: number): Promise<Wave> {
  const begin = calls / rate
  const hold = begin + together
  const limitSeconds = 2 * begin + hold + 90
  const uas = startSipp({ scenario: 'uas', local: called, limitSeconds, more: ['-l', String(calls)] })
  await uas.listening
  const uac = startSipp({
    ...{ scenario: 'uac-timed', local: caller, remote: `127.0.0.1:${listener}`, calls, callsPerSecond: rate },
    ...{ holdMilliseconds: hold * 1000, number: '+15550100', limitSeconds, more: ['-l', String(calls)] },
  })
  let peakMB = 0
  const sampling = setInterval(() => (peakMB = Math.max(peakMB, residentMegabytes(replica))), 500)
  try {
    await pause((begin + together / 2) * 1000)
    const heldMB = residentMegabytes(replica)
    const { successful, errors } = await uac.done
    uas.stop()
    await uas.done
    if (errors !== '') console.log(errors.slice(0, 500))
    await pause(settling * 1000)
    return { failed: calls - successful, peakMB, heldMB, afterMB: residentMegabytes(replica) }
  } finally {
    clearInterval(sampling)
  }
}
