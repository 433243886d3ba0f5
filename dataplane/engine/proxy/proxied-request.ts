import type { SipMessage } from '../message/sip-message.ts'
import { parseNameAddr } from '../message/name-addr.ts'
import { formatResponse } from '../dialog/response-text.ts'
import { createTag } from '../transaction/identifiers.ts'
import type { ServerTransaction } from '../transaction/server-transaction.ts'
import type { SendCallback, Flow } from '../transport/transport.ts'
import { bestFailure, type Failure, otherChallenges } from './best-response.ts'
import type { Branch, BranchUser } from './branch.ts'
import { relayedResponse } from './forwarding.ts'
import { isSipUri, MOST_TARGETS } from './proxy-order.ts'

/** How a request is proxied. */
export interface ProxiedParts {
  readonly request: SipMessage
  readonly transaction: ServerTransaction
  readonly targets: readonly string[]
  readonly simultaneous: boolean
  readonly followsRedirects: boolean
  /** Makes the branch to a target, and sends nothing yet. */
  readonly branchTo: (target: string, user: BranchUser) => { branch: Branch; send: () => void }
  readonly responseSent: SendCallback
  readonly onFinal: (response: SipMessage, source: Flow) => void
  /** A final response was relayed, or there is none to relay. */
  readonly onDone: () => void
}

/** The response context of RFC 3261 §16.7: one request with all the targets that it is sent to. */
export class ProxiedRequest implements BranchUser {
  readonly #parts: ProxiedParts
  readonly #targets: string[]
  readonly #tried = new Set<string>()
  readonly #branches: Branch[] = []
  readonly #failures: Failure[] = []
  /** A final response was relayed. */
  #answered = false
  #done = false
  /** No target is added any more. */
  #closed = false

  constructor(parts: ProxiedParts) {
    this.#parts = parts
    this.#targets = [...new Set(parts.targets)]
    for (const target of this.#targets) this.#tried.add(target)
  }

  get request(): SipMessage {
    return this.#parts.request
  }

  start(): void {
    this.#sendOn()
  }

  /** §16.10: the CANCEL of the caller, which was answered already. */
  cancel(): void {
    this.#closed = true
    this.#targets.length = 0
    for (const branch of this.#branches) branch.cancel()
  }

  /** The caller's transaction is over: no answer is of use any more. */
  end(): void {
    this.#closed = true
    this.#targets.length = 0
    if (!this.#answered) for (const branch of this.#branches) if (branch.pending) branch.giveUp()
    this.#finish()
  }

  onProvisional(response: SipMessage): void {
    const text = this.#answered ? undefined : relayedResponse(response)
    if (text !== undefined) this.#parts.transaction.respond(response.status, text)
  }

  onFinal(branch: Branch, response: SipMessage, source: Flow): void {
    const { status } = response
    // It would find no way back to the caller, who has to have some answer.
    if (relayedResponse(response) === undefined) return this.onNoFinal(branch, 502)
    if (!this.#done) this.#parts.onFinal(response, source)
    if (status < 300) return this.#onSuccess(response)
    // §16.7, step 5: "If the proxy receives a 6xx, … the proxy SHOULD cancel all outstanding client transactions".
    if (status >= 600) this.cancel()
    if (!this.#follow(response)) this.#failures.push({ status, response })
    this.#sendOn()
  }

  onNoFinal(_branch: Branch, status: number): void {
    this.#failures.push({ status, response: undefined })
    this.#sendOn()
  }

  /** §16.5: the Contacts of a 3xx become targets where that is wanted; false: it is an answer like any other. */
  #follow(response: SipMessage): boolean {
    if (!this.#parts.followsRedirects || this.#closed || response.status >= 400) return false
    const contacts = response.values('Contact').map((value) => parseNameAddr(value)?.uri ?? '')
    const others = contacts.filter((uri) => isSipUri(uri) && !this.#tried.has(uri))
    const added = [...new Set(others)].slice(0, MOST_TARGETS - this.#tried.size)
    for (const uri of added) this.#tried.add(uri)
    this.#targets.push(...added)
    return added.length > 0
  }

  #onSuccess(response: SipMessage): void {
    const { transaction, responseSent } = this.#parts
    const text = relayedResponse(response)
    this.cancel()
    if (text === undefined) return
    // RFC 6026 §7.1: what comes after the first goes to the transport, past the transaction. A request that is no INVITE has one answer.
    if (transaction.pending) transaction.respond(response.status, text)
    else if (response.method === 'INVITE') transaction.flow.listener.send(text, transaction.flow, responseSent)
    this.#answered = true
    this.#finish()
  }

  /** The next target, or all of them; where there is none any more, the answer. */
  #sendOn(): void {
    const pending = this.#branches.some((branch) => branch.pending)
    const count = this.#parts.simultaneous ? this.#targets.length : pending ? 0 : 1
    const next = this.#targets.splice(0, count).map((target) => this.#parts.branchTo(target, this))
    for (const { branch } of next) this.#branches.push(branch)
    for (const { send } of next) send()
    if (next.length === 0 && !pending) this.#answer()
  }

  #answer(): void {
    const { transaction, request } = this.#parts
    const best = bestFailure(this.#failures)
    if (this.#answered || best === undefined) return
    this.#answered = true
    const text = this.#textOf(best)
    // RFC 4320 §4.2: "MUST NOT send a response with Status-Code of 408 to a non-INVITE request": there is no answer then.
    if (text !== undefined && (request.method === 'INVITE' || best.status !== 408)) {
      transaction.respond(statusOf(best), text)
    }
    this.#finish()
  }

  #textOf(best: Failure): string | undefined {
    const { request } = this.#parts
    const status = statusOf(best)
    if (best.response === undefined || status !== best.status) {
      return formatResponse(request, { status, toTag: createTag() })
    }
    return relayedResponse(best.response, otherChallenges(best, this.#failures))
  }

  #finish(): void {
    if (this.#done) return
    this.#done = true
    this.#parts.onDone()
  }
}

/**
 * RFC 3261 §16.7, step 6: "A proxy which receives a 503 … response SHOULD NOT forward it upstream unless it can determine that
 * any subsequent requests it might proxy will also generate a 503. … If the only response that was received is a 503, the proxy
 * SHOULD generate a 500 response and forward that upstream."
 */
function statusOf({ status }: Failure): number {
  return status === 503 ? 500 : status
}
