import type { Counters } from '../counters.ts'
import { detached } from '#lib/detached.ts'
import type { Flow, SendCallback } from '../transport/transport.ts'
import { createId } from './identifiers.ts'
import { inviteServer, type InviteServerState } from './invite-server.ts'
import type { Machine } from './machine.ts'
import { nonInviteServer, type NonInviteServerState } from './non-invite-server.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from './timer-wheel.ts'
import { GIVE_UP, T1, T2, T4, TRYING_DUE } from './timers.ts'

export type ServerEvent =
  | 'accept'
  | 'request'
  | 'provisional'
  | 'success'
  | 'failure'
  | 'ack'
  | 'timerG'
  | 'timerH'
  | 'timerI'
  | 'timerJ'
  | 'timerL'
  | 'timerTrying'
  | 'timerLate'

export type ServerEffect =
  | 'send'
  | 'sendTrying'
  | 'repeat'
  | 'late'
  | 'stopTimers'
  | 'startG'
  | 'startH'
  | 'startI'
  | 'startJ'
  | 'startL'
  | 'startTrying'
  | 'startLate'

export interface ServerTransactionContext {
  readonly wheel: TimerWheel
  readonly counters: Counters
  /** Told of what the operating system refused to send. */
  readonly responseSent: SendCallback
  /** Text of the 100 to the request, which is slow to be answered. */
  tryingFor(transaction: ServerTransaction): string
  /** It is ongoing no more: another request with its Call-ID, From tag and CSeq is not merged with it. */
  onServerSettled(transaction: ServerTransaction): void
  onServerTerminated(transaction: ServerTransaction): void
}

type State = InviteServerState | NonInviteServerState

/** One request being answered (RFC 3261 §17.2). After the final response it keeps its key, that response and the peer. */
export class ServerTransaction implements TimerTarget {
  /** What the application knows it by. */
  readonly id: string = createId()
  readonly key: string
  readonly method: string
  /** Call-ID, From tag and CSeq of a request outside a dialog, by which merged requests are known. */
  readonly mergeKey: string | undefined
  readonly #context: ServerTransactionContext
  readonly #machine: Machine<State, ServerEvent, ServerEffect>
  readonly #flow: Flow
  #state: State
  #last: string | undefined
  #interval = 0
  #repeatTimer: WheelTimer | undefined
  #endTimer: WheelTimer | undefined

  constructor(
    context: ServerTransactionContext,
    request: { key: string; method: string; mergeKey?: string | undefined },
    flow: Flow,
  ) {
    const { key, method, mergeKey } = request
    this.#context = context
    this.key = key
    this.method = method
    this.mergeKey = mergeKey
    this.#flow = flow
    const machine: Machine<string, ServerEvent, ServerEffect> = method === 'INVITE' ? inviteServer : nonInviteServer
    this.#machine = machine as Machine<State, ServerEvent, ServerEffect>
    this.#state = method === 'INVITE' ? 'proceeding' : 'start'
  }

  get state(): State {
    return this.#state
  }

  /** Where responses go. */
  get flow(): Flow {
    return this.#flow
  }

  /** True until a final response was sent, or its time has passed. */
  get pending(): boolean {
    return this.#state === 'proceeding' || this.#state === 'trying'
  }

  /** Starts the clock of a request that is no INVITE. */
  start(): void {
    this.#fire('accept')
  }

  /** The same request again. */
  repeat(): void {
    this.#fire('request')
  }

  /** The ACK of a 300–699. */
  acknowledge(): void {
    this.#fire('ack')
  }

  /** Sends a response. Nothing happens after a final one. */
  respond(status: number, text: string): void {
    this.#context.counters.countResponse('sent', this.method, status)
    this.#fire(status < 200 ? 'provisional' : status < 300 ? 'success' : 'failure', text)
  }

  onTimer(event: string): void {
    this.#fire(event as ServerEvent)
  }

  /** Ends it without a word, when the engine stops. */
  stop(): void {
    this.#stopTimers()
    this.#state = 'terminated'
  }

  #fire(event: ServerEvent, text?: string): void {
    const row = this.#machine[this.#state][event]
    if (row === undefined) return
    this.#state = row.next
    for (const effect of row.effects) {
      this.#perform(effect, text)
      // A timer of zero has ended it in between.
      if (this.#state !== row.next) return
    }
    if (row.next === 'terminated') {
      this.#stopTimers()
      this.#context.onServerTerminated(this)
    }
  }

  #perform(effect: ServerEffect, text: string | undefined): void {
    switch (effect) {
      case 'send':
        this.#last = text
        this.#send()
        this.#settle()
        return
      case 'sendTrying':
        this.#last = this.#context.tryingFor(this)
        return this.#send()
      case 'repeat':
        if (this.#last !== undefined) this.#context.counters.count('retransmitted')
        return this.#send()
      case 'late':
        return this.#context.counters.count('unanswered')
      case 'stopTimers':
        return this.#stopTimers()
      case 'startG':
        return this.#startG()
      case 'startTrying':
        this.#repeatTimer = this.#context.wheel.start(TRYING_DUE, this, 'timerTrying')
        return
      case 'startLate':
        return this.#endAfter(GIVE_UP, 'timerLate')
      case 'startH':
        return this.#endAfter(GIVE_UP, 'timerH')
      case 'startL':
        return this.#endAfter(GIVE_UP, 'timerL')
      // "Timer I … T4 seconds for unreliable transports, and zero seconds for reliable transports" (§17.2.1), and Timer J
      // 64*T1 or zero likewise (§17.2.2).
      case 'startI':
        return this.#endAfter(this.#flow.listener.reliable ? 0 : T4, 'timerI')
      case 'startJ':
        return this.#endAfter(this.#flow.listener.reliable ? 0 : GIVE_UP, 'timerJ')
    }
  }

  /**
   * The core repeats a 2xx to INVITE until its ACK comes (§13.3.1.4), so nothing of it stays; of others, only the text.
   *
   * A request is merged only with "an ongoing transaction" (§8.2.2.2), and what waits for Timer H, I or J is none: a proxy that
   * forks one after another (§16.6) sends the next branch, with the same From tag, Call-ID and CSeq, as soon as this one has
   * failed. A call that is up goes on.
   */
  #settle(): void {
    if (this.#state === 'accepted') this.#last = undefined
    else if (this.#state === 'completed' && this.#last !== undefined) {
      this.#last = detached(this.#last)
      this.#context.onServerSettled(this)
    }
  }

  #send(): void {
    if (this.#last !== undefined) this.#flow.listener.send(this.#last, this.#flow, this.#context.responseSent)
  }

  /** "If an unreliable transport is in use, timer G is set to fire in T1 seconds" (§17.2.1). */
  #startG(): void {
    if (this.#flow.listener.reliable) return
    this.#interval = this.#interval === 0 ? T1 : Math.min(2 * this.#interval, T2)
    this.#repeatTimer = this.#context.wheel.start(this.#interval, this, 'timerG')
  }

  #endAfter(milliseconds: number, event: ServerEvent): void {
    this.#context.wheel.cancel(this.#endTimer)
    this.#endTimer = undefined
    if (milliseconds === 0) this.#fire(event)
    else this.#endTimer = this.#context.wheel.start(milliseconds, this, event)
  }

  #stopTimers(): void {
    this.#context.wheel.cancel(this.#repeatTimer)
    this.#context.wheel.cancel(this.#endTimer)
    this.#repeatTimer = undefined
    this.#endTimer = undefined
  }
}
