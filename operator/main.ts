import { randomUUID } from 'node:crypto'
import { createServer } from 'node:https'
import { systemClock as clock } from '#lib/clock.ts'
import { crashOnFaults, endOn, type Part, startParts, stopParts } from '#lib/lifetime.ts'
import { createLog, type Log } from '#lib/log.ts'
import { Readiness } from '#lib/ready.ts'
import { Secret } from '#lib/secret.ts'
import type { CertificateSet } from './certificates/plan.ts'
import { Cluster, fleetOfTrunk, type OurObject, sipTrunks, voiceServices } from './cluster.ts'
import { commands } from './commands.ts'
import { ControlCertificate, secrets } from './control-certificate.ts'
import { type Env, EnvError, readEnv } from './env.ts'
import { FleetStatuses } from './fleet-statuses.ts'
import { Informers } from './informers.ts'
import { waitForKinds } from './installation.ts'
import { Applier } from './kube/apply.ts'
import { KubeClient } from './kube/client.ts'
import { Controller } from './kube/controller.ts'
import { EventRecorder } from './kube/events.ts'
import { LeaderElection } from './kube/leader-election.ts'
import { kubeMetrics } from './kube/metrics.ts'
import { type Probes, serveProbes } from './kube/probes.ts'
import { Reflector } from './kube/reflector.ts'
import { keyOf } from './kube/resource.ts'
import { StatusWriter } from './kube/status-writer.ts'
import { configFromSurroundings } from './kube/kubeconfig.ts'
import { Pace } from './pace.ts'
import { PodFailures } from './pod-failures.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { PushServer, pushPath } from './push/push-server.ts'
import { tokenReview } from './push/token-review.ts'
import { FleetReconciler } from './reconcile.ts'
import { Rivals } from './rivals.ts'
import { goneIn, isStatusOnly, ownedKinds, watchesOf, wokenBy } from './watch.ts'

/** One operator replica: builds its parts, starts them in order, and stops them in reverse when it is told to end. */
async function run(env: Env, log: Log): Promise<void> {
  const namespace = env.SBCFLEET_POD_NAMESPACE
  const controlHost = `${env.SBCFLEET_CONTROL_SERVICE}.${namespace}.svc`
  const ending = new AbortController()
  const readiness = new Readiness()
  const certified = readiness.task('a certificate')
  const synced = readiness.task('the state of the cluster')

  const metrics = kubeMetrics()
  addProcessMetrics(metrics.registry)
  const api = new KubeClient({ config: configFromSurroundings(), clock, metrics })
  const cluster = new Cluster(ownedKinds, log)
  const watches = watchesOf(cluster)
  const informers = new Informers({
    api,
    watches,
    namespaces: env.SBCFLEET_NAMESPACES,
    clock,
    log,
    metrics,
    onListed: () => wakeAll(),
  })
  const events = new EventRecorder({
    api,
    controller: 'sbcfleet.dev/operator',
    instance: env.SBCFLEET_POD_NAME,
    clock,
    log,
  })
  const writer = new StatusWriter({ api, clock, log, metrics })
  const applier = new Applier(api)
  const rivals = new Rivals({ api, own: markOf(env), clock })
  const election = new LeaderElection({
    api,
    lease: { namespace, name: env.SBCFLEET_LEASE },
    identity: `${env.SBCFLEET_POD_NAME}_${randomUUID()}`,
    onElected: (epoch) => {
      push.lead(epoch)
      certificate.check()
      wakeAll()
    },
    onLost: () => {
      log.error({}, 'another one leads; starting anew')
      process.exit(1)
    },
    clock,
    log,
    metrics,
  })
  const isLeader = () => election.epoch !== undefined
  const push = new PushServer({
    clock,
    log,
    authenticate: tokenReview(api),
    epoch: -1,
    onHigherEpoch: (epoch) => election.exceed(epoch),
  })
  const server = createServer({ minVersion: 'TLSv1.3' })
  push.attach(server)
  let used: CertificateSet | undefined
  const certificate = new ControlCertificate({
    api,
    secret: { namespace, name: env.SBCFLEET_TLS_SECRET },
    dnsNames: [controlHost, `${controlHost}.cluster.local`],
    issues: env.SBCFLEET_TLS_ISSUER === 'Operator',
    isLeader,
    onChange: (set) => {
      used = set
      server.setSecureContext({ cert: set.server.certificate, key: set.server.key, minVersion: 'TLSv1.3' })
      certified()
      wakeAll()
    },
    clock,
    log,
  })
  const controlSecret = new Reflector({
    client: api,
    resource: secrets,
    selection: { namespace, fieldSelector: `metadata.name=${env.SBCFLEET_TLS_SECRET}` },
    sink: {
      replace: ([secret]) => certificate.see(secret),
      upsert: (secret) => certificate.see(secret),
      remove: () => certificate.see(undefined),
    },
    clock,
    log,
    metrics,
  })
  const statuses = new FleetStatuses({ replicas: (fleet) => push.replicas(fleet), writer, events, clock })
  const settings = () => used && replicaSettings(env, controlHost, used.authorities)
  // Every operator replica has it, nobody else does, and it changes when the certificate is renewed.
  const nonceRoot = () => used && new Secret(used.server.key)
  const reconciler = new FleetReconciler({
    cluster,
    api,
    applier,
    push,
    statuses,
    isLeader,
    rivals,
    podFailures: new PodFailures({ api, clock, log }),
    isListed: (namespace) => informers.isListed(namespace),
    settings,
    nonceRoot,
    clock,
    log,
  })
  const pace = new Pace(clock)
  const controller = new Controller({
    name: 'fleet',
    reconcile: (key, signal) => pace.time(key, () => reconciler.reconcile(key, signal)),
    workers: 4,
    clock,
    log,
    metrics,
  })

  const wake = (fleet: string) => controller.queue.addAfter(fleet, pace.delay(fleet))
  const wakeAll = () => {
    for (const service of cluster.voiceServices.list()) wake(keyOf(service))
    for (const trunk of cluster.trunks.list()) wake(fleetOfTrunk(trunk))
  }
  for (const watch of watches) {
    watch.store.onChange((change) => {
      const gone = goneIn(change)
      if (gone !== undefined) {
        if (watch.resource === voiceServices || watch.resource === sipTrunks) {
          statuses.forget(watch.resource, gone as OurObject)
          if (watch.resource === voiceServices) pace.forget(change.key)
        } else applier.forget(watch.resource, change.key)
      }
      if (!isStatusOnly(watch, change)) for (const fleet of wokenBy(watch, change)) wake(fleet)
    })
  }
  push.onChange(wake)

  let probes: Probes | undefined
  const { SBCFLEET_ADDRESS: host, SBCFLEET_PROBE_PORT: probePort, SBCFLEET_CONTROL_PORT: controlPort } = env
  const parts: readonly Part[] = [
    // Reads readiness and all counters. Writes nothing.
    {
      name: 'probes',
      start: async () => (probes = await serveProbes({ host, port: probePort, readiness, registry: metrics.registry })),
      stop: () => probes?.close(),
    },
    // Reads the kinds of the API server. Writes nothing.
    { name: 'kinds', start: () => waitForKinds({ api, clock, log }, ending.signal) },
    // Reads everything that fleets are made of. Writes the stores.
    {
      name: 'informers',
      start: async () => {
        informers.start()
        await informers.synced()
        synced()
      },
      stop: () => informers.stop(),
    },
    // Reads the Lease. Writes the Lease, and makes this process the one that writes.
    { name: 'leader election', start: () => election.start(), stop: () => election.stop() },
    // Reads the Secret with the certificate. Writes it, where that is our business.
    {
      name: 'certificate',
      start: () => controlSecret.start(),
      stop: async () => {
        await controlSecret.stop()
        await certificate.stop()
      },
    },
    // Reads answers and reports of replicas. Writes deltas to them, when this process leads.
    {
      name: 'push',
      start: () =>
        new Promise<void>((resolve, reject) => server.once('error', reject).listen(controlPort, host, resolve)),
      stop: async () => {
        await push.close()
        await new Promise((resolve) => server.close(resolve))
      },
    },
    // Reads the stores and the replicas' answers. Writes snapshots, objects, finalizers, statuses and events.
    {
      name: 'fleets',
      start: () => controller.start(),
      stop: async () => {
        await controller.stop()
        await writer.stop()
        await events.stop()
      },
    },
  ]
  endOn(async () => {
    ending.abort(new Error('ending'))
    await stopParts(parts, log)
  }, log)
  await startParts(parts, log)
  log.info({ namespaces: env.SBCFLEET_NAMESPACES, controlHost }, 'running')
}

async function start(): Promise<void> {
  const env = readEnv()
  const log = createLog({ level: env.SBCFLEET_LOG_LEVEL, name: env.SBCFLEET_POD_NAME })
  crashOnFaults(log)
  await run(env, log)
}

/** By which operators of other releases know us. */
function markOf(env: Env): string {
  return `${env.SBCFLEET_POD_NAMESPACE}/${env.SBCFLEET_LEASE}`
}

function replicaSettings(env: Env, controlHost: string, authorities: string) {
  return {
    operator: markOf(env),
    image: env.SBCFLEET_REPLICA_IMAGE,
    imagePullPolicy: env.SBCFLEET_REPLICA_IMAGE_PULL_POLICY,
    imagePullSecrets: env.SBCFLEET_REPLICA_IMAGE_PULL_SECRETS,
    controlUrl: `wss://${controlHost}:${env.SBCFLEET_CONTROL_PORT}${pushPath}`,
    authorities,
    logLevel: env.SBCFLEET_REPLICA_LOG_LEVEL,
  }
}

try {
  const [name, ...args] = process.argv.slice(2)
  const command = name === undefined ? undefined : commands[name]
  if (name !== undefined && command === undefined) {
    throw new Error(`there is no command ${name}; there are ${Object.keys(commands).join(' and ')}, and none to run`)
  }
  if (command === undefined) await start()
  else process.stdout.write(`${await command(args)}\n`)
} catch (error) {
  const problems = error instanceof EnvError ? error.problems : [error instanceof Error ? error.message : String(error)]
  process.stderr.write(`${problems.join('\n')}\n`)
  process.exit(error instanceof EnvError ? 2 : 1)
}
