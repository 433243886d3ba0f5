import type { Counters } from '../counters.ts'
import { detached } from '#lib/detached.ts'
import { parseNameAddr, tagOf, withOneTag } from '../message/name-addr.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { Connection, Flow } from '../transport/transport.ts'
import { createBranch } from './identifiers.ts'
import { inviteClient, type InviteClientState } from './invite-client.ts'
import type { Machine } from './machine.ts'
import { nonInviteClient, type NonInviteClientState } from './non-invite-client.ts'
import { acknowledgeFailure, cancelOf, formatRequest, type Headers, type OutgoingRequest } from './outgoing-request.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from './timer-wheel.ts'
import { GIVE_UP, T1, T2, T4, TIMER_D } from './timers.ts'

export type ClientEvent =
  | 'request'
  | 'provisional'
  | 'success'
  | 'failure'
  | 'cancelled'
  | 'transportError'
  | 'timerA'
  | 'timerB'
  | 'timerD'
  | 'timerE'
  | 'timerF'
  | 'timerK'
  | 'timerM'

export type ClientEffect =
  | 'send'
  | 'resend'
  | 'acknowledge'
  | 'pass'
  | 'timeout'
  | 'failure'
  | 'stopTimers'
  | 'startA'
  | 'startB'
  | 'startD'
  | 'startE'
  | 'startSlowE'
  | 'startF'
  | 'startK'
  | 'startM'

/** The transaction user: what a client transaction tells. */
export interface ClientTransactionUser {
  /** 100–699, retransmissions of final responses left out but those of a 2xx to INVITE. */
  onResponse(response: SipMessage, source: Flow): void
  /** No final response in time. */
  onTimeout(): void
  /** The request could not be sent. */
  onTransportError(error: Error): void
  /** TCP, taken for the size of the request, was refused there: it goes over UDP. */
  onFallback(refused: Flow): void
  /** It could not be sent there, and goes to another server of the name. */
  onMovedOn(failed: Flow): void
  /** Over: nothing more will come. */
  onTerminated(): void
  /** It is another element's request, whose Via the responses have too. */
  readonly relays?: boolean
}

/** What all transactions share. */
export interface TransactionContext {
  readonly wheel: TimerWheel
  readonly counters: Counters
  onClientTerminated(transaction: ClientTransaction): void
  /** From now on its responses have another branch. */
  onBranchChanged(transaction: ClientTransaction, from: string): void
}

type State = InviteClientState | NonInviteClientState

/**
 * One request on its way (RFC 3261 §17.1). After the final response it keeps its branch, and the ACK of a failed INVITE.
 */
export class ClientTransaction implements TimerTarget {
  readonly method: string
  #branch: string
  readonly #callId: string
  readonly #sequence: number
  readonly #fromTag: string
  readonly #context: TransactionContext
  readonly #user: ClientTransactionUser
  readonly #machine: Machine<State, ClientEvent, ClientEffect>
  #state: State = 'start'
  #flow: Flow
  /** The connection that the request went over last. */
  #connection: Connection | undefined
  /** It was sent once more after its connection was broken off. */
  #sentAgain = false
  /** Where it is sent if the first flow fails. */
  #fallback: Flow | undefined
  /** Other servers of the name, the next to try first. */
  #others: readonly Flow[] = []
  #request: OutgoingRequest | undefined
  /** The request while it may be sent again; afterwards the ACK. */
  #text: string | undefined
  #interval = 0
  #starting = false
  /** The final response is only awaited for so long. */
  #limited = false
  #repeatTimer: WheelTimer | undefined
  #endTimer: WheelTimer | undefined
  #error: Error | undefined

  constructor(
    context: TransactionContext,
    user: ClientTransactionUser,
    wanted: { request: OutgoingRequest; branch: string; flow: Flow; fallback?: Flow | undefined },
  ) {
    this.#context = context
    this.#user = user
    this.method = wanted.request.method
    this.#branch = wanted.branch
    this.#callId = detached(wanted.request.callId)
    this.#sequence = wanted.request.cseq
    const from = parseNameAddr(wanted.request.from)
    this.#fromTag = from === undefined ? '' : detached(tagOf(from))
    this.#flow = wanted.flow
    this.#fallback = wanted.fallback
    this.#request = wanted.request
    const machine: Machine<string, ClientEvent, ClientEffect> =
      this.method === 'INVITE' ? inviteClient : nonInviteClient
    this.#machine = machine as Machine<State, ClientEvent, ClientEffect>
  }

  get state(): State {
    return this.#state
  }

  /** Its responses are another element's. */
  get relays(): boolean {
    return this.#user.relays === true
  }

  /** Changes when the request goes to another server. */
  get branch(): string {
    return this.#branch
  }

  get flow(): Flow {
    return this.#flow
  }

  /** True until a final response, a timeout or a transport error. */
  get pending(): boolean {
    return this.#state === 'calling' || this.#state === 'trying' || this.#state === 'proceeding'
  }

  /**
   * The response says that it is of this request. RFC 3261 §8.2.6.2: "The From field of the response MUST equal the From
   * header field of the request. The Call-ID header field of the response MUST equal the Call-ID … The CSeq header field of
   * the response MUST equal the CSeq field of the request."
   */
  answeredBy({ method, callId, cseq, fromTag }: SipMessage): boolean {
    return method === this.method && callId === this.#callId && cseq === this.#sequence && fromTag === this.#fromTag
  }

  /** Sends the request. The text is what went on the wire. */
  start(text: string, others: readonly Flow[] = []): void {
    this.#others = others
    this.#text = text
    this.#starting = true
    this.#fire('request')
    this.#starting = false
  }

  receive(response: SipMessage, source: Flow): void {
    const status = response.status
    this.#fire(status < 200 ? 'provisional' : status < 300 ? 'success' : 'failure', response, source)
    // The dialog was over before the first provisional response came, which has stopped timer B.
    if (this.#limited && this.#state === 'proceeding' && this.#endTimer === undefined) this.#fire('cancelled')
  }

  onTimer(event: string): void {
    this.#fire(event as ClientEvent)
  }

  /** What a CANCEL of it says; undefined when a final response is here. */
  cancelWith(headers: Headers): OutgoingRequest | undefined {
    return this.pending && this.#request !== undefined ? cancelOf(this.#request, headers) : undefined
  }

  /**
   * RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the client
   * MUST wait for the arrival of a provisional response before sending the request."
   */
  get mayCancel(): boolean {
    return this.#state === 'proceeding'
  }

  /** The CANCEL is on its way, or the dialog is over: from now on the final response is only awaited for so long. */
  cancelSent(): void {
    this.#limited = true
    this.#fire('cancelled')
  }

  /** Nobody waits for its answer any more: a request that is no INVITE ends here, without CANCEL (RFC 3261 §9.1). */
  abandon(): void {
    if (this.method !== 'INVITE') this.#fire('cancelled')
  }

  /** It could not be sent at all. */
  fail(): void {
    this.#fire('request')
    this.#fire('transportError')
  }

  /**
   * The connection was broken off. A server that has gone and come again resets what it knows nothing of, at the first request
   * that it gets, and has not seen that: it is sent once more over a connection of its own, with the same branch, so that a
   * server which has seen it takes it for a retransmission (RFC 3261 §17.2.3). When that breaks off too, it is "a fatal
   * transport error … treated as if a 503 (Service Unavailable) status code had been received" (§8.1.3.1), and the turn of
   * the next server (RFC 3263 §4.3). One that has got an answer waits for its final one, which may come over another.
   */
  brokenOff(connection: Connection, error: Error): void {
    if (this.#connection !== connection || (this.#state !== 'calling' && this.#state !== 'trying')) return
    if (this.#sentAgain) return this.#onSent(error)
    this.#sentAgain = true
    this.#perform('resend', undefined, undefined)
  }

  /** Ends it without a word, when the engine stops. */
  stop(): void {
    this.#stopTimers()
    this.#state = 'terminated'
  }

  #fire(event: ClientEvent, response?: SipMessage, source?: Flow): void {
    const row = this.#machine[this.#state][event]
    if (row === undefined) return
    this.#state = row.next
    for (const effect of row.effects) {
      this.#perform(effect, response, source)
      // A send that fails at once has ended it in between.
      if (this.#state !== row.next) return
    }
    if (row.next === 'terminated') {
      this.#stopTimers()
      this.#context.onClientTerminated(this)
      this.#user.onTerminated()
    }
  }

  #perform(effect: ClientEffect, response: SipMessage | undefined, source: Flow | undefined): void {
    switch (effect) {
      case 'send':
        this.#context.counters.countRequest('sent', this.method)
        return this.#send()
      case 'resend':
        this.#context.counters.count('retransmitted')
        return this.#send()
      case 'acknowledge':
        return this.#acknowledge(response)
      case 'pass':
        if (response === undefined || source === undefined) return
        if (response.status >= 200) this.#forgetRequest()
        return this.#user.onResponse(response, source)
      case 'timeout':
        return this.#user.onTimeout()
      case 'failure':
        return this.#user.onTransportError(this.#error ?? new Error('the request could not be sent'))
      case 'stopTimers':
        return this.#stopTimers()
      case 'startA':
        return this.#repeatAfter(this.#interval === 0 ? T1 : 2 * this.#interval, 'timerA')
      case 'startE':
        return this.#repeatAfter(this.#interval === 0 ? T1 : Math.min(2 * this.#interval, T2), 'timerE')
      case 'startSlowE':
        return this.#repeatAfter(T2, 'timerE')
      case 'startB':
        return this.#endAfter(GIVE_UP, 'timerB')
      case 'startF':
        return this.#endAfter(GIVE_UP, 'timerF')
      case 'startM':
        return this.#endAfter(GIVE_UP, 'timerM')
      // "Timer D … zero seconds for reliable transports" (§17.1.1.2), and Timer K likewise (§17.1.2.2).
      case 'startD':
        return this.#endAfter(this.#flow.listener.reliable ? 0 : TIMER_D, 'timerD')
      case 'startK':
        return this.#endAfter(this.#flow.listener.reliable ? 0 : T4, 'timerK')
    }
  }

  #send(): void {
    if (this.#text === undefined) return
    const flow = this.#flow
    const connection = flow.listener.send(this.#text, flow, this.#onSent)
    // A send that fails at once may have sent it elsewhere in between.
    if (flow === this.#flow) this.#connection = connection
  }

  readonly #onSent = (error?: Error | null): void => {
    if (error === undefined || error === null) return
    const [next, ...others] = this.#others
    if (this.#fallback !== undefined && this.#request !== undefined && this.pending) this.#fallBack(this.#fallback)
    else if (next !== undefined && this.pending && this.#state !== 'proceeding') this.#moveOn(next, others)
    else {
      this.#error = error
      this.#fire('transportError')
    }
  }

  /**
   * RFC 3261 §18.1.1, where TCP was taken for the size alone: "If an element sends a request over TCP because of these
   * message size constraints, and that request would have otherwise been sent over UDP, if the attempt to establish the
   * connection generates either an ICMP Protocol Not Supported, or results in a TCP reset, the element SHOULD retry the
   * request, using UDP."
   */
  #fallBack(flow: Flow): void {
    this.#user.onFallback(this.#flow)
    this.#fallback = undefined
    this.#sendTo(flow)
  }

  /**
   * RFC 3263 §4.3: after a transport failure "the client SHOULD create a new request, which is identical to the previous,
   * but has a different value of the Via branch ID than the previous (and therefore constitutes a new SIP transaction). That
   * request is sent to the next element in the list". Its user and its time are those of the previous.
   */
  #moveOn(flow: Flow, others: readonly Flow[]): void {
    this.#user.onMovedOn(this.#flow)
    this.#others = others
    const previous = this.#branch
    this.#branch = createBranch()
    this.#context.onBranchChanged(this, previous)
    this.#sendTo(flow)
  }

  #sendTo(flow: Flow): void {
    if (this.#request === undefined) return
    this.#flow = flow
    this.#text = formatRequest(this.#request, this.#branch, flow.listener)
    this.#send()
    this.#interval = 0
    // While it starts, the timers are about to be set.
    if (this.#starting) return
    this.#context.wheel.cancel(this.#repeatTimer)
    this.#perform(this.method === 'INVITE' ? 'startA' : 'startE', undefined, undefined)
  }

  #acknowledge(response: SipMessage | undefined): void {
    if (this.#request !== undefined && response !== undefined) {
      const ack = acknowledgeFailure(this.#request, withOneTag(response.get('To') ?? this.#request.to))
      this.#text = detached(formatRequest(ack, this.#branch, this.#flow.listener))
    }
    this.#send()
  }

  /** Lingering transactions are what runs servers out of memory: only the ACK of a failed INVITE stays. */
  #forgetRequest(): void {
    this.#request = undefined
    this.#connection = undefined
    this.#fallback = undefined
    this.#others = []
    if (this.#state !== 'completed' || this.method !== 'INVITE') this.#text = undefined
  }

  #repeatAfter(interval: number, event: ClientEvent): void {
    if (this.#flow.listener.reliable) return
    this.#interval = interval
    this.#repeatTimer = this.#context.wheel.start(interval, this, event)
  }

  #endAfter(milliseconds: number, event: ClientEvent): void {
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
