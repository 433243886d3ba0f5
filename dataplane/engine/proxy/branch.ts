import { createBranch } from '../transaction/identifiers.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { ClientTransaction, ClientTransactionUser } from '../transaction/client-transaction.ts'
import { formatRequest, type OutgoingRequest } from '../transaction/outgoing-request.ts'
import type { TimerTarget, WheelTimer } from '../transaction/timer-wheel.ts'
import type { Transactions } from '../transaction/transactions.ts'
import type { Hop, NextHops } from '../transport/next-hop.ts'
import type { Flow, Listener } from '../transport/transport.ts'

/** RFC 3261 §16.6, step 11: Timer C "MUST be larger than 3 minutes"; in milliseconds. */
const TIMER_C = 181_000

/** What hears of the answers. */
export interface BranchUser {
  /** 101 to 199. */
  onProvisional(response: SipMessage): void
  /** 200 to 699; an INVITE may have several of 2xx. */
  onFinal(branch: Branch, response: SipMessage, source: Flow): void
  /** There is none, and this one has to do: 408, 487 or 503. */
  onNoFinal(branch: Branch, status: number): void
}

export interface BranchParts {
  readonly transactions: Transactions
  readonly nextHops: NextHops
  /** The request as it leaves from that listener. */
  readonly compose: (listener: Listener) => OutgoingRequest
  readonly provisionalTimeout: number | undefined
  readonly finalTimeout: number | undefined
}

/** One target of a request that is proxied, with its client transaction. */
export class Branch implements ClientTransactionUser, TimerTarget {
  /** Its responses have a Via of whoever is behind. */
  readonly relays = true
  readonly #parts: BranchParts
  readonly #user: BranchUser
  #transaction: ClientTransaction | undefined
  #timers: readonly (WheelTimer | undefined)[] = []
  #timerC: WheelTimer | undefined
  #cancelled = false
  #cancelSent = false
  #over = false

  constructor(parts: BranchParts, user: BranchUser) {
    this.#parts = parts
    this.#user = user
  }

  /** Its answer is awaited. */
  get pending(): boolean {
    return !this.#over
  }

  send(nextHop: string, preferred: Listener): void {
    this.#parts.nextHops.find(nextHop, preferred, (hop) => this.#sendBy(hop))
  }

  /**
   * §16.10: the proxy "MUST cancel any pending client transactions"; §9.1: not before a provisional response has come. No other
   * request is cancelled: one that is no INVITE is answered at once, or given up.
   */
  cancel(): void {
    if (this.#over || this.#cancelled) return
    this.#cancelled = true
    if (this.#transaction?.mayCancel === true) this.#sendCancel(this.#transaction)
  }

  /** Nobody waits for it any more. */
  giveUp(): void {
    this.cancel()
    this.#end()
    this.#abandon()
  }

  onResponse(response: SipMessage, source: Flow): void {
    const { status } = response
    if (status === 503 && this.#transaction !== undefined) this.#parts.nextHops.failed(this.#transaction.flow)
    if (status >= 200) {
      const late = this.#over
      this.#end()
      // Of an INVITE every 2xx has to reach the caller, whenever it comes (§16.7, step 5).
      if (!late || (response.method === 'INVITE' && status < 300)) this.#user.onFinal(this, response, source)
      return
    }
    this.#parts.transactions.wheel.cancel(this.#timers[0])
    if (this.#cancelled && !this.#cancelSent && this.#transaction !== undefined) this.#sendCancel(this.#transaction)
    if (status === 100 || this.#over) return
    this.#startTimerC()
    this.#user.onProvisional(response)
  }

  onTimeout(): void {
    if (this.#transaction !== undefined) this.#parts.nextHops.failed(this.#transaction.flow)
    this.#fail(408)
  }

  /** §16.9: "If the transport layer notifies a proxy of an error when it tries to forward a request …, the proxy MUST behave as if the forwarded request received a 503". */
  onTransportError(): void {
    if (this.#transaction !== undefined) this.#parts.nextHops.failed(this.#transaction.flow)
    this.#fail(503)
  }

  onFallback(refused: Flow): void {
    this.#parts.nextHops.refused(refused)
  }

  onMovedOn(failed: Flow): void {
    this.#parts.nextHops.failed(failed)
  }

  onTerminated(): void {
    this.#end()
  }

  /** A target that takes too long; §16.8 has the same for Timer C. */
  onTimer(event: string): void {
    this.cancel()
    if (event === 'timerC') return
    this.#fail(408)
    this.#abandon()
  }

  #sendBy(hop: Hop): void {
    if (this.#over) return
    if (this.#cancelled) return this.#fail(487)
    if (!hop.ok) return this.#fail(503)
    const { transactions, nextHops, provisionalTimeout, finalTimeout, compose } = this.#parts
    const { flow } = hop
    const branch = createBranch()
    const request = compose(flow.listener)
    let text = formatRequest(request, branch, flow.listener)
    const larger = nextHops.forSize(text.length, flow)
    if (larger !== undefined) text = formatRequest(request, branch, larger.listener)
    const way = larger === undefined ? { flow } : { flow: larger, fallback: flow }
    const transaction = transactions.createClient(this, { request, branch, ...way })
    this.#transaction = transaction
    this.#timers = [this.#after(provisionalTimeout, 'provisional'), this.#after(finalTimeout, 'final')]
    if (request.method === 'INVITE') this.#startTimerC()
    transaction.start(text, hop.others)
  }

  #after(milliseconds: number | undefined, event: string): WheelTimer | undefined {
    return milliseconds === undefined ? undefined : this.#parts.transactions.wheel.start(milliseconds, this, event)
  }

  /** §16.7, step 2: "For an INVITE transaction, if the response is a provisional response with status codes 101 to 199 inclusive …, the proxy MUST reset timer C". */
  #startTimerC(): void {
    if (this.#transaction?.method !== 'INVITE') return
    const { wheel } = this.#parts.transactions
    wheel.cancel(this.#timerC)
    this.#timerC = wheel.start(TIMER_C, this, 'timerC')
  }

  #sendCancel(transaction: ClientTransaction): void {
    const cancel = transaction.cancelWith([])
    if (cancel === undefined || transaction.method !== 'INVITE') return
    this.#cancelSent = true
    const { flow, branch } = transaction
    const own = this.#parts.transactions.createClient(unheard, { request: cancel, branch, flow })
    own.start(formatRequest(cancel, branch, flow.listener))
    transaction.cancelSent()
  }

  #abandon(): void {
    if (this.#transaction?.method !== 'INVITE') this.#transaction?.abandon()
  }

  #fail(status: number): void {
    if (this.#over) return
    this.#end()
    this.#user.onNoFinal(this, status)
  }

  #end(): void {
    const { wheel } = this.#parts.transactions
    this.#over = true
    for (const timer of this.#timers) wheel.cancel(timer)
    wheel.cancel(this.#timerC)
  }
}

/** Nobody waits for the answer to a CANCEL. */
const unheard: ClientTransactionUser = {
  onResponse() {},
  onTimeout() {},
  onTransportError() {},
  onFallback() {},
  onMovedOn() {},
  onTerminated() {},
}
