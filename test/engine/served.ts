import Srf from 'drachtio-srf'
import type { Clock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { createEngine } from '../../dataplane/engine/engine.ts'
import type { Engine, EngineOptions, ListenerAddress } from '../../dataplane/engine/engine.types.ts'

export interface Served {
  readonly engine: Engine
  readonly srf: Srf
  readonly udp: ListenerAddress
  readonly tcp: ListenerAddress
  /** Lines that the engine logged. */
  readonly log: string[]
  stop(): Promise<void>
}

export const secret = 'a secret of the tests'

/** An engine with a UDP and a TCP listener on free ports, and an unmodified drachtio-srf that it serves. */
export async function serve(options: StartOptions = {}): Promise<Served> {
  const { engine, udp, tcp, log, port } = await start(options)
  const srf = await connectSrf(port)
  return {
    engine,
    srf,
    udp,
    tcp,
    log,
    async stop() {
      srf.disconnect()
      await engine.stop()
    },
  }
}

interface StartOptions {
  readonly address?: string
  /** Stands still unless given, so that nothing is sent twice, however long the machine takes. */
  readonly clock?: Clock
  readonly admit?: EngineOptions['admit']
  readonly tlsTo?: EngineOptions['tlsTo']
  readonly lookUp?: EngineOptions['lookUp']
}

interface Started {
  readonly engine: Engine
  readonly udp: ListenerAddress
  readonly tcp: ListenerAddress
  readonly log: string[]
  /** Where applications connect. */
  readonly port: number
}

/** An engine with its listeners, and no application. */
export async function start(options: StartOptions = {}): Promise<Started> {
  const { address = '127.0.0.1', clock = new ManualClock(), admit = () => true } = options
  const log: string[] = []
  const engine = createEngine({
    clock,
    log: createLog({ level: 'debug', name: 'test', write: (line) => log.push(line) }),
    admit,
    ...(options.tlsTo !== undefined && { tlsTo: options.tlsTo }),
    ...(options.lookUp !== undefined && { lookUp: options.lookUp }),
  })
  const udp = await engine.open({ name: 'udp', transport: 'UDP', address, port: 0 })
  const tcp = await engine.open({ name: 'tcp', transport: 'TCP', address, port: 0 })
  const { port } = await engine.serve(secret)
  return { engine, udp, tcp, log, port }
}

/** Connects a drachtio-srf and waits until it has said the secret. */
export async function connectSrf(port: number): Promise<Srf> {
  const srf = new Srf()
  srf.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    srf.on('connect', (error: Error | null) => (error ? reject(error) : resolve()))
    void srf.connect({ host: '127.0.0.1', port, secret })
  })
  return srf
}

/** A handler of one method; the package's types have some of these functions only. */
export function handle(
  srf: Srf,
  method: string,
  handler: (request: Srf.SrfRequest, response: Srf.SrfResponse) => void,
): void {
  const methods = srf as unknown as Record<string, (run: typeof handler) => void>
  methods[method]?.(handler)
}

/** Sends a request; the package's types have an older order of arguments. */
export function request(
  srf: Srf,
  uri: string,
  order: object,
  done: (error: Error | null, sent: Srf.SrfRequest) => void,
): void {
  const sender = srf as unknown as { request(uri: string, order: object, sent: typeof done): void }
  sender.request(uri, order, done)
}
