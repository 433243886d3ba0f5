import { randomUUID } from 'node:crypto'
import { systemClock as clock } from '#lib/clock.ts'
import { createLog, type Log } from '#lib/log.ts'
import { Readiness } from '#lib/ready.ts'
import { serveAdmin } from './admin.ts'
import { CallCounters } from './call-counters.ts'
import { Calls } from './call/calls.ts'
import { Applier } from './config/apply.ts'
import { ControlClient } from './config/control-client.ts'
import { LastGood } from './config/last-good.ts'
import { LastMembers } from './config/last-members.ts'
import { nextHopLookup } from './dns/next-hop-lookup.ts'
import { createLocate, createPeerLocate } from './dns/system-locate.ts'
import { Drain } from './drain.ts'
import { copyEnvironment, EnvError, readEnv, type Env } from './env.ts'
import { HostMetrics } from './host-metrics.ts'
import { type HttpDoor, serveHealth } from './health.ts'
import { adminSources, metricsOf } from './inspection.ts'
import { crashOnFaults, endOn, showLife, startParts, stopParts, type Part } from '#lib/lifetime.ts'
import { EnginePool } from './media/engine-pool.ts'
import { tlsTowards } from './policy/peer-tls.ts'
import { admitSource } from './policy/inbound-trunk.ts'
import { followServer, startEmbedded } from './sip-server.ts'
import { Trunks } from './trunks/trunks.ts'

/** One replica: builds its parts, starts them in order, and stops them in reverse when it is told to end. */
async function run(env: Env, log: Log): Promise<void> {
  const { fleet, replica, addresses } = env
  const { random } = Math
  const readiness = new Readiness()
  const configured = readiness.task('a configuration with a listener')

  const locate = createLocate(clock, env.dnsServers)
  const server =
    env.drachtio === undefined
      ? startEmbedded({
          clock,
          log,
          lookUp: nextHopLookup(createPeerLocate(clock, env.dnsServers), random),
          // Asked only once sockets are open, and by then everything below is there.
          admit: ({ listener: socket, ...source }) => {
            const listener = applier.listenerOf(socket)
            return listener !== undefined && admitSource(running, trunks, { ...source, listener })
          },
          tlsTo: ({ listener: socket, ...target }) =>
            tlsTowards({ ...target, listener: applier.listenerOf(socket) ?? '' }, running.current, trunks),
        })
      : followServer(env.drachtio, { clock, log, readiness })
  const { sip } = server
  const applier = new Applier({ fleet, addresses, sockets: server.sockets, clock, log })
  server.watch(applier)
  const { running } = applier
  const lastGood = env.stateDirectory === undefined ? undefined : new LastGood(env.stateDirectory, log)
  const lastMembers = env.stateDirectory === undefined ? undefined : new LastMembers(env.stateDirectory, log)
  const trunks = new Trunks({ sip, running, replica, locate, clock, log, random })
  const engines = new EnginePool({ clock, log, cookiePrefix: `${randomUUID()}_` })
  const callCounters = new CallCounters()
  const host = new HostMetrics()
  const calls = new Calls({ sip, engines, running, health: trunks, events: callCounters, clock, log, random })
  const client = new ControlClient({
    urls: env.controlUrls,
    token: env.token,
    authorities: env.authorities,
    fleet,
    replica,
    instance: randomUUID(),
    applier,
    report: () => ({ targets: trunks.targets(), registrations: trunks.registrations(), calls: calls.count }),
    onMembers: (epoch, replicas) => {
      trunks.setMembers(epoch, replicas)
      lastMembers?.save(fleet, replicas)
    },
    onFindings: (findings) => trunks.setFindings(findings),
    onConnection: (connected) => trunks.setConnected(connected),
    clock,
    log,
    random,
  })
  const drain = new Drain({
    calls,
    readiness,
    clock,
    log,
    announce: () => client.drain(),
    handOver: () => trunks.handOver(),
    deadlineMilliseconds: env.drainMilliseconds,
  })
  const inspected = {
    engine: server.statistics,
    applier,
    trunks,
    calls,
    callCounters,
    host,
    engines,
    client,
    drain,
    readiness,
    log,
  }

  running.onChange((next) => {
    if (next.listeners.size > 0) configured()
    engines.configure(next.mediaEngines.values())
    lastGood?.save(next)
  })
  trunks.onChange(() => client.reportSoon())
  calls.onCountChange(() => client.reportSoon())

  const parts: readonly Part[] = [
    // Reads nothing. Writes SIP to and from the network, and the drachtio protocol for the port.
    { name: 'SIP server', start: () => undefined, stop: () => server.stop() },
    { name: 'SIP port', start: () => undefined, stop: () => server.disconnect() },
    // Reads readiness and all counters. Writes nothing.
    door('health', env.healthPort, log, (port) =>
      serveHealth({ host: env.healthAddress, port, readiness, metrics: () => metricsOf(inspected) }),
    ),
    // Reads the running configuration. Writes offers, answers and pings to the media engines.
    { name: 'media engines', start: () => undefined, stop: () => engines.stop() },
    // Reads the running configuration and the trunks' health. Writes calls.
    { name: 'calls', start: () => calls.start() },
    // Reads the running configuration and the members. Writes OPTIONS, REGISTER and the trunks' health.
    { name: 'trunks', start: () => trunks.start(), stop: () => trunks.stop() },
    // Reads and writes the disk. Writes the members that count until others are named.
    { name: 'members', start: () => recall(trunks, lastMembers, fleet), stop: () => lastMembers?.flush() },
    // Reads the disk, then deltas. Writes the running configuration, sockets, and the disk.
    { name: 'configuration', start: () => restore(applier, lastGood, fleet), stop: () => settle(applier, lastGood) },
    // Reads deltas and members from the control side. Writes answers and reports to it.
    { name: 'control client', start: () => client.start(), stop: () => client.stop() },
    // Reads everything, on this machine only. Writes the log level, and begins to drain.
    door('admin', env.adminPort, log, (port) => serveAdmin(port, adminSources(inspected))),
  ]
  endOn(async (hurry) => {
    await drain.begin(hurry ? 0 : undefined)
    await stopParts(parts, log)
  }, log)
  await startParts(parts, log)
  showLife()
}

/** An HTTP door, where a port is given for it. */
function door(name: string, port: number | undefined, log: Log, open: (port: number) => Promise<HttpDoor>): Part {
  let opened: HttpDoor | undefined
  return {
    name,
    async start() {
      if (port === undefined) return
      opened = await open(port)
      log.info({ port: opened.port }, `${name} is served`)
    },
    stop: () => opened?.close(),
  }
}

/** What ran last runs again, before any control side is there. */
async function restore(applier: Applier, lastGood: LastGood | undefined, fleet: string): Promise<void> {
  const change = await lastGood?.load(fleet)
  if (change !== undefined) await applier.apply(change)
}

/** Who shared the work last still does, until a control side says otherwise. */
async function recall(trunks: Trunks, lastMembers: LastMembers | undefined, fleet: string): Promise<void> {
  const replicas = await lastMembers?.load(fleet)
  if (replicas !== undefined) trunks.recall(replicas)
}

async function settle(applier: Applier, lastGood: LastGood | undefined): Promise<void> {
  await applier.stop()
  await lastGood?.flush()
}

try {
  copyEnvironment()
  const env = readEnv()
  const log = createLog({ level: env.logLevel, name: env.replica })
  crashOnFaults(log)
  await run(env, log)
} catch (error) {
  const problems = error instanceof EnvError ? error.problems : [error instanceof Error ? error.message : String(error)]
  process.stderr.write(`${problems.join('\n')}\n`)
  process.exit(error instanceof EnvError ? 2 : 1)
}
