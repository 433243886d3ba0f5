import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { apiVersion, VoiceService } from '#api/voice-service.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { compile } from '../operator/compile/compile.ts'
import { sharedToken } from '../operator/push/authenticate.ts'
import { PushServer } from '../operator/push/push-server.ts'
import { ReplicaProcess } from '../test/replica/replica-process.ts'
import { cpuMilliseconds, peakMegabytes } from './process-figures.ts'

const usage = `npm run bench -- trunks [--targets 10000] [--interval 60] [--registrations 2000] [--expires 300]
                          [--replicas 3] [--seconds 240] [--failing 200]

Keepalive and registration of one fleet on loopback, with a peer that answers everything. Counts packets for so many
seconds, then lets so many targets fall silent at once, waits until all are down, lets them answer again, and waits until
all are up. Targets are probed every interval, half of it when down, and are down after one failure with a timeout of 4 s
(or less, where half the interval is less).`

const fleet = 'voice/bench'
const perTrunk = 20

interface Size {
  readonly targets: number
  readonly interval: number
  readonly registrations: number
  readonly expires: number
  readonly replicas: number
  readonly seconds: number
  readonly failing: number
}

/** Runs the bench: packets a second as the peer sees them, CPU and memory of the replicas, and how soon failures show. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      targets: { type: 'string', default: '10000' },
      interval: { type: 'string', default: '60' },
      registrations: { type: 'string', default: '2000' },
      expires: { type: 'string', default: '300' },
      replicas: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '240' },
      failing: { type: 'string', default: '200' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return {}
  }
  const { help: _, ...texts } = values
  return bench(Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Number(text)])) as unknown as Size)
}

async function bench(size: Size): Promise<object> {
  const peer = await openPeer()
  const log = createLog({ level: 'error', name: 'bench' })
  const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken('bench'), epoch: 1 })
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 })
  server.publish(snapshotOf(size, peer.port), { replicas: size.replicas })
  const replicas = Array.from({ length: size.replicas }, (_, index) => startReplica(url, index))
  const fleetState = watch(server)
  try {
    const begun = performance.now()
    const progress = setInterval(() => console.log(fleetState.describe()), 5_000)
    await fleetState.until(
      () => fleetState.states('Up') >= size.targets && fleetState.registered() >= size.registrations,
    )
    clearInterval(progress)
    console.log(`all up and registered after ${seconds(performance.now() - begun)} s`)
    // The first refreshes come together, as the first REGISTERs did; jitter takes an interval to spread probes.
    const load = await measureLoad(replicas, peer, size)
    const failure = await measureFailure(fleetState, peer, size)
    return { ...load, ...failure }
  } finally {
    for (const { child } of replicas) child.kill('SIGKILL')
    await Promise.all(replicas.map(({ exited }) => exited))
    await server.close()
    peer.close()
  }
}

async function measureLoad(replicas: readonly ReplicaProcess[], peer: Peer, size: Size) {
  const before = { ...peer.counts }
  const cpuBefore = replicas.map(cpuOf)
  const begun = performance.now()
  await pause(size.seconds * 1000)
  const passed = (performance.now() - begun) / 1000
  const cpu = replicas.reduce((sum, one, index) => sum + cpuOf(one) - (cpuBefore[index] ?? 0), 0)
  const figures = {
    optionsPerSecond: round((peer.counts.OPTIONS - before.OPTIONS) / passed),
    registersPerSecond: round((peer.counts.REGISTER - before.REGISTER) / passed),
    cpuPercent: round(cpu / passed / 10),
    peakMemoryMB: Math.max(...replicas.map(({ child }) => peakMegabytes(child.pid ?? 0))),
  }
  const { optionsPerSecond, registersPerSecond } = figures
  console.log(`${optionsPerSecond} OPTIONS/s, computed ${round(size.targets / size.interval)}`)
  console.log(`${peer.repeated.count} requests came twice, since the answer was late`)
  console.log(`${registersPerSecond} REGISTER/s, computed ${round(size.registrations / (size.expires * 0.8))}`)
  return figures
}

/** How long after the peer fell silent, or spoke again, the control side knew of each target. */
async function measureFailure(fleetState: FleetState, peer: Peer, { targets, failing }: Size) {
  // Spread over all, since those that started together are probed together.
  const names = Array.from({ length: failing }, (_, index) => hostOf(Math.floor((index * targets) / failing)))
  const detection = await fleetState.times('Down', failing, () => {
    for (const name of names) peer.silent.add(name)
  })
  const recovery = await fleetState.times('Up', failing, () => peer.silent.clear())
  return { detectionP99Ms: percentile99(detection), recoveryP99Ms: percentile99(recovery) }
}

interface Peer {
  readonly port: number
  readonly counts: { OPTIONS: number; REGISTER: number }
  /** Requests that came again, since the answer was late. */
  readonly repeated: { count: number }
  /** Hosts in Request-URIs that get no answer. */
  readonly silent: Set<string>
  close(): void
}

/** Answers for all addresses of loopback: every OPTIONS and every REGISTER with 200. */
async function openPeer(): Promise<Peer> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 * 1024 * 1024 })
  const counts = { OPTIONS: 0, REGISTER: 0 }
  const silent = new Set<string>()
  const repeated = { count: 0 }
  const recent = new Set<string>()
  socket.on('message', (bytes, from) => {
    const text = bytes.toString('latin1')
    const [, method = '', host = ''] = /^(\w+) sip:([^:;\s]+)/.exec(text) ?? []
    if (method !== 'OPTIONS' && method !== 'REGISTER') return
    const branch = /branch=([^;\s]+)/.exec(text)?.[1] ?? ''
    if (recent.has(branch)) repeated.count++
    else counts[method]++
    recent.add(branch)
    if (recent.size > 20_000) recent.clear()
    if (silent.has(host)) return
    const header = (name: string) => new RegExp(`^${name}: .*$`, 'mi').exec(text)?.[0].trimEnd() ?? ''
    const own = method === 'REGISTER' ? [header('Contact'), header('Expires')] : []
    const kept = ['Via', 'From', 'Call-ID', 'CSeq'].map(header)
    const lines = ['SIP/2.0 200 OK', ...kept, `${header('To')};tag=peer`, ...own, 'Content-Length: 0']
    socket.send(`${lines.join('\r\n')}\r\n\r\n`, from.port, from.address)
  })
  socket.bind(0, '0.0.0.0')
  await once(socket, 'listening')
  return { port: socket.address().port, counts, repeated, silent, close: () => void socket.close() }
}

function startReplica(url: string, index: number): ReplicaProcess {
  return new ReplicaProcess({
    SBCFLEET_FLEET: fleet,
    SBCFLEET_REPLICA: `bench-${index}`,
    SBCFLEET_CONTROL_URLS: url,
    SBCFLEET_TOKEN: 'bench',
    SBCFLEET_ADDRESSES: `127.0.0.${index + 1}`,
    SBCFLEET_LOG_LEVEL: 'error',
  })
}

interface FleetState {
  describe(): string
  states(state: string): number
  registered(): number
  until(holds: () => boolean): Promise<void>
  /** Milliseconds from `begin` until each of so many targets was first reported to be so by its prober. */
  times(state: string, count: number, begin: () => void): Promise<number[]>
}

function watch(server: PushServer): FleetState {
  const probed = () =>
    server.replicas(fleet).flatMap(({ report }) => report?.targets.filter(({ probe }) => probe !== undefined) ?? [])
  const listeners = new Set<() => void>()
  server.onChange(() => {
    for (const listener of listeners) listener()
  })
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!holds()) return
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      look()
    })
  const count = (state: string) => probed().filter((one) => one.state === state).length
  return {
    describe: () => `${count('Up')} up, ${count('Down')} down, ${count('Unknown')} not probed yet`,
    states: (state) => probed().filter((one) => one.state === state).length,
    registered: () =>
      server
        .replicas(fleet)
        .reduce(
          (sum, { report }) => sum + (report?.registrations.filter((one) => one.state === 'Registered').length ?? 0),
          0,
        ),
    until,
    async times(state, count, begin) {
      const before = new Set(
        probed()
          .filter((one) => one.state === state)
          .map(({ probe }) => probe),
      )
      const seen = new Map<string, number>()
      const begun = performance.now()
      begin()
      await until(() => {
        for (const { probe = '', state: now } of probed()) {
          if (now === state && !before.has(probe) && !seen.has(probe)) seen.set(probe, performance.now() - begun)
        }
        return seen.size >= count
      })
      return [...seen.values()]
    },
  }
}

/** A host of its own for every target, all of them on loopback. */
function hostOf(target: number): string {
  return `127.${10 + Math.floor(target / 62_500)}.${Math.floor(target / 250) % 250}.${(target % 250) + 1}`
}

function snapshotOf({ targets, interval, registrations, expires, replicas }: Size, port: number) {
  const metadata = (name: string) => ({ name, namespace: 'voice', generation: 1 })
  const count = Math.ceil(targets / perTrunk)
  const timeoutSeconds = Math.max(1, Math.min(4, Math.floor(interval / 2) - 1))
  const keepalive = {
    upIntervalSeconds: interval,
    downIntervalSeconds: Math.max(5, Math.floor(interval / 2)),
    failureThreshold: 1,
    timeoutSeconds,
  }
  const share = (total: number, index: number) =>
    Math.floor((total * (index + 1)) / count) - Math.floor((total * index) / count)
  let account = 0
  const trunks = Array.from({ length: count }, (_, index) => {
    const accounts = Array.from({ length: share(registrations, index) }, () => {
      const number = String(++account)
      return { name: `a${number}`, number, secretRef: { name: 'account' } }
    })
    const first = index * perTrunk
    const hosts = Array.from({ length: Math.min(perTrunk, targets - first) }, (_, one) => hostOf(first + one))
    const registrars = [{ name: 'only', host: hosts[0], port, expiresSeconds: expires }]
    return SipTrunk.parse({
      apiVersion,
      kind: 'SipTrunk',
      metadata: metadata(`trunk-${index}`),
      spec: {
        voiceServiceRef: { name: 'bench' },
        targets: hosts.map((host, one) => ({ name: `t${one}`, host, port })),
        keepalive,
        // The peer has one socket and answers from there, whichever address was asked; who belongs to no trunk is slowed down.
        access: { allowedSources: index === 0 ? ['127.0.0.1'] : [] },
        ...(accounts.length > 0 && { registration: { registrars, accounts } }),
      },
    })
  })
  return compile({
    voiceService: VoiceService.parse({
      apiVersion,
      kind: 'VoiceService',
      metadata: metadata('bench'),
      spec: { replicas, listeners: [{ name: 'udp', transport: 'UDP', port: 25_060 }], routes: [] },
    }),
    trunks,
    secrets: [
      SecretManifest.parse({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: metadata('account'),
        stringData: { password: 'p' },
      }),
    ],
  }).snapshot
}

const cpuOf = ({ child }: ReplicaProcess) => cpuMilliseconds(child.pid ?? 0)

function percentile99(times: readonly number[]): number | null {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted.length === 0 ? null : Math.round(sorted[Math.floor((sorted.length * 99) / 100)] ?? sorted.at(-1) ?? 0)
}

const round = (value: number) => Math.round(value * 10) / 10
const seconds = (milliseconds: number) => round(milliseconds / 1000)
