import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { systemClock } from '#lib/clock.ts'
import type { KubeClient } from '../operator/kube/client.ts'
import { kubeMetrics } from '../operator/kube/metrics.ts'
import { Reflector } from '../operator/kube/reflector.ts'
import type { KubeObject } from '../operator/kube/resource.ts'
import { Store } from '../operator/kube/store.ts'
import { pushPath } from '../operator/push/push-server.ts'
import {
  type AnyObject,
  clientOf,
  configMaps,
  installDefinitions,
  makeNamespace,
  silentLog,
  sipTrunks,
  until,
  voiceServices,
} from '../test/kube/cluster.ts'
import { type ControlPlane, startControlPlane } from '../test/kube/control-plane.ts'
import type { Process } from '../test/kube/process.ts'
import { operatorNamespace, Programs } from '../test/operator/processes.ts'
import { freePorts } from '../test/sip/free-port.ts'
import { conditionOf } from '../test/operator/fleet.ts'
import type { Crowd, Taken } from './bench-push-replicas.ts'

/** What one combination came to. */
interface Figures {
  readonly replicas: number
  readonly trunks: number
  readonly ackP50Ms: number
  readonly ackP99Ms: number
  /** From the first request on. The API server takes so long for all requests alone, and the statuses come after that. */
  readonly createdToProgrammedMs: number
  readonly createdMs: number
  readonly restartToConvergedMs: number
  readonly writesPerChange: number
  readonly peakMemoryMB: number
  readonly cpuSeconds: number
}

const fleet = { namespace: 'voice', name: 'edge' }
const pods = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true }
const changes = 10
const crowdSize = 250

const root = join(import.meta.dirname, '..')
/** As the Dockerfile has it. */
const asInImage = { NODE_OPTIONS: '--max-semi-space-size=4', MALLOC_ARENA_MAX: '1' }

/**
 * Configuration from the API server to simulated replicas: `bench push [REPLICAS×TRUNKS …]`, as `100x1000`. On a real
 * kube-apiserver with one operator process, bundled as in its image; every replica has a pod and a token of its own.
 */
export async function run(args: string[]): Promise<object> {
  execFileSync(process.execPath, [join(root, 'scripts/bundle.ts')], { stdio: ['ignore', 'ignore', 'inherit'] })
  const combinations = args.length > 0 ? args : ['100x100', '100x1000']
  const figures: Figures[] = []
  for (const combination of combinations) {
    const [replicas = 0, trunks = 0] = combination.split('x').map(Number)
    figures.push(await measure(replicas, trunks))
    console.error(JSON.stringify(figures.at(-1)))
  }
  return figures
}

async function measure(replicas: number, trunks: number): Promise<Figures> {
  const plane = await startControlPlane()
  const client = clientOf(plane)
  const programs = new Programs(plane, client, join(root, 'dist/operator/app/main.mjs'))
  const crowds: ChildProcess[] = []
  const failed = Promise.withResolvers<never>()
  const watch = (operator: Process) => {
    let isMeant = false
    void operator.ended.then(() => {
      if (!isMeant) failed.reject(new Error(`the operator has ended:\n${operator.lastLines()}`))
    })
    return async () => {
      isMeant = true
      await operator.kill()
    }
  }
  try {
    return await Promise.race([failed.promise, measureOn({ plane, client, programs, crowds, watch }, replicas, trunks)])
  } finally {
    for (const crowd of crowds) crowd.kill()
    await programs.stop()
    client.close()
    await plane.stop()
  }
}

interface Bench {
  readonly plane: ControlPlane
  readonly client: KubeClient
  readonly programs: Programs
  readonly crowds: ChildProcess[]
  /** Fails the bench when this process ends, unless by what is returned. */
  readonly watch: (operator: Process) => () => Promise<void>
}

async function measureOn(bench: Bench, replicas: number, trunks: number): Promise<Figures> {
  const { plane, client, programs, crowds, watch } = bench
  await installDefinitions(client)
  await plane.startControllers()
  await makeNamespace(client, operatorNamespace)
  await makeNamespace(client, fleet.namespace)
  const [control = 0, probe = 0] = await freePorts(2)
  const killOperator = watch(programs.operator('operator', control, probe, asInImage))
  await client.create(voiceServices, {
    metadata: fleet,
    spec: { replicas, listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
  })
  const taken = new Arrivals()
  crowds.push(...(await startReplicas({ client, programs, replicas, control, taken })))
  await isProgrammed(client, replicas)

  const all = allProgrammed(client, trunks)
  const began = Date.now()
  await createTrunks(client, trunks)
  const createdMs = Date.now() - began
  await all
  const createdToProgrammedMs = Date.now() - began

  const writesBefore = await writes(probe)
  const latencies: number[] = []
  for (let change = 0; change < changes; change++) latencies.push(...(await changeOne(client, change, replicas, taken)))
  await isProgrammed(client, replicas)
  await quiet()
  const writesPerChange = ((await writes(probe)) - writesBefore) / changes
  const { peakMemoryMB, cpuSeconds } = await usage(probe)

  await killOperator()
  await client.delete({ ...leases }, { namespace: operatorNamespace, name: 'sbcfleet' })
  const restarted = Date.now()
  watch(programs.operator('operator-again', control, probe, asInImage))
  const changed = await client.patch(
    sipTrunks,
    { ...fleet, name: trunkName(0) },
    { spec: { keepalive: { upIntervalSeconds: 999 } } },
  )
  await until(client, sipTrunks, { ...fleet, name: trunkName(0) }, (trunk) =>
    isTrue(trunk, changed.metadata.generation),
  )
  const restartToConvergedMs = Date.now() - restarted

  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  return {
    replicas,
    trunks,
    ackP50Ms: at(0.5),
    ackP99Ms: at(0.99),
    createdToProgrammedMs,
    createdMs,
    restartToConvergedMs,
    writesPerChange,
    peakMemoryMB,
    cpuSeconds,
  }
}

const leases = { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', namespaced: true }

/** Deltas taken by replicas, for whoever waits. */
class Arrivals {
  #listener: (taken: Taken) => void = () => undefined

  take(taken: Taken): void {
    this.#listener(taken)
  }

  /** When each of so many replicas took something, from now on. */
  async times(count: number): Promise<Map<string, number>> {
    const times = new Map<string, number>()
    await new Promise<void>((resolve) => {
      this.#listener = ({ replica, at }) => {
        if (!times.has(replica)) times.set(replica, at)
        if (times.size === count) resolve()
      }
    })
    return times
  }
}

/** Milliseconds from the answer of the API server to the acknowledgement of each replica. */
async function changeOne(client: KubeClient, change: number, replicas: number, taken: Arrivals): Promise<number[]> {
  const times = taken.times(replicas)
  const name = trunkName(change)
  const spec = { keepalive: { upIntervalSeconds: 100 + change } }
  const { metadata } = await client.patch(sipTrunks, { ...fleet, name }, { spec })
  const committed = Date.now()
  const latencies = [...(await times).values()].map((at) => Math.max(0, at - committed))
  await until(client, sipTrunks, { ...fleet, name }, (trunk) => isTrue(trunk, metadata.generation))
  return latencies
}

interface Start {
  readonly client: KubeClient
  readonly programs: Programs
  readonly replicas: number
  readonly control: number
  readonly taken: Arrivals
}

async function startReplicas({ client, programs, replicas, control, taken }: Start): Promise<ChildProcess[]> {
  const config = (await until(
    client,
    configMaps,
    { ...fleet, name: 'edge-control' },
    (found) => found !== undefined,
  )) as (KubeObject & { data?: Record<string, string> }) | undefined
  const names = Array.from({ length: replicas }, (_, index) => `${fleet.name}-${index}`)
  await until(client, pods, { ...fleet, name: names.at(-1) ?? '' }, (pod) => pod !== undefined)
  const all = await inParallel(names, async (name) => {
    await until(client, pods, { ...fleet, name }, (pod) => pod !== undefined)
    return { name, token: await programs.token(fleet.namespace, 'edge-replica', name) }
  })
  const crowds: ChildProcess[] = []
  for (let first = 0; first < all.length; first += crowdSize) {
    const child = fork(join(import.meta.dirname, 'bench-push-replicas.ts'))
    child.on('message', (message) => taken.take(message as Taken))
    const crowd: Crowd = {
      url: `wss://sbcfleet-control.${operatorNamespace}.svc:${control}${pushPath}`,
      ca: config?.data?.['ca.crt'] ?? '',
      fleet: `${fleet.namespace}/${fleet.name}`,
      replicas: all.slice(first, first + crowdSize),
    }
    child.send(crowd)
    crowds.push(child)
    await once(child, 'spawn').catch(() => undefined)
  }
  return crowds
}

async function createTrunks(client: KubeClient, count: number): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index)
  await inParallel(indexes, (index) =>
    client.create(sipTrunks, {
      metadata: { namespace: fleet.namespace, name: trunkName(index) },
      spec: {
        voiceServiceRef: { name: fleet.name },
        targets: [{ name: 'main', host: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` }],
      },
    }),
  )
}

/** Twenty at any time. */
async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const left = items.entries()
  const worker = async () => {
    for (const [index, item] of left) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  return results
}

function trunkName(index: number): string {
  return `trunk-${String(index).padStart(5, '0')}`
}

function isTrue(trunk: AnyObject | undefined, generation = 0): boolean {
  const isSeen = Number(trunk?.status?.['observedGeneration'] ?? -1) >= generation
  return isSeen && conditionOf(trunk, 'Programmed')?.status === 'True'
}

/** Resolves when so many trunks say that they are programmed. */
async function allProgrammed(client: KubeClient, trunks: number): Promise<void> {
  const done = new Set<string>()
  const sink = new Store<AnyObject>({ onError: (error) => console.error(error) })
  const { promise, resolve } = Promise.withResolvers<void>()
  sink.onChange((change) => {
    if (change.type !== 'removed' && isTrue(change.object)) done.add(change.key)
    if (done.size === trunks) resolve()
  })
  const reflector = new Reflector<AnyObject>({
    client,
    resource: sipTrunks,
    selection: { namespace: fleet.namespace },
    sink,
    clock: systemClock,
    log: silentLog,
    metrics: kubeMetrics(),
  })
  reflector.start()
  await promise
  await reflector.stop()
}

async function isProgrammed(client: KubeClient, replicas: number): Promise<void> {
  await until(client, voiceServices, fleet, (service) => {
    return (service?.status?.['replicas'] as { programmed?: number } | undefined)?.programmed === replicas
  })
}

/** Writes that the operator has sent so far, but for its Lease, which is written whatever happens. */
async function writes(probe: number): Promise<number> {
  const text = await metrics(probe)
  let sum = 0
  for (const [, method, count] of text.matchAll(/^rest_client_requests_total\{.*method="(\w+)".*\} (\d+)/gm)) {
    if (method === 'PATCH' || method === 'POST') sum += Number(count)
  }
  return sum
}

async function usage(probe: number): Promise<{ peakMemoryMB: number; cpuSeconds: number }> {
  const value = (name: string, text: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? 0)
  const text = await metrics(probe)
  return {
    peakMemoryMB: Math.round(value('process_resident_memory_peak_bytes', text) / 1e6),
    cpuSeconds: Math.round(value('process_cpu_seconds_total', text) * 10) / 10,
  }
}

async function metrics(probe: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${probe}/metrics`)).text()
}

/** Statuses are written at most twice a second. */
function quiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2_000))
}
