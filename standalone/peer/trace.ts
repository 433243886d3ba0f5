import type { Clock, Timer } from '#lib/clock.ts'
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
  readonly #timers = new Set<Timer>()

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
        this.#timers.delete(timer)
        reject(new Error(`${what} did not come within ${milliseconds / 1000} s`))
      })
      const look = () => {
        const found = this.#entries.find(fits)
        if (found === undefined) return
        timer.cancel()
        this.#timers.delete(timer)
        this.#waiting.delete(look)
        resolve(found)
      }
      this.#timers.add(timer)
      this.#waiting.add(look)
      look()
    })
  }

  /** Waits for nothing any more; what was waited for stays open. */
  close(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    this.#waiting.clear()
  }
}
