import type { Counters } from '../counters.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import { rackOf } from '../message/reliability.ts'
import { createTag } from '../transaction/identifiers.ts'
import type { ServerTransaction } from '../transaction/server-transaction.ts'
import type { Transactions } from '../transaction/transactions.ts'
import { goesReliably } from './application-response.ts'
import type { ClientCore } from './client-core.ts'
import { dialogIdOf, dialogOfServer, refreshTarget } from './dialog.ts'
import type { DialogTable, LiveDialog } from './dialog-table.ts'
import { LatePracks } from './late-pracks.ts'
import { ReliableProvisionals } from './reliable-provisionals.ts'
import { type Exchange, wayBack } from './server-exchange.ts'
import { UnacknowledgedSuccess } from './unacknowledged-success.ts'

interface Parts {
  readonly transactions: Transactions
  readonly dialogs: DialogTable
  readonly clients: ClientCore
  readonly counters: Counters
  /** From 0 up to 1. */
  readonly random: () => number
  /** No PRACK has come for a reliable provisional response. */
  readonly onPrackMissing: (exchange: Exchange) => void
}

/**
 * The dialogs that INVITEs of peers make (RFC 3261 §12.1.1, §13.3.1), and what their responses wait for: the PRACK of a
 * provisional one (RFC 3262), and the ACK of a 2xx.
 */
export class InviteDialogs {
  readonly #parts: Parts
  readonly #latePracks: LatePracks

  constructor(parts: Parts) {
    this.#parts = parts
    this.#latePracks = new LatePracks(parts.transactions.wheel)
  }

  /** The chain that a response goes into: it is reliable as the application wants it, or as the caller does (RFC 3262 §3). */
  provisionalsFor(exchange: Exchange, response: ParsedMessage): ReliableProvisionals | undefined {
    const { request, transaction } = exchange
    if (!goesReliably(request, response)) return undefined
    const { wheel, counters, responseSent } = this.#parts.transactions
    exchange.reliable ??= new ReliableProvisionals(
      { sequence: request.cseq, flow: transaction.flow },
      this.#parts.random(),
      { wheel, counters, responseSent, onGiveUp: () => this.#parts.onPrackMissing(exchange) },
    )
    return exchange.reliable
  }

  /** Makes, confirms and drops the dialogs of an INVITE as a response of more than 100 wants it. */
  settle(exchange: Exchange, response: { status: number; text: string; to: string; toTag: string }): void {
    const { dialogs } = this.#parts
    const { inside, request, early, reliable } = exchange
    const { status } = response
    if (inside !== undefined) {
      if (reliable !== undefined) inside.reliable = awaitingPrack(reliable, status)
      if (status >= 300) reliable?.stop()
      if (status >= 200 && status < 300) {
        refreshTarget(inside.state, request)
        if (dialogs.has(inside)) this.#awaitAck(inside, exchange, response.text)
      }
      return
    }
    if (status >= 300) return this.endEarly(exchange)
    let dialog = early.find((candidate) => candidate.state.localTag === response.toTag)
    if (dialog === undefined) {
      dialog = dialogs.add(
        dialogOfServer(request, response, exchange.transaction.flow.listener.name),
        exchange.application,
      )
      dialog.invite = exchange.transaction
      dialog.way = wayBack(exchange.transaction.flow)
      early.push(dialog)
    }
    dialog.reliable = awaitingPrack(reliable, status)
    if (status < 200) return
    dialog.state.state = 'confirmed'
    for (const other of early) if (other !== dialog) dialogs.remove(other)
    // A BYE may have ended it while the answer was on its way from the application.
    if (dialogs.has(dialog)) this.#awaitAck(dialog, exchange, response.text)
  }

  /** The INVITE is refused: nothing of it goes on but the wait for a PRACK that is on its way. */
  endEarly({ early, reliable }: Exchange): void {
    reliable?.stop()
    for (const dialog of early) {
      this.#parts.dialogs.remove(dialog)
      if (reliable?.isUnacknowledged === true) this.#latePracks.expect(dialog.state, reliable)
    }
  }

  /** Takes a PRACK outside of any dialog, if it is one that may still come for an INVITE which was refused. */
  takeLatePrack(prack: ParsedMessage): boolean {
    return this.#latePracks.take(prack)
  }

  /**
   * The 2xx that an ACK is of, which is not sent again. RFC 3261 §13.2.2.4: the ACK of a 2xx has the CSeq number of its INVITE.
   * Another copy of it, or one that nothing waits for, is of none.
   */
  takeAck(dialog: LiveDialog, ack: ParsedMessage): UnacknowledgedSuccess | undefined {
    const waiting = dialog.unacknowledged.find(({ sequence }) => sequence === ack.cseq)
    if (waiting === undefined) return undefined
    waiting.stop()
    dialog.unacknowledged = dialog.unacknowledged.filter((one) => one !== waiting)
    return waiting
  }

  /** Our tag in the dialog that an INVITE has made, by its CANCEL; a new one where it has made none, or that is over. */
  localTagOf({ callId, fromTag }: ParsedMessage, invite: ServerTransaction): string {
    const made = this.#parts.dialogs.forksOf(dialogIdOf(callId, fromTag)).find((dialog) => dialog.invite === invite)
    return made?.state.localTag ?? createTag()
  }

  stop(): void {
    this.#latePracks.stop()
  }

  #awaitAck(dialog: LiveDialog, exchange: Exchange, text: string): void {
    const { wheel, counters, responseSent } = this.#parts.transactions
    const { transaction, request } = exchange
    const success = new UnacknowledgedSuccess(
      { sequence: request.cseq, transactionId: transaction.id, text, flow: transaction.flow },
      { wheel, counters, responseSent, onGiveUp: () => this.#giveUp(dialog) },
    )
    dialog.unacknowledged = [...dialog.unacknowledged, success]
  }

  /**
   * RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the dialog is
   * confirmed, but the session SHOULD be terminated. This is accomplished with a BYE".
   */
  #giveUp(dialog: LiveDialog): void {
    this.#parts.counters.count('acks_missing')
    this.#parts.clients.endByItself(dialog, 'ACK timeout')
  }
}

/** Takes a PRACK, if it is of the reliable provisional response that waits for one, which is not sent again then. */
export function takePrack({ reliable }: LiveDialog, prack: ParsedMessage): boolean {
  const rack = rackOf(prack)
  return rack !== undefined && reliable?.acknowledge(rack) === true
}

/** The PRACK is answered: the next response goes out. */
export function resumeAfterPrack(dialog: LiveDialog): void {
  const { reliable, invite } = dialog
  if (invite?.pending !== true) dialog.reliable = undefined
  reliable?.resume()
}

/** After the final response they are of use as long as a PRACK is due; they hold the INVITE, and a call lasts. */
function awaitingPrack(reliable: ReliableProvisionals | undefined, status: number): ReliableProvisionals | undefined {
  return status < 200 || reliable?.isUnacknowledged === true ? reliable : undefined
}
