import { ManualClock } from '#lib/manual-clock.ts'
import type { EngineOptions } from '../../dataplane/engine/engine.types.ts'
import { ApplicationProbe, type Frame } from './application.ts'
import { SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

/** An application that calls Bob through an engine whose time is turned by hand. */
export class Calling {
  readonly clock: ManualClock
  readonly engine: Awaited<ReturnType<typeof start>>
  readonly application: ApplicationProbe
  readonly bob: SipPeer

  private constructor(parts: {
    clock: ManualClock
    engine: Awaited<ReturnType<typeof start>>
    application: ApplicationProbe
    bob: SipPeer
  }) {
    this.clock = parts.clock
    this.engine = parts.engine
    this.application = parts.application
    this.bob = parts.bob
  }

  static async begin(options: { lookUp?: NonNullable<EngineOptions['lookUp']> } = {}): Promise<Calling> {
    const clock = new ManualClock()
    const engine = await start({ clock, ...options })
    const application = await ApplicationProbe.serving(engine.port, ['invite', 'bye', 'ack'])
    return new Calling({ clock, engine, application, bob: await SipPeer.udp() })
  }

  async end(): Promise<void> {
    this.application.close()
    await this.engine.engine.stop()
    await this.bob.close()
  }

  /** What a request of an application looks like: no Via, no CSeq, names in lower case. */
  order(method: string, headers: readonly string[] = [], body = ''): string {
    const { address, port } = this.engine.udp
    const lines = [
      `${method} sip:bob@${this.bob.hostPort} SIP/2.0`,
      'from: <sip:alice@localhost>',
      `contact: <sip:sbc@${address}:${port}>`,
      ...headers,
      ...(body === '' ? [] : ['content-type: application/sdp']),
    ]
    return `${lines.join('\r\n')}\r\n\r\n${body}`
  }

  /** Sends a request outside a dialog, or inside one. */
  send(
    method: string,
    options: { headers?: readonly string[]; body?: string; dialogId?: string } = {},
  ): Promise<Frame> {
    const { headers, body, dialogId = '' } = options
    return this.application.command(`sip||${dialogId}`, this.order(method, headers, body))
  }

  /** Cancels an INVITE by the id of its transaction. */
  cancel(transactionId: string | undefined, headers: readonly string[] = []): Promise<Frame> {
    return this.application.command(`sip|${transactionId}|`, this.order('CANCEL', headers))
  }

  contact(user = 'bob'): readonly [string, string] {
    return ['Contact', `<sip:${user}@${this.bob.hostPort}>`]
  }

  get counters(): Readonly<Record<string, number>> {
    return this.engine.engine.counters
  }

  get gauges(): Record<string, number> {
    return this.engine.engine.gauges()
  }
}
