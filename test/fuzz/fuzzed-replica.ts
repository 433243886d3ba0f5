import { connect, type Socket as Stream } from 'node:net'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Calls } from '../../dataplane/call/calls.ts'
import { takenMethods } from '../../dataplane/call/header-relay.ts'
import type { RunningConfig } from '../../dataplane/config/running.ts'
import { assembleEngine, type AssembledEngine } from '../../dataplane/engine/engine.ts'
import type { ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import type { Flow, Listener, SendCallback } from '../../dataplane/engine/transport/transport.ts'
import { admitSource } from '../../dataplane/policy/inbound-trunk.ts'
import { health, listener, route, runningConfig, target, trunk } from '../../dataplane/policy/testing/configuration.ts'
import { connectDrachtio } from '../../dataplane/sip/drachtio-port.ts'
import { EnginePort } from '../../dataplane/sip/engine-port.ts'
import type { ConnectedPort, Connection } from '../engine/under-test.ts'

const secret = 'a secret of the tests'

/** The two sides of the replica, as a peer sees them, and the real sockets. */
export const sides = {
  pbx: { address: '192.0.2.10', port: 5060, listener: 'inside' },
  carrier: { address: '192.0.2.20', port: 5060, listener: 'outside' },
} as const
export type Side = keyof typeof sides

/** A listener without a socket: what is sent over it is told at once. */
class Wire implements Listener {
  readonly transport = 'UDP'
  readonly reliable = false
  readonly family = 4
  readonly address = '192.0.2.1'
  readonly connections = 0
  readonly advertised = undefined
  readonly name: string
  readonly port: number
  readonly hostPort: string
  readonly #onSent: (text: string) => void

  constructor(name: string, port: number, onSent: (text: string) => void) {
    this.name = name
    this.port = port
    this.hostPort = `192.0.2.1:${port}`
    this.#onSent = onSent
  }

  send(text: string, _flow: Flow, sent: SendCallback): undefined {
    this.#onSent(text)
    sent()
    return undefined
  }

  reload(): void {}

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/**
 * A replica in this process, as it is between a PBX and a carrier: engine and calls, and drachtio-srf where they are
 * connected over the network. What peers send is put in front of the parser, or goes over real sockets; what they are sent
 * is told to `onSent`. Time is turned by hand.
 */
export class FuzzedReplica {
  readonly clock = new ManualClock()
  readonly engine: AssembledEngine['engine']
  readonly calls: Calls
  /** Lines of errors that were logged. */
  readonly errors: string[] = []
  readonly #assembled: AssembledEngine
  readonly #sip: ConnectedPort
  readonly #connection: Connection
  readonly #flows: Readonly<Record<Side, Flow>>
  readonly #udp: Socket
  readonly #addresses: { readonly udp: ListenerAddress; readonly tcp: ListenerAddress }
  #stream: Stream | undefined
  #sent = 0

  private constructor(parts: {
    assembled: AssembledEngine
    sip: ConnectedPort
    connection: Connection
    addresses: { udp: ListenerAddress; tcp: ListenerAddress }
    udp: Socket
    config: RunningConfig
    clock: ManualClock
    onSent: (text: string, side: Side) => void
    errors: string[]
  }) {
    const { assembled, sip, config, onSent } = parts
    this.clock = parts.clock
    this.errors = parts.errors
    this.engine = assembled.engine
    this.#assembled = assembled
    this.#sip = sip
    this.#connection = parts.connection
    this.#udp = parts.udp
    this.#addresses = parts.addresses
    const wire = (side: Side, port: number): Flow => {
      const made = new Wire(sides[side].listener, port, (text) => {
        this.#sent++
        onSent(text, side)
      })
      assembled.listeners.add(made)
      return { listener: made, address: sides[side].address, port: sides[side].port, connection: undefined }
    }
    this.#flows = { pbx: wire('pbx', 5060), carrier: wire('carrier', 5070) }
    const running = { current: config, onChange: () => {} }
    const log = createLog({ level: 'error', name: 'fuzz', write: (line) => this.errors.push(line) })
    const { clock } = this
    this.calls = new Calls({ sip, running, health: health(config), clock, log, random: () => 0.5 })
    this.calls.start()
  }

  static async start(
    onSent: (text: string, side: Side) => void,
    connection: Connection = 'within the process',
  ): Promise<FuzzedReplica> {
    const clock = new ManualClock()
    const errors: string[] = []
    const log = createLog({ level: 'error', name: 'fuzz', write: (line) => errors.push(line) })
    const assembled = assembleEngine({
      clock,
      log,
      // Mutations make names; none of them may be asked for in the world.
      lookUp: (_sought, done) => done(undefined),
      // Asked when both sockets are open, and by then the configuration is there.
      admit: (source) => admitSource(running, health(running.current), source),
    })
    const { engine } = assembled
    const udp = await engine.open({ name: 'udp', transport: 'UDP', address: '127.0.0.1', port: 0 })
    const tcp = await engine.open({ name: 'tcp', transport: 'TCP', address: '127.0.0.1', port: 0 })
    const config = configuration(udp, tcp)
    const running = { current: config, onChange: () => {} }
    const sip =
      connection === 'within the process'
        ? new EnginePort(engine, takenMethods, log)
        : await connectDrachtio({ host: '127.0.0.1', port: (await engine.serve(secret)).port, secret }, log)
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    const addresses = { udp, tcp }
    return new FuzzedReplica({ assembled, sip, connection, addresses, udp: socket, config, clock, onSent, errors })
  }

  /** Puts a message in front of the parser, and returns how long it took until the engine was done with it, in milliseconds. */
  receive(text: string, side: Side): number {
    const start = performance.now()
    this.#assembled.intake.receive(text, this.#flows[side])
    return performance.now() - start
  }

  /** Sends it over a real socket; over TCP in two pieces, on a new connection where the last one was closed. */
  sendOver(transport: 'UDP' | 'TCP', text: string, cut: number): void {
    const bytes = Buffer.from(text, 'latin1')
    const { udp, tcp } = this.#addresses
    if (transport === 'UDP') return this.#udp.send(bytes.subarray(0, 65_000), udp.port, udp.address, () => {})
    if (this.#stream === undefined || !this.#stream.writable) {
      this.#stream?.destroy()
      this.#stream = connect(tcp.port, tcp.address)
      this.#stream.on('error', () => {})
      this.#stream.resume()
      this.#stream.setNoDelay(true)
    }
    this.#stream.write(bytes.subarray(0, cut))
    this.#stream.write(bytes.subarray(cut))
  }

  /**
   * Both real sockets still answer: the engine has not lost its way on either. What was sent over them before has been read
   * by then.
   */
  async answersOverSockets(): Promise<boolean> {
    const { udp, tcp } = this.#addresses
    await this.#endStream()
    const options = (transport: string) =>
      `OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/${transport} 127.0.0.1:9;branch=z9hG4bKalive${performance.now()};rport\r\n` +
      'From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: alive@h\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n'
    const socket = createSocket('udp4')
    const stream = connect(tcp.port, tcp.address)
    const answers = Promise.all([once(socket, 'message'), once(stream, 'data')])
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    // What finds the buffer of the socket full is lost.
    const ask = () => socket.send(options('UDP'), udp.port, udp.address)
    ask()
    const again = setInterval(ask, 250)
    stream.write(options('TCP'))
    const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 60_000).unref())
    const answered = await Promise.race([answers, late])
    clearInterval(again)
    socket.close()
    stream.destroy()
    return answered !== undefined
  }

  /** The engine closes its end when it has read all that came before ours. */
  async #endStream(): Promise<void> {
    const stream = this.#stream
    this.#stream = undefined
    if (stream === undefined || stream.destroyed) return
    const closed = once(stream, 'close')
    stream.end()
    await closed
  }

  /** Resolves when nothing moves between engine and application any more. */
  async settled(): Promise<void> {
    let seen = -1
    for (let quiet = 0; quiet < 4; quiet++) {
      // Over the network a millisecond is long enough for what was written to be there to read.
      await new Promise<void>((resolve) => {
        if (this.#connection === 'over the network') setTimeout(resolve, 1)
        else setImmediate(resolve)
      })
      const count = this.#sent + this.calls.count
      if (count !== seen) quiet = 0
      seen = count
    }
  }

  /** Ends all calls and lets the time pass after which nothing of them may be left. */
  async wipe(): Promise<void> {
    await this.settled()
    void this.calls.endAll('end of the round')
    for (let step = 0; step < 20; step++) {
      await this.settled()
      this.clock.advance(10_000)
    }
    await this.settled()
  }

  /** What is alive although nothing should be, as text; undefined when all is clear. */
  get leftover(): string | undefined {
    const { serverTransactions, clientTransactions, dialogs } = this.engine.gauges()
    const left = { serverTransactions, clientTransactions, dialogs, calls: this.calls.count }
    return Object.values(left).some((count) => count !== 0) ? JSON.stringify(left) : undefined
  }

  async stop(): Promise<void> {
    this.#sip.close()
    this.#stream?.destroy()
    this.#udp.close()
    await this.engine.stop()
  }
}

/** The trunks of both sides, and one for what comes over the real sockets. */
function configuration(udp: ListenerAddress, tcp: ListenerAddress): RunningConfig {
  const family = { transport: 'UDP', address: '192.0.2.1', ipFamily: 'IPv4' } as const
  const place = (side: Side) =>
    target({ name: side, host: sides[side].address, port: sides[side].port, listener: sides[side].listener })
  return runningConfig({
    listeners: [
      listener({ name: 'inside', port: 5060, ...family }),
      listener({ name: 'outside', port: 5070, ...family }),
      listener({ name: 'udp', transport: 'UDP', address: udp.address, port: udp.port }),
      listener({ name: 'tcp', transport: 'TCP', address: tcp.address, port: tcp.port }),
    ],
    trunks: [
      trunk({ name: 'pbx', listeners: ['inside'], targets: [place('pbx')] }),
      trunk({ name: 'carrier', listeners: ['outside'], targets: [place('carrier')] }),
      trunk({ name: 'local', listeners: ['udp', 'tcp'], allowedSources: ['127.0.0.1/32'] }),
    ],
    routes: [
      route({ name: 'out', match: { trunks: ['pbx'] }, targets: [{ trunk: 'carrier' }] }),
      route({ name: 'local', match: { trunks: ['local'] }, targets: [{ trunk: 'carrier' }] }),
      route({ name: 'in', match: { trunks: ['carrier'] }, targets: [{ trunk: 'pbx' }] }),
    ],
  })
}
