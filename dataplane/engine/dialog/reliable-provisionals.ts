import type { Counters } from '../counters.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from '../transaction/timer-wheel.ts'
import { GIVE_UP, T1 } from '../transaction/timers.ts'
import type { Flow, SendCallback } from '../transport/transport.ts'
import type { RAck } from '../message/reliability.ts'

/** A response that is sent reliably, or that waits behind those that are. */
export interface ReliableResponse {
  readonly text: string
  /** It has a body: an offer, or an answer. */
  readonly described: boolean
  /** Sends it for the first time. */
  readonly send: () => void
  /** It will not be sent any more. */
  readonly drop: () => void
}

interface Context {
  readonly wheel: TimerWheel
  readonly counters: Counters
  readonly responseSent: SendCallback
  /** No PRACK has come for 64*T1. */
  readonly onGiveUp: () => void
}

/** Provisional responses that may wait for a PRACK of the one before; nobody needs more to say that it rings. */
const MOST_WAITING = 16

/**
 * The reliable provisional responses to one INVITE (RFC 3262 §3): numbered from a random beginning, sent one at a time,
 * and repeated until each has got its PRACK.
 */
export class ReliableProvisionals implements TimerTarget {
  readonly #invite: { readonly sequence: number; readonly flow: Flow }
  readonly #context: Context
  #last: number
  /** Sent, and not acknowledged. */
  #unacknowledged: { readonly rseq: number; readonly response: ReliableResponse } | undefined
  /** Behind it, in order; the last one may be a 2xx. */
  #waiting: (ReliableResponse & { readonly rseq: number | undefined })[] = []
  #interval = T1
  #repeat: WheelTimer | undefined
  #end: WheelTimer | undefined

  /** `random` is from 0 up to 1. */
  constructor(invite: { sequence: number; flow: Flow }, random: number, context: Context) {
    this.#invite = invite
    this.#context = context
    // §3: "The value of the header field for the first reliable provisional response in a transaction MUST be between 1 and
    // 2**31 - 1. It is RECOMMENDED that it be chosen uniformly in this range."
    this.#last = Math.floor(random * 0x7fffffff)
  }

  /** RSeq of the next one. "The value of the RSeq … MUST be greater by exactly one" for each that follows (§3). */
  get next(): number {
    return this.#last + 1
  }

  /** Sends one as soon as those before it are acknowledged. */
  send(response: ReliableResponse): void {
    const rseq = ++this.#last
    // §3: "The UAS MUST NOT send a second reliable provisional response until the first is acknowledged. After the first,
    // it is RECOMMENDED that the UAS not send an additional reliable provisional response until the previous is acknowledged."
    if (this.#unacknowledged === undefined && this.#waiting.length === 0) this.#start(rseq, response)
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ ...response, rseq })
    else {
      this.#last--
      response.drop()
    }
  }

  /**
   * Sends a 2xx. §3: "The UAS MAY send a final response to the initial request before having received PRACKs for all
   * unacknowledged reliable provisional responses, unless the final response is 2xx and any of the unacknowledged reliable
   * provisional responses contained a session description. In that case, it MUST NOT send a final response until those
   * provisional responses are acknowledged."
   */
  sendSuccess(success: ReliableResponse): void {
    const described = this.#waiting.some((each) => each.described) || this.#unacknowledged?.response.described === true
    if (described) {
      this.#waiting.push({ ...success, rseq: undefined })
      return
    }
    this.#dropWaiting()
    this.#stopTimers()
    success.send()
  }

  /** One was sent whose PRACK has not come. */
  get isUnacknowledged(): boolean {
    return this.#unacknowledged !== undefined
  }

  /** A 2xx waits for a PRACK. */
  get holdsSuccess(): boolean {
    return this.#waiting.some(({ rseq }) => rseq === undefined)
  }

  /**
   * Takes a PRACK. §3: "a matching response is defined as one within the same dialog as the PRACK, and whose method, CSeq-num,
   * and response-num in the RAck header field match, respectively, the method from the CSeq, the sequence number from the
   * CSeq, and the sequence number from the RSeq of the reliable provisional response." False when none matches.
   */
  acknowledge({ rseq, sequence, method }: RAck): boolean {
    if (this.#unacknowledged?.rseq !== rseq || sequence !== this.#invite.sequence || method !== 'INVITE') return false
    this.#stopTimers()
    this.#unacknowledged = undefined
    return true
  }

  /** The PRACK is answered: what waits behind it may go. */
  resume(): void {
    if (this.#unacknowledged !== undefined) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    if (next.rseq === undefined) next.send()
    else this.#start(next.rseq, next)
  }

  /**
   * A final response that is no 2xx goes out. §3: "If the UAS does send a final response when reliable responses are still
   * unacknowledged, it SHOULD NOT continue to retransmit the unacknowledged reliable provisional responses, but it MUST be
   * prepared to process PRACK requests for those outstanding responses."
   */
  stop(): void {
    this.#stopTimers()
    this.#dropWaiting()
  }

  onTimer(event: string): void {
    const response = this.#unacknowledged?.response
    if (event === 'giveUp') {
      this.stop()
      this.#unacknowledged = undefined
      this.#context.onGiveUp()
    } else if (response !== undefined) {
      const { flow } = this.#invite
      this.#context.counters.count('retransmitted')
      flow.listener.send(response.text, flow, this.#context.responseSent)
      // §3: "… an interval that starts at T1 seconds and doubles for each retransmission", with no limit of T2.
      this.#interval *= 2
      this.#repeat = this.#context.wheel.start(this.#interval, this, 'repeat')
    }
  }

  #start(rseq: number, response: ReliableResponse): void {
    const { wheel } = this.#context
    this.#unacknowledged = { rseq, response }
    this.#interval = T1
    response.send()
    this.#repeat = wheel.start(T1, this, 'repeat')
    this.#end = wheel.start(GIVE_UP, this, 'giveUp')
  }

  #dropWaiting(): void {
    const dropped = this.#waiting
    this.#waiting = []
    for (const each of dropped) each.drop()
  }

  #stopTimers(): void {
    this.#context.wheel.cancel(this.#repeat)
    this.#context.wheel.cancel(this.#end)
    this.#repeat = undefined
    this.#end = undefined
  }
}
