import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, eventually } from './cluster.ts'

/** A part of the story, in which something must come true. */
export interface Scene {
  readonly name: string
  readonly play: (cluster: Cluster) => Promise<void>
}

interface Resource {
  readonly metadata: { readonly name: string; readonly generation: number }
  readonly spec: Readonly<Record<string, unknown>>
  readonly status?: {
    readonly observedGeneration?: number
    readonly replicas?: { readonly desired: number; readonly ready: number; readonly programmed: number }
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly status: { readonly podIP?: string; readonly containerStatuses?: readonly { readonly ready: boolean }[] }
}

const root = join(import.meta.dirname, '../..')
const quickstart = join(root, 'examples/quickstart')
const fleetPods = ['pods', '-n', 'voice', '-l', 'app.kubernetes.io/component=replica']
let peers: ReturnType<Cluster['start']> | undefined

/** The story, in order. */
export const scenes: readonly Scene[] = [
  {
    name: 'the chart is installed, and says that it is ready',
    async play(cluster) {
      const images = ['image', 'replicaImage'].flatMap((image) => [
        '--set',
        `${image}.tag=e2e,${image}.pullPolicy=Never`,
      ])
      const chart = join(root, 'charts/sbcfleet')
      await cluster.helm('install', 'sbcfleet', chart, '-n', 'sbcfleet', '--create-namespace', '--wait', ...images)
      await cluster.helm('test', 'sbcfleet', '-n', 'sbcfleet')
    },
  },
  {
    name: 'the quickstart is applied, and everything of it is True',
    async play(cluster) {
      const address = await nodeAddress(cluster)
      peers = cluster.start('node', join(root, 'test/e2e/peers.ts'), address)
      await cluster.kubectl('create', 'namespace', 'voice')
      await cluster.kubectl('label', 'namespace', 'voice', 'pod-security.kubernetes.io/enforce=restricted')
      await cluster.apply(manifests(address))
      await isTrue(cluster, 'vsvc', 'edge', ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'])
      await isTrue(cluster, 'sipt', 'carrier', ['Ready', 'Registered', 'Reachable'])
      await isTrue(cluster, 'sipt', 'pbx', ['Ready', 'Reachable'])
    },
  },
  { name: 'a SIPp call goes through each replica', play: callThroughAll },
  {
    name: 'kubectl scale adds two replicas and takes them away',
    async play(cluster) {
      await scale(cluster, 4)
      await callThroughAll(cluster)
      await scale(cluster, 2)
      await isTrue(cluster, 'sipt', 'carrier', ['Ready', 'Registered', 'Reachable'])
    },
  },
  {
    name: 'a rolling update replaces every replica',
    async play(cluster) {
      const before = (await podsOf(cluster)).map(({ metadata }) => metadata.uid)
      const template = { annotations: { 'example.com/restarted': 'once' } }
      await cluster.kubectl(
        'patch',
        'vsvc',
        'edge',
        '-n',
        'voice',
        '--type=merge',
        '-p',
        JSON.stringify({ spec: { template } }),
      )
      await eventually(
        'all pods are new and ready',
        300,
        () => podsOf(cluster),
        (pods) => pods.length === 2 && pods.every((pod) => !before.includes(pod.metadata.uid) && isReady(pod)),
      )
      await replicasAre(cluster, 2)
      await callThroughAll(cluster)
    },
  },
  {
    name: 'the leader is killed, and the stand-by pushes a change within 20 s',
    async play(cluster) {
      const lease = await cluster.get<{ spec: { holderIdentity: string } }>('lease', 'sbcfleet', '-n', 'sbcfleet')
      const leader = lease.spec.holderIdentity.split('_')[0] ?? ''
      await cluster.kubectl('delete', 'pod', leader, '-n', 'sbcfleet', '--force', '--grace-period=0')
      const patch = { spec: { keepalive: { upIntervalSeconds: 31 } } }
      await cluster.kubectl('patch', 'sipt', 'pbx', '-n', 'voice', '--type=merge', '-p', JSON.stringify(patch))
      const { metadata } = await cluster.get<Resource>('sipt', 'pbx', '-n', 'voice')
      await isTrue(cluster, 'sipt', 'pbx', ['Programmed', 'Ready'], 20, metadata.generation)
      await callThroughAll(cluster)
    },
  },
  {
    name: 'a replica is killed, and its successor serves',
    async play(cluster) {
      await cluster.kubectl('delete', 'pod', 'edge-0', '-n', 'voice', '--force', '--grace-period=0')
      await replicasAre(cluster, 2)
      await isTrue(cluster, 'sipt', 'carrier', ['Ready', 'Registered', 'Reachable'])
      await callThroughAll(cluster)
    },
  },
  {
    name: 'a changed password reaches the trunk, and a Secret that is deleted is said to be missing',
    async play(cluster) {
      const account = manifestOf('carrier-account.yaml')
      await cluster.kubectl('delete', 'secret', 'carrier-account', '-n', 'voice')
      await eventually(
        'the trunk says that its Secret is missing',
        60,
        () => cluster.get<Resource>('sipt', 'carrier', '-n', 'voice'),
        (trunk) => conditionOf(trunk, 'ResolvedRefs') === 'False',
      )
      await cluster.apply(account)
      await isTrue(cluster, 'sipt', 'carrier', ['ResolvedRefs', 'Ready', 'Registered'])
    },
  },
  {
    name: 'kubectl delete un-registers, and leaves nothing behind',
    async play(cluster) {
      await cluster.kubectl('delete', 'sipt,vsvc', '--all', '-n', 'voice', '--timeout=180s')
      await cluster.kubectl('delete', 'secret', 'carrier-account', '-n', 'voice')
      await eventually(
        'nothing is registered',
        60,
        async () => peers?.last(),
        (last) => last === 'registered 0',
      )
      await eventually(
        'the namespace is empty',
        300,
        () => objectsIn(cluster, 'voice'),
        (left) => left.length === 0,
      )
    },
  },
  {
    name: 'helm uninstall leaves nothing but the CustomResourceDefinitions and what the cluster itself made',
    async play(cluster) {
      await cluster.apply(manifests(await nodeAddress(cluster)))
      await isTrue(cluster, 'sipt', 'carrier', ['Ready'])
      await cluster.helm('uninstall', 'sbcfleet', '-n', 'sbcfleet', '--wait')
      // Without an operator these would hang, had their finalizers not been taken away.
      await cluster.kubectl('delete', 'sipt,vsvc', '--all', '-n', 'voice', '--timeout=180s')
      await cluster.kubectl('delete', 'lease', 'sbcfleet', '-n', 'sbcfleet')
      await cluster.kubectl('delete', 'secret', 'sbcfleet-control-tls', '-n', 'sbcfleet')
      await eventually(
        'the namespace is empty',
        300,
        () => objectsIn(cluster, 'sbcfleet'),
        (left) => left.length === 0,
      )
      const roles = await cluster.kubectl('get', 'clusterroles,clusterrolebindings', '-o', 'name')
      const ours = roles.split('\n').filter((name) => name.includes('sbcfleet'))
      if (ours.length > 0) throw new Error(`left behind: ${ours.join(', ')}`)
    },
  },
]

function manifestOf(name: string): string {
  return readFileSync(join(quickstart, name), 'utf8')
}

/** The quickstart, with its peers where pods can reach them. */
function manifests(address: string): string {
  return readdirSync(quickstart)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => manifestOf(name).replaceAll(/^([^#]*)127\.0\.0\.1/gm, `$1${address}`))
    .join('\n---\n')
}

async function nodeAddress(cluster: Cluster): Promise<string> {
  const path = '{.items[0].status.addresses[?(@.type=="InternalIP")].address}'
  return (await cluster.kubectl('get', 'nodes', '-o', `jsonpath=${path}`)).trim()
}

async function podsOf(cluster: Cluster): Promise<Pod[]> {
  const { items } = await cluster.get<{ items: Pod[] }>(...fleetPods)
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
}

function isReady({ status }: Pod): boolean {
  return status.containerStatuses?.every(({ ready }) => ready) === true && status.podIP !== undefined
}

function conditionOf({ status }: Resource, type: string): string | undefined {
  return status?.conditions?.find((one) => one.type === type)?.status
}

async function isTrue(
  cluster: Cluster,
  kind: string,
  name: string,
  types: readonly string[],
  seconds = 180,
  generation = 0,
) {
  await eventually(
    `${kind}/${name} is ${types.join(', ')}`,
    seconds,
    () => cluster.get<Resource>(kind, name, '-n', 'voice'),
    (object) =>
      (object.status?.observedGeneration ?? -1) >= generation &&
      types.every((type) => conditionOf(object, type) === 'True'),
  )
}

async function replicasAre(cluster: Cluster, count: number): Promise<void> {
  await eventually(
    `${count} replicas are programmed, and there are no others`,
    300,
    async () => ({ service: await cluster.get<Resource>('vsvc', 'edge', '-n', 'voice'), pods: await podsOf(cluster) }),
    ({ service, pods }) =>
      service.status?.replicas?.programmed === count && pods.length === count && pods.every(isReady),
  )
}

async function scale(cluster: Cluster, count: number): Promise<void> {
  await cluster.kubectl('scale', 'vsvc/edge', '-n', 'voice', `--replicas=${count}`)
  await replicasAre(cluster, count)
}

/** A call from the PBX's address to a number of the carrier, through every replica in turn. */
async function callThroughAll(cluster: Cluster): Promise<void> {
  const address = await nodeAddress(cluster)
  for (const { metadata, status } of await podsOf(cluster)) {
    const caller = ['sipp', '-sn', 'uac', '-i', address, '-p', '5091', '-nostdin', '-timeout', '60s', '-timeout_error']
    const call = ['-m', '1', '-d', '200', '-s', '5551234', `${status.podIP}:5060`]
    await cluster.exec(...caller, ...call).catch((error: unknown) => {
      throw new Error(`no call goes through ${metadata.name}: ${String(error).slice(-3000)}`)
    })
  }
}

/** What is in a namespace, but for what every namespace has and what fades away by itself. */
async function objectsIn(cluster: Cluster, namespace: string): Promise<string[]> {
  const kinds = await cluster.kubectl('api-resources', '--namespaced', '--verbs=list', '-o', 'name')
  const listed = kinds.split('\n').filter((kind) => kind !== '' && !/^events|^endpointslices|metrics/.test(kind))
  const names = await cluster.kubectl('get', listed.join(','), '-n', namespace, '-o', 'name', '--ignore-not-found')
  return names
    .split('\n')
    .filter((name) => name !== '' && !/^(serviceaccount\/default|configmap\/kube-root-ca.crt)$/.test(name))
}
