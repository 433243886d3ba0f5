import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { callThroughManifests, startFleet } from '../test/sip/fleet.ts'
import { startSipp } from '../test/sip/sipp.ts'
import { childOf, residentMegabytes } from './process-figures.ts'

const usage = `npm run soak -- calls [--rate 100] [--minutes 60] [--hold 3000]

Calls through one replica over UDP at that rate, each held for so many milliseconds. Good when none failed and
the memory of the last quarter is that of the second: at most a tenth and 10 MB above.`

const listener = 15_260
const caller = { address: '127.0.3.1', port: 15_270 }
const called = { address: '127.0.3.1', port: 15_280 }

/** Runs the soak; `good` says how it went. Memory is that of the replica, in MB, once a minute. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      rate: { type: 'string', default: '100' },
      minutes: { type: 'string', default: '60' },
      hold: { type: 'string', default: '3000' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return { good: true }
  }
  const [rate, minutes, hold] = [Number(values.rate), Number(values.minutes), Number(values.hold)]
  if (!rate || !minutes || !hold) throw new Error(usage)
  const calls = Math.round(rate * minutes * 60)
  const limitSeconds = minutes * 60 + hold / 1000 + 90
  const fleet = await startFleet(callThroughManifests({ listener, caller: [caller], called: [called] }))
  try {
    const replica = childOf(fleet.process)
    const uas = startSipp({ scenario: 'uas', local: called, limitSeconds })
    await uas.listening
    const uac = startSipp({
      ...{ scenario: 'uac-timed', local: caller, remote: `127.0.0.1:${listener}`, calls, callsPerSecond: rate },
      ...{ holdMilliseconds: hold, number: '+15550100', limitSeconds },
    })
    const memory = await sampleMemory(replica, minutes, uac.done)
    const { successful, retransmissions, errors } = await uac.done
    uas.stop()
    const answered = await uas.done
    if (errors !== '') console.log(errors.slice(0, 500))
    const failed = calls - successful
    const retransmitted = retransmissions + answered.retransmissions
    const flat = isFlat(memory)
    return { good: failed === 0 && flat, calls, failed, retransmitted, flat, memory }
  } finally {
    await fleet.stop()
  }
}

async function sampleMemory(replica: number, minutes: number, over: Promise<unknown>): Promise<number[]> {
  const memory: number[] = []
  let ended = false
  void over.then(() => (ended = true))
  for (let minute = 1; minute <= Math.max(1, minutes) && !ended; minute++) {
    await Promise.race([pause(60_000, undefined, { ref: false }), over])
    memory.push(residentMegabytes(replica))
    console.log(`${new Date().toISOString()} minute ${minute}: ${memory.at(-1)} MB`)
  }
  return memory
}

/** The first quarter is left out: code is compiled, and what is kept for 32 s after a transaction fills up. */
function isFlat(memory: readonly number[]): boolean {
  const quarter = Math.floor(memory.length / 4)
  const second = mean(memory.slice(quarter, 2 * quarter))
  const last = mean(memory.slice(-quarter))
  return quarter === 0 || last <= second * 1.1 + 10
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
