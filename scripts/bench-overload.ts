import { parseArgs } from 'node:util'
import { callThroughManifests, startFleet } from '../test/sip/fleet.ts'
import { type SippResult, startSipp } from '../test/sip/sipp.ts'

const usage = `npm run bench -- overload [--rate 1500] [--seconds 20] [--hold 2000] [--after 100]

More calls a second than one replica can carry, from two callers over UDP. A call counts as refused when it got a 503 that
says when to come again, as failed when it got no answer at all or was answered and then lost. Then calls come at the rate
of --after, and it is counted for how many seconds one of them was still refused or lost.`

const listener = 15_460
const pairs = [0, 1].map((pair) => ({
  caller: { address: `127.0.5.${pair + 1}`, port: 15_470 },
  called: { address: `127.0.5.${pair + 1}`, port: 15_480 },
}))
/** Longer than this it does not recover. */
const longest = 60

/** Runs the bench. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      rate: { type: 'string', default: '1500' },
      seconds: { type: 'string', default: '20' },
      hold: { type: 'string', default: '2000' },
      after: { type: 'string', default: '100' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return {}
  }
  const [rate, seconds, hold, after] = [values.rate, values.seconds, values.hold, values.after].map(Number)
  if (!rate || !seconds || !hold || !after) throw new Error(usage)
  const [caller, called] = [pairs.map((pair) => pair.caller), pairs.map((pair) => pair.called)]
  const fleet = await startFleet(callThroughManifests({ listener, caller, called }))
  const limitSeconds = seconds + hold / 1000 + longest + 60
  const answering = called.map((local) => startSipp({ scenario: 'uas', local, limitSeconds }))
  try {
    await Promise.all(answering.map((one) => one.listening))
    const offered = await Promise.all(
      caller.map((local) => call(local, (rate / pairs.length) * seconds, rate / pairs.length, hold, limitSeconds)),
    )
    for (const { errors } of offered) if (errors !== '') console.log(errors.slice(0, 500))
    const recoverySeconds = await recover(after)
    return { ...counted(offered, rate * seconds), recoverySeconds }
  } finally {
    for (const one of answering) one.stop()
    await Promise.all(answering.map((one) => one.done))
    await fleet.stop()
  }
}

function call(local: { address: string; port: number }, calls: number, rate: number, hold: number, limit: number) {
  return startSipp({
    ...{ scenario: 'uac-answered-or-refused', local, remote: `127.0.0.1:${listener}`, calls, callsPerSecond: rate },
    ...{ holdMilliseconds: hold, number: '+15550100', limitSeconds: limit },
  }).done
}

function counted(results: readonly SippResult[], calls: number) {
  const count = (name: string) => results.reduce((sum, { times }) => sum + (times[name]?.length ?? 0), 0)
  const [answered, refused] = [count('answered'), count('refused')]
  const successful = results.reduce((sum, result) => sum + result.successful, 0)
  const retransmitted = results.reduce((sum, result) => sum + result.retransmissions, 0)
  return { calls, answered, refused, failed: calls - successful, retransmitted }
}

/** Seconds until a second's worth of calls was carried as it should be; undefined when that never was. */
async function recover(rate: number): Promise<number | undefined> {
  const [first] = pairs
  if (first === undefined) return undefined
  for (let second = 0; second < longest; second++) {
    const result = await call(first.caller, rate, rate, 100, 40)
    if (counted([result], rate).answered === rate && result.successful === rate) return second
  }
  return undefined
}
