import { ManualClock } from '#lib/manual-clock.ts'
import { Counters } from '../counters.ts'
import type { Flow, Listener, SendCallback } from '../transport/transport.ts'
import { TimerWheel } from './timer-wheel.ts'

/** A listener that keeps what it is given, and can be told to fail. */
export class RecordingListener implements Listener {
  readonly name = 'recording'
  readonly family = 4
  readonly address = '192.0.2.1'
  readonly port = 5060
  readonly hostPort = '192.0.2.1:5060'
  readonly connections = 0
  readonly advertised = undefined
  readonly transport: 'UDP' | 'TCP'
  readonly reliable: boolean
  /** Start lines of what was sent. */
  readonly sent: string[] = []
  /** What was tried, whether it failed or not. */
  readonly tried: string[] = []
  failing = false

  constructor(transport: 'UDP' | 'TCP') {
    this.transport = transport
    this.reliable = transport === 'TCP'
  }

  get flow(): Flow {
    return { listener: this, address: '192.0.2.2', port: 5062, connection: undefined }
  }

  send(text: string, _flow: Flow, sent: SendCallback): undefined {
    this.tried.push(text)
    if (!this.failing) this.sent.push(text.slice(0, text.indexOf('\r\n')))
    sent(this.failing ? new Error('no way') : undefined)
    return undefined
  }

  reload(): void {}

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A clock turned by hand, and the wheel on it. */
export function setUpTime(): { clock: ManualClock; wheel: TimerWheel; counters: Counters } {
  const clock = new ManualClock()
  return { clock, wheel: new TimerWheel(clock), counters: new Counters() }
}
