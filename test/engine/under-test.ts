import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Log } from '#lib/log.ts'
import { takenMethods } from '../../dataplane/call/header-relay.ts'
import { createEngine } from '../../dataplane/engine/engine.ts'
import type { EngineOptions, ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import { FrameDecoder } from '../../dataplane/engine/wire/frame-decoder.ts'
import { askAddresses } from '../../dataplane/sip/drachtio-addresses.ts'
import { connectDrachtio, type DrachtioAddress } from '../../dataplane/sip/drachtio-port.ts'
import { EnginePort } from '../../dataplane/sip/engine-port.ts'
import type { SipPort } from '../../dataplane/sip/port.ts'
import { StrictPort } from '../../dataplane/sip/strict-port.ts'

/** A port, as a replica has it, and how its connection is ended. */
export type ConnectedPort = Required<SipPort> & { close(): void }

/**
 * The engine that a suite runs on: our own, or the drachtio-server at DRACHTIO_ADDRESS where the suite runs as the project
 * `drachtio` of `vitest.config.ts`.
 */
export interface EngineUnderTest {
  /** Opens a listener on a free port of the address, or takes one of the server's that no one has taken yet. */
  open(name: string, transport: 'UDP' | 'TCP', address: string): Promise<ListenerAddress>
  /** Connects an application, as a replica does unless told otherwise. */
  connect(log: Log, how?: Connection, secret?: string): Promise<ConnectedPort>
  /** Numbers of what is alive in it; undefined where it does not tell. */
  gauges(): Record<string, number> | undefined
  stop(): Promise<void>
}

export type Connection = 'over the network' | 'within the process'

/** The ways to connect to the engine under test. */
export function connections(): readonly Connection[] {
  return serverUnderTest() === undefined ? ['over the network', 'within the process'] : ['over the network']
}

/** As a replica has it, but in the project `protocol` of `vitest.config.ts`. */
function usualConnection(): Connection {
  return process.env['SBCFLEET_TEST_CONNECTION'] === 'over the network' ? 'over the network' : 'within the process'
}

export function engineUnderTest(options: Pick<EngineOptions, 'clock' | 'log' | 'admit'>): EngineUnderTest {
  const server = serverUnderTest()
  return server === undefined ? embedded(options) : drachtio(server)
}

/** The drachtio-server at hand, in the project `drachtio`; undefined in all other runs. */
export function serverUnderTest(): DrachtioAddress | undefined {
  const { SBCFLEET_TEST_ENGINE: engine, DRACHTIO_ADDRESS: address = '', DRACHTIO_SECRET: secret = '' } = process.env
  if (engine !== 'Drachtio') return undefined
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)), secret }
}

function embedded(options: Pick<EngineOptions, 'clock' | 'log' | 'admit'>): EngineUnderTest {
  const right = 'a secret of the tests'
  const engine = createEngine(options)
  return {
    open: (name, transport, address) => engine.open({ name, transport, address, port: 0 }),
    async connect(log, how = usualConnection(), secret = right) {
      if (how === 'within the process') return new EnginePort(engine, takenMethods, log)
      return connectDrachtio({ host: '127.0.0.1', port: (await engine.serve(right)).port, secret }, log)
    },
    gauges: () => engine.gauges(),
    stop: () => engine.stop(),
  }
}

function drachtio(server: DrachtioAddress): EngineUnderTest {
  const taken = new Set<number>()
  const streams = new Set<Socket>()
  let routed = Promise.resolve()
  // The server goes on after the test; what is between can end.
  const relay = createServer((near) => {
    const far = connect(server.port, server.host)
    routed = lastRoute(near, far)
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      streams.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  return {
    async open(name, transport, address) {
      // The first of a transport is the one that it sends from.
      const served = (await askAddresses(server)).toSorted((one, other) => one.port - other.port)
      const free = served.find(
        (one) => one.transport === transport.toLowerCase() && one.address === address && !taken.has(one.port),
      )
      if (free === undefined) {
        throw new Error(`the drachtio-server needs one more --contact 'sip:${address}:PORT;transport=udp,tcp'`)
      }
      taken.add(free.port)
      return { name, transport, address, port: free.port }
    },
    async connect(log, _how, secret = server.secret) {
      if (!relay.listening) await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
      const { port } = relay.address() as AddressInfo
      const connected = await connectDrachtio({ host: '127.0.0.1', port, secret }, log)
      await routed
      return Object.assign(new StrictPort(connected), { close: () => connected.close() })
    },
    gauges: () => undefined,
    async stop() {
      relay.close()
      for (const stream of streams) stream.destroy()
      // Once it serves another it has heard of that, and gives no request to who is gone.
      await askAddresses(server)
    },
  }
}

/**
 * Resolves when the server has answered all that an application asked of it up to the last method: before, it refuses requests of
 * that method. drachtio-srf is connected as soon as the secret was taken.
 */
function lastRoute(application: Socket, server: Socket): Promise<void> {
  const [asked, answered] = [new FrameDecoder(), new FrameDecoder()]
  let open = 0
  let all = false
  application.on('data', (bytes: Buffer) => {
    for (const frame of asked.push(bytes).frames) {
      open++
      all ||= frame.endsWith('|route|register')
    }
  })
  return new Promise((resolve) => {
    server.on('data', (bytes: Buffer) => {
      open -= answered.push(bytes).frames.filter((frame) => frame.includes('|response|')).length
      if (all && open === 0) resolve()
    })
  })
}
