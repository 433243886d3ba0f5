import type { Counters } from '../counters.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from '../transaction/timer-wheel.ts'
import { GIVE_UP, T1, T2 } from '../transaction/timers.ts'
import type { Flow, SendCallback } from '../transport/transport.ts'

/**
 * A 2xx to INVITE until its ACK comes. RFC 3261 §13.3.1.4: "the 2xx response is passed to the transport with an interval
 * that starts at T1 seconds and doubles for each retransmission until it reaches T2 seconds … Response retransmissions
 * cease when an ACK request for the response is received. This is independent of whatever transport protocols are used to
 * send the response."
 */
export class UnacknowledgedSuccess implements TimerTarget {
  /** CSeq of the INVITE, which its ACK has too. */
  readonly sequence: number
  /** Of the INVITE. */
  readonly transactionId: string
  readonly #text: string
  readonly #flow: Flow
  readonly #context: { wheel: TimerWheel; counters: Counters; responseSent: SendCallback; onGiveUp: () => void }
  #interval = T1
  #repeat: WheelTimer | undefined
  #end: WheelTimer | undefined

  constructor(
    response: { sequence: number; transactionId: string; text: string; flow: Flow },
    context: { wheel: TimerWheel; counters: Counters; responseSent: SendCallback; onGiveUp: () => void },
  ) {
    this.sequence = response.sequence
    this.transactionId = response.transactionId
    this.#text = response.text
    this.#flow = response.flow
    this.#context = context
    this.#repeat = context.wheel.start(T1, this, 'repeat')
    this.#end = context.wheel.start(GIVE_UP, this, 'giveUp')
  }

  onTimer(event: string): void {
    if (event === 'giveUp') {
      this.stop()
      this.#context.onGiveUp()
      return
    }
    this.#context.counters.count('retransmitted')
    this.#flow.listener.send(this.#text, this.#flow, this.#context.responseSent)
    this.#interval = Math.min(2 * this.#interval, T2)
    this.#repeat = this.#context.wheel.start(this.#interval, this, 'repeat')
  }

  stop(): void {
    this.#context.wheel.cancel(this.#repeat)
    this.#context.wheel.cancel(this.#end)
    this.#repeat = undefined
    this.#end = undefined
  }
}
