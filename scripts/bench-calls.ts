import { parseArgs } from 'node:util'
import { callThroughManifests, startFleet } from '../test/sip/fleet.ts'
import { type SippResult, startSipp } from '../test/sip/sipp.ts'
import { askAddresses } from '../dataplane/sip/drachtio-addresses.ts'
import type { DrachtioAddress } from '../dataplane/sip/drachtio-port.ts'
import { childOf, cpuMilliseconds } from './process-figures.ts'

const usage = `npm run bench -- calls [--rates 100,200,…] [--seconds 30] [--hold 1000] [--engine drachtio] [--address HOST:PORT] [--pid PID]

Calls through one replica over UDP, at each of the rates for so many seconds, each call held for so many milliseconds,
one pair of SIPp per 1,000 calls/s of the highest rate on addresses of their own. With --address the calls go to another SIP address, which must
send them on to 127.0.1.1:15080 (the second pair: 127.0.1.2:15080 …); --pid names its process, for the CPU per call.
With --engine drachtio each rate is run on the built-in engine and then on the drachtio-server at DRACHTIO_ADDRESS, which has
DRACHTIO_SECRET and a UDP contact on 127.0.0.1; --pid names its process.`

interface Figures {
  readonly rate: number
  readonly failed: number
  readonly retransmitted: number
  readonly cpuMsPerCall: number | null
  readonly to180: readonly number[]
  readonly to200: readonly number[]
}

/** Runs the bench. The rate counts as clean when no call failed and nothing was sent twice. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      rates: { type: 'string', default: '100,200,300,400,500,600,700,800' },
      seconds: { type: 'string', default: '30' },
      hold: { type: 'string', default: '1000' },
      engine: { type: 'string', default: 'embedded' },
      address: { type: 'string' },
      pid: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return {}
  }
  const rates = values.rates.split(',').map(Number)
  const pairs = Math.max(...rates.map((rate) => Math.ceil(rate / 1000)))
  const load: Load = { rates, pairs, seconds: Number(values.seconds), hold: Number(values.hold) }
  if (values.engine === 'drachtio') {
    const server = serverAtHand(values.pid)
    const embedded = summary(await measureAll(await ownFleet(pairs), load))
    const drachtio = summary(await measureAll(await ownFleet(pairs, await engineOf(server)), load))
    return { ...embedded, drachtio, ratio: ratioOf(embedded, drachtio) }
  }
  const subject = values.address === undefined ? await ownFleet(pairs) : foreign(values.address, values.pid)
  return summary(await measureAll(subject, load))
}

/** `pairs` of SIPp share each rate: all of them are targets of the fleet, and one that is not there costs calls. */
interface Load {
  readonly rates: readonly number[]
  readonly pairs: number
  readonly seconds: number
  readonly hold: number
}

async function measureAll(subject: Subject, load: Load): Promise<Figures[]> {
  const measured: Figures[] = []
  try {
    for (const rate of load.rates) {
      const figures = await measure(subject, rate, load)
      console.log(`${subject.name}: ${describe(figures)}`)
      measured.push(figures)
    }
  } finally {
    await subject.stop()
  }
  return measured
}

/** How many times as many clean calls as drachtio-server the built-in engine carries, and at which part of the CPU. */
function ratioOf(embedded: Summary, drachtio: Summary): object {
  const of = (one: number | null, other: number | null) => (one === null || !other ? null : round(one / other))
  return {
    cleanCallsPerSecond: of(embedded.cleanCallsPerSecond, drachtio.cleanCallsPerSecond),
    cpuMsPerCall: of(embedded.cpuMsPerCall, drachtio.cpuMsPerCall),
  }
}

interface ServerAtHand extends DrachtioAddress {
  readonly pid: number | undefined
}

function serverAtHand(pid: string | undefined): ServerAtHand {
  const { DRACHTIO_ADDRESS: address = '127.0.0.1:9022', DRACHTIO_SECRET: secret = '' } = process.env
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon)
  return { host, port: Number(address.slice(colon + 1)), secret, pid: pid === undefined ? undefined : Number(pid) }
}

/** What of a fleet is other with a drachtio-server: its listener is where the server listens. */
async function engineOf(server: ServerAtHand): Promise<EngineInUse> {
  const served = await askAddresses(server)
  const udp = served.find(({ transport, address }) => transport === 'udp' && address === '127.0.0.1')
  if (udp === undefined) throw new Error('the drachtio-server needs a UDP contact on 127.0.0.1')
  return { name: 'drachtio-server', listener: udp.port, pid: server.pid, drachtio: server }
}

interface EngineInUse {
  readonly name: string
  readonly listener: number
  /** Process of the engine, where it is not in the replica. */
  readonly pid?: number | undefined
  readonly drachtio?: { readonly port: number; readonly secret: string }
}

const builtIn: EngineInUse = { name: 'built-in engine', listener: 15_060 }

interface Subject {
  readonly name: string
  readonly address: string
  readonly pids: readonly number[]
  stop(): Promise<void>
}

const callerPort = 15_070
const calledPort = 15_080
const pairAddress = (pair: number) => `127.0.1.${pair + 1}`

async function ownFleet(pairs: number, engine = builtIn): Promise<Subject> {
  const { name, listener, pid, drachtio } = engine
  const peers = Array.from({ length: pairs }, (_, pair) => pairAddress(pair))
  const fleet = await startFleet(
    callThroughManifests({
      listener,
      caller: peers.map((address) => ({ address, port: callerPort })),
      called: peers.map((address) => ({ address, port: calledPort })),
      ...(drachtio !== undefined && { drachtio }),
    }),
  )
  const pids = [childOf(fleet.process), ...(pid === undefined ? [] : [pid])]
  return { name, address: `127.0.0.1:${listener}`, pids, stop: () => fleet.stop() }
}

function foreign(address: string, pid: string | undefined): Subject {
  const pids = pid === undefined ? [] : [Number(pid)]
  return { name: address, address, pids, stop: () => Promise.resolve() }
}

async function measure(subject: Subject, rate: number, { pairs, seconds, hold }: Load): Promise<Figures> {
  const pairRate = rate / pairs
  const cpuBefore = cpuOf(subject)
  const called = Array.from({ length: pairs }, (_, pair) =>
    startSipp({ scenario: 'uas', local: { address: pairAddress(pair), port: calledPort }, limitSeconds: seconds + 60 }),
  )
  await Promise.all(called.map((run) => run.listening))
  const callers = Array.from({ length: pairs }, (_, pair) =>
    startSipp({
      ...{ scenario: 'uac-timed', local: { address: pairAddress(pair), port: callerPort }, remote: subject.address },
      ...{ calls: Math.round(pairRate * seconds), callsPerSecond: pairRate, holdMilliseconds: hold },
      ...{ number: '+15550100', limitSeconds: seconds + 45 },
    }),
  )
  const results = await Promise.all(callers.map((run) => run.done))
  for (const run of called) run.stop()
  const answered = await Promise.all(called.map((run) => run.done))
  const cpuAfter = cpuOf(subject)
  const offered = rate * seconds
  return {
    rate,
    // A caller that was ended before its calls were over counts them as neither.
    failed: offered - sum(results, (result) => result.successful),
    retransmitted: sum([...results, ...answered], (result) => result.retransmissions),
    cpuMsPerCall: cpuBefore === undefined || cpuAfter === undefined ? null : round((cpuAfter - cpuBefore) / offered),
    to180: results.flatMap((result) => result.times['to180'] ?? []).sort((a, b) => a - b),
    to200: results.flatMap((result) => result.times['to200'] ?? []).sort((a, b) => a - b),
  }
}

const cpuOf = ({ pids }: Subject) =>
  pids.length === 0 ? undefined : pids.reduce((total, pid) => total + (cpuMilliseconds(pid) ?? 0), 0)

function describe({ rate, failed, retransmitted, cpuMsPerCall, to180, to200 }: Figures): string {
  return (
    `${rate} calls/s: ${failed} failed, ${retransmitted} retransmitted, ${cpuMsPerCall ?? '?'} ms CPU a call, ` +
    `180 after ${percentile(to180, 50)}/${percentile(to180, 99)} ms, 200 after ${percentile(to200, 50)}/${percentile(to200, 99)} ms (p50/p99)`
  )
}

/** The figures of the highest rate below the first that was not clean. */
interface Summary {
  readonly cleanCallsPerSecond: number
  readonly cpuMsPerCall: number | null
  readonly [figure: string]: number | null
}

function summary(measured: Figures[]): Summary {
  const firstUnclean = measured.findIndex(({ failed, retransmitted }) => failed > 0 || retransmitted > 0)
  const clean = firstUnclean === -1 ? measured : measured.slice(0, firstUnclean)
  const best = clean.at(-1) ?? measured[0]
  return {
    cleanCallsPerSecond: clean.at(-1)?.rate ?? 0,
    cpuMsPerCall: best?.cpuMsPerCall ?? null,
    to180P50Ms: percentile(best?.to180 ?? [], 50),
    to180P99Ms: percentile(best?.to180 ?? [], 99),
    to200P50Ms: percentile(best?.to200 ?? [], 50),
    to200P99Ms: percentile(best?.to200 ?? [], 99),
    failed: best?.failed ?? null,
    retransmitted: best?.retransmitted ?? null,
  }
}

function percentile(sorted: readonly number[], percent: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? null
}

const sum = (results: readonly SippResult[], of: (result: SippResult) => number) =>
  results.reduce((total, result) => total + of(result), 0)
const round = (milliseconds: number) => Math.round(milliseconds * 100) / 100
