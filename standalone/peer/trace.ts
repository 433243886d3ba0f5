import type { Clock } from '#lib/clock.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'

/** One message that a peer sent or received. */
export interface TraceEntry {
  /** Milliseconds on the clock. */
  readonly at: number
  readonly peer: string
  readonly direction: 'sent' | 'received'
  readonly message: SipMessage
}

/** Everything the peers of one self-test sent and received, in order. */
export class Trace {
  readonly #clock: Clock
  readonly #entries: TraceEntry[] = []
  readonly #waiting = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get entries(): readonly TraceEntry[] {
    return this.#entries
  }

  add(entry: TraceEntry): void {
    this.#entries.push(entry)
    for (const look of this.#waiting) look()
  }

  /** Resolves with the first entry that fits, past or to come; rejects saying `what` was waited for. */
  until(what: string, milliseconds: number, fits: (entry: TraceEntry) => boolean): Promise<TraceEntry> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(milliseconds, () => {
        this.#waiting.delete(look)
        reject(new Error(`${what} did not come within ${milliseconds / 1000} s`))
      })
      const look = () => {
        const found = this.#entries.find(fits)
        if (found === undefined) return
        timer.cancel()
        this.#waiting.delete(look)
        resolve(found)
      }
      this.#waiting.add(look)
      look()
    })
  }
}
