import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Readiness } from '#lib/ready.ts'
import { takenMethods } from './call/header-relay.ts'
import type { Applier } from './config/apply.ts'
import { createEngine } from './engine/engine.ts'
import type { Engine, EngineOptions } from './engine/engine.types.ts'
import { eventLoopShare } from './engine/overload.ts'
import type { Env } from './env.ts'
import { followDrachtio } from './sip/drachtio-port.ts'
import { DrachtioServer } from './sip/drachtio-server.ts'
import { EnginePort } from './sip/engine-port.ts'
import type { SipPort } from './sip/port.ts'
import { StrictPort } from './sip/strict-port.ts'
import type { SipStatistics } from './sip-metrics.ts'

/** What speaks SIP for the replica, whichever engine it is. */
export interface SipServer {
  readonly sip: SipPort
  /** Ends the connection of the port, and every transaction with it. */
  disconnect(): void
  readonly sockets: Pick<Engine, 'open' | 'reload' | 'close'>
  readonly statistics: SipStatistics
  /** From here on the configuration is told what becomes of its listeners. */
  watch(applier: Pick<Applier, 'setTroubles'>): void
  stop(): Promise<void> | undefined
}

/** The engine of the replica itself, in the same process. */
export function startEmbedded(options: Pick<EngineOptions, 'clock' | 'log' | 'admit' | 'tlsTo' | 'lookUp'>): SipServer {
  const engine = createEngine({ ...options, busyShare: eventLoopShare() })
  const sip = new EnginePort(engine, takenMethods, options.log)
  return {
    sip,
    disconnect: () => sip.close(),
    sockets: engine,
    statistics: engine,
    watch: () => {},
    stop: () => engine.stop(),
  }
}

/** Bytes of the largest message; a larger one silences drachtio-server's connection for good (drachtio-server#159). */
const largestFrame = 12_000

/** How long after it has come back the server may take to open all of its sockets, in milliseconds. */
const settleMilliseconds = 5_000

/**
 * A drachtio-server beside the replica. It may come later than the replica, and go and come back: meanwhile the replica
 * is not ready, its listeners are in trouble, and calls are lost, since all that there was of them was in the server.
 */
export function followServer(
  drachtio: NonNullable<Env['drachtio']>,
  { clock, log, readiness }: { clock: Clock; log: Log; readiness: Readiness },
): SipServer {
  const { host, port: tcpPort } = drachtio
  const address = { host, port: tcpPort, secret: drachtio.secret.reveal() }
  const name = `drachtio-server at ${host}:${tcpPort}`
  const server = new DrachtioServer(address, log)
  let connected = false
  let applier: Pick<Applier, 'setTroubles'> | undefined
  let there = readiness.task(name)
  let looks = 0
  const look = async () => {
    const turn = ++looks
    const troubles = await server.troubles()
    if (turn === looks) applier?.setTroubles(troubles)
  }
  const port = followDrachtio(
    address,
    log,
    {
      onConnect() {
        connected = true
        there()
        log.info({ host, port: tcpPort }, 'the SIP server is there')
        void look()
        clock.after(settleMilliseconds, () => void look())
      },
      onRefused: (error) => log.error({ host, port: tcpPort }, `${error.message}; give both the same`),
      onClosed() {
        if (!connected) return
        connected = false
        there = readiness.task(name)
        log.error({ host, port: tcpPort }, 'the SIP server went away, and all calls with it')
        void look()
      },
    },
    largestFrame,
  )
  return {
    sip: new StrictPort(port),
    disconnect: () => port.close(),
    sockets: server,
    statistics: { gauges: () => ({ applications: connected ? 1 : 0 }) },
    watch: (watching) => void (applier = watching),
    stop: () => undefined,
  }
}
