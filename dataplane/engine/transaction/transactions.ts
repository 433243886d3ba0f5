import type { Counters } from '../counters.ts'
import { detached } from '#lib/detached.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import type { Connection, Flow, SendCallback } from '../transport/transport.ts'
import { ClientTransaction, type ClientTransactionUser, type TransactionContext } from './client-transaction.ts'
import type { OutgoingRequest } from './outgoing-request.ts'
import { ServerTransaction, type ServerTransactionContext } from './server-transaction.ts'
import type { TimerWheel } from './timer-wheel.ts'

/** All transactions that are alive, and which of them a message belongs to. */
export class Transactions implements TransactionContext, ServerTransactionContext {
  readonly wheel: TimerWheel
  readonly counters: Counters
  readonly tryingFor: (transaction: ServerTransaction) => string
  readonly #clients = new Map<string, ClientTransaction>()
  readonly #servers = new Map<string, ServerTransaction>()
  /** Server transactions that merged requests are held against, by Call-ID, From tag and CSeq. */
  readonly #merges = new Map<string, ServerTransaction>()
  readonly #onServerTerminated: (transaction: ServerTransaction) => void

  constructor(
    wheel: TimerWheel,
    counters: Counters,
    user: {
      tryingFor(transaction: ServerTransaction): string
      onServerTerminated(transaction: ServerTransaction): void
    },
  ) {
    this.wheel = wheel
    this.counters = counters
    this.tryingFor = (transaction) => user.tryingFor(transaction)
    this.#onServerTerminated = (transaction) => user.onServerTerminated(transaction)
  }

  get clientCount(): number {
    return this.#clients.size
  }

  get serverCount(): number {
    return this.#servers.size
  }

  readonly responseSent: SendCallback = (error) => {
    if (error) this.counters.count('unsent_responses')
  }

  createClient(
    user: ClientTransactionUser,
    wanted: { request: OutgoingRequest; branch: string; flow: Flow; fallback?: Flow | undefined },
  ): ClientTransaction {
    const transaction = new ClientTransaction(this, user, wanted)
    this.#clients.set(clientKey(wanted.branch, wanted.request.method), transaction)
    return transaction
  }

  /**
   * RFC 3261 §17.1.3: a response matches when "the branch parameter in the top Via header field" and "the method
   * parameter in the CSeq header field" are those of the request. Of a branch that is random, sent-by says nothing more. Call-ID,
   * CSeq and From tag have to be those of the request as well (§8.2.6.2), or it would make a dialog that is not ours.
   */
  clientOf(response: ParsedMessage): ClientTransaction | undefined {
    const transaction = this.#clients.get(clientKey(response.branch, response.method))
    return transaction?.answeredBy(response) === true ? transaction : undefined
  }

  /** Whether a request of ours that is under way has that branch. */
  hasClient(branch: string): boolean {
    return this.#clients.has(branch)
  }

  createServer(request: { key: string; method: string; mergeKey?: string | undefined }, flow: Flow): ServerTransaction {
    const key = detached(request.key)
    const mergeKey = request.mergeKey === undefined ? undefined : detached(request.mergeKey)
    const transaction = new ServerTransaction(this, { key, method: request.method, mergeKey }, flow)
    this.#servers.set(key, transaction)
    if (mergeKey !== undefined) this.#merges.set(mergeKey, transaction)
    return transaction
  }

  /** A request with that Call-ID, From tag and CSeq is being answered, or is an INVITE that was accepted lately. */
  hasMerge(mergeKey: string): boolean {
    return this.#merges.has(mergeKey)
  }

  /** What was sent over the connection, and has no answer at all, may not have arrived. */
  brokenOff(connection: Connection, error: Error): void {
    for (const client of this.#clients.values()) client.brokenOff(connection, error)
  }

  serverAt(key: string): ServerTransaction | undefined {
    return this.#servers.get(key)
  }

  onClientTerminated(transaction: ClientTransaction): void {
    this.#clients.delete(clientKey(transaction.branch, transaction.method))
  }

  onBranchChanged(transaction: ClientTransaction, from: string): void {
    this.#clients.delete(clientKey(from, transaction.method))
    this.#clients.set(clientKey(transaction.branch, transaction.method), transaction)
  }

  onServerSettled(transaction: ServerTransaction): void {
    const { mergeKey } = transaction
    if (mergeKey !== undefined && this.#merges.get(mergeKey) === transaction) this.#merges.delete(mergeKey)
  }

  onServerTerminated(transaction: ServerTransaction): void {
    this.#servers.delete(transaction.key)
    this.onServerSettled(transaction)
    this.#onServerTerminated(transaction)
  }

  /** Forgets all of them, without a word to anybody. */
  stop(): void {
    for (const transaction of this.#clients.values()) transaction.stop()
    for (const transaction of this.#servers.values()) transaction.stop()
    this.#clients.clear()
    this.#servers.clear()
  }
}

/** A CANCEL has the branch of its INVITE (§9.1); every other request has one of its own. */
function clientKey(branch: string, method: string): string {
  return method === 'CANCEL' ? `${branch} CANCEL` : branch
}

/**
 * RFC 3261 §17.2.3: a request matches a server transaction when branch, sent-by and method are the same, "except for ACK,
 * where the method of the request that created the transaction is INVITE". Without the magic cookie of RFC 3261 in the
 * branch, the rules for RFC 2543 hold: Request-URI, From tag, Call-ID, CSeq number and the top Via.
 */
export function serverKey(request: ParsedMessage, method: string): string {
  const { branch, sentBy } = request
  if (branch.startsWith('z9hG4bK') || branch.startsWith('z9hg4bk')) return `${branch} ${sentBy} ${method}`
  return `${request.uri} ${request.fromTag} ${request.callId} ${request.cseq} ${request.get('Via')} ${method}`
}
