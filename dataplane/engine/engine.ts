import { OncePerSecond } from '#lib/log.ts'
import { Counters } from './counters.ts'
import { type Outcome, refuse } from './dialog/application.ts'
import { ApplicationList } from './dialog/application-list.ts'
import { ClientCore } from './dialog/client-core.ts'
import { DialogTable } from './dialog/dialog-table.ts'
import { ServerCore } from './dialog/server-core.ts'
import type { ClientTls, Engine, EngineOptions, ListenerAddress, TlsTarget } from './engine.types.ts'
import { Gate } from './gate.ts'
import { Intake } from './intake.ts'
import { Overload } from './overload.ts'
import { ProxyCore } from './proxy/proxy-core.ts'
import { TimerWheel } from './transaction/timer-wheel.ts'
import { Transactions } from './transaction/transactions.ts'
import { Listeners } from './transport/listeners.ts'
import { NextHops } from './transport/next-hop.ts'
import { Resolver } from './transport/resolver.ts'
import { openStream, type StreamParts } from './transport/stream-listener.ts'
import type { Listener, Receiver } from './transport/transport.ts'
import { openUdp } from './transport/udp.ts'
import { ApplicationServer, type ApplicationUser } from './wire/application-server.ts'

/** Builds an engine from its layers: message, transport, transaction, dialog, wire. Nothing is open yet. */
export function createEngine(options: EngineOptions): Engine {
  return assembleEngine(options).engine
}

/** An engine with its way in and its listeners, for transports of another making. */
export interface AssembledEngine {
  readonly engine: Engine
  readonly intake: Receiver
  readonly listeners: Listeners
}

/** The same engine, open to transports that are not its own: what they bring goes to `intake`. */
export function assembleEngine(options: EngineOptions): AssembledEngine {
  const { clock, log, admit } = options
  const counters = new Counters()
  const oncePerSecond = new OncePerSecond(clock)
  const wheel = new TimerWheel(clock)
  const listeners = new Listeners()
  const nextHops = new NextHops(listeners, new Resolver(clock, options.lookUp), clock)
  const dialogs = new DialogTable()
  const transactions = new Transactions(wheel, counters, {
    tryingFor: (transaction) => server.tryingFor(transaction),
    onServerTerminated: (transaction) => server.onTerminated(transaction),
  })
  const clients = new ClientCore({ transactions, dialogs, listeners, nextHops, counters })
  const proxies = new ProxyCore({ transactions, listeners, nextHops })
  const applications = new ApplicationList()
  const user: ApplicationUser = {
    request: (application, order, done) => clients.request(application, order, done),
    respond: (application, order, done) => server.respond(application, order, done),
    proxy: (application, order, progress) => server.proxy(application, order, progress),
    applicationGone(application) {
      server.applicationGone(application)
      clients.applicationGone(application)
    },
    addresses: () => [...listeners.all()].map((each) => `${each.transport.toLowerCase()}/${each.hostPort}`),
  }
  const applicationServer = new ApplicationServer({ clock, wheel, list: applications, user })
  const overload = options.busyShare === undefined ? undefined : new Overload(clock, options.busyShare)
  const server = new ServerCore({
    transactions,
    dialogs,
    applications,
    clients,
    proxies,
    counters,
    admit(source) {
      const { address, port, connection } = source
      const listener = source.listener.name
      if (admit({ address, port, listener, names: connection?.names ?? none })) return true
      counters.count('ignored_unknown_source')
      oncePerSecond.run(address, (heldBack) =>
        log.info({ listener, address, port, heldBack }, 'A request of an unknown source got no answer.'),
      )
      return false
    },
    admitCall: () => overload === undefined || overload.admits(),
    random: Math.random,
  })
  const gate = new Gate({
    ...{ clock, counters },
    admits: (address, port, { name: listener }) => admit({ address, port, listener, names: none }),
  })
  const intake = new Intake({ transactions, server, gate, counters, log, oncePerSecond })
  const streams: StreamParts = { receiver: intake, wheel, random: Math.random, tlsTo: options.tlsTo ?? strictTls }

  const engine: Engine = {
    async open(wanted) {
      if (listeners.get(wanted.name) !== undefined) throw new Error(`listener ${wanted.name} is open already`)
      const listener = await (wanted.transport === 'UDP' ? openUdp(wanted, intake) : openStream(wanted, streams))
      listeners.add(listener)
      return addressOf(listener)
    },
    reload(wanted) {
      const listener = listeners.get(wanted.name)
      if (listener === undefined) throw new Error(`listener ${wanted.name} is not open`)
      listener.reload(wanted)
    },
    async close(name) {
      const listener = listeners.get(name)
      listeners.remove(name)
      await listener?.close()
    },
    serve: (secret) => applicationServer.listen(secret),
    join(application) {
      applications.add(application)
      return {
        request: (order, done) => attempt(() => user.request(application, order, done), done),
        respond: (order, done) => attempt(() => user.respond(application, order, done), done),
        leave() {
          applications.remove(application)
          user.applicationGone(application)
        },
      }
    },
    counters: counters.values,
    gauges: () => ({
      serverTransactions: transactions.serverCount,
      clientTransactions: transactions.clientCount,
      dialogs: dialogs.count,
      connections: [...listeners.all()].reduce((sum, listener) => sum + listener.connections, 0),
      applications: applications.count,
      timers: wheel.count,
      overloaded: overload?.limiting === true ? 1 : 0,
    }),
    async stop() {
      await applicationServer.stop()
      transactions.stop()
      server.stop()
      clients.stop()
      proxies.stop()
      dialogs.stop()
      wheel.stop()
      await Promise.all([...listeners.all()].map((listener) => listener.close()))
    },
  }
  return { engine, intake, listeners }
}

/** An order that cannot be written as a message is refused; it must not end the engine. */
function attempt(obey: () => void, done: (outcome: Outcome) => void): void {
  try {
    obey()
  } catch (error) {
    done(refuse(error instanceof Error ? error.message : String(error)))
  }
}

function addressOf({ name, transport, address, port }: Listener): ListenerAddress {
  return { name, transport, address, port }
}

const none: readonly string[] = []

/** What is asked of a peer that nothing is known of: a certificate of a public authority, for the host of the URI. */
function strictTls({ host }: TlsTarget): ClientTls {
  return {
    identity: host,
    serverName: host,
    verify: true,
    authorities: undefined,
    names: [host],
    credentials: undefined,
    minVersion: 'TLSv1.2',
  }
}
