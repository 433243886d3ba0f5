import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe, type Delivered } from './application.ts'
import { requestText, sdp, SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

/** What a request of Alice's may have besides its method. */
export type RequestOptions = Partial<Parameters<typeof requestText>[1]>

/** An application that Alice calls through an engine whose time is turned by hand. */
export class Called {
  readonly clock: ManualClock
  readonly engine: Awaited<ReturnType<typeof start>>
  readonly application: ApplicationProbe
  readonly alice: SipPeer

  private constructor(parts: Pick<Called, 'clock' | 'engine' | 'application' | 'alice'>) {
    this.clock = parts.clock
    this.engine = parts.engine
    this.application = parts.application
    this.alice = parts.alice
  }

  /** `methods` are those that the application takes. */
  static async begin(methods: readonly string[]): Promise<Called> {
    const clock = new ManualClock()
    const engine = await start({ clock })
    const application = await ApplicationProbe.serving(engine.port, methods)
    return new Called({ clock, engine, application, alice: await SipPeer.udp() })
  }

  async end(): Promise<void> {
    this.application.close()
    await this.engine.engine.stop()
    await this.alice.close()
  }

  /** Sends a request of Alice's, in the call that all of them are in unless another is named. */
  send(method: string, options: RequestOptions = {}): void {
    const { port } = this.engine.udp
    const uri = `sip:bob@127.0.0.1:${port}`
    this.alice.send(requestText(this.alice, { method, uri, callId: 'call', ...options }), port)
  }

  /** Sends an INVITE and waits until the application has it. */
  async invite(options: RequestOptions = {}): Promise<Delivered> {
    this.send('INVITE', { body: sdp, ...options })
    return this.application.request('INVITE')
  }

  get counters(): Readonly<Record<string, number>> {
    return this.engine.engine.counters
  }

  get gauges(): Record<string, number> {
    return this.engine.engine.gauges()
  }
}
