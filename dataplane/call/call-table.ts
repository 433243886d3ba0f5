import type { IncomingRequest } from '../sip/port.ts'

/** What requests inside a dialog are given to. */
export interface DialogOwner {
  /** Trunk that it came from. */
  readonly inboundTrunk: string
  onRequest(request: IncomingRequest, dialogId: string): void
  onDialogLost(dialogId: string, reason: string): void
}

/** The calls of a replica, and which of them a dialog belongs to. */
export class CallTable<C extends DialogOwner> {
  readonly #calls = new Set<C>()
  readonly #dialogs = new Map<string, C>()
  readonly #countsByTrunk = new Map<string, number>()
  readonly #onCountChange: () => void

  constructor(onCountChange: () => void) {
    this.#onCountChange = onCountChange
  }

  get count(): number {
    return this.#calls.size
  }

  [Symbol.iterator](): IterableIterator<C> {
    return this.#calls.values()
  }

  byDialog(dialogId: string): C | undefined {
    return this.#dialogs.get(dialogId)
  }

  /** Calls that came from a trunk. */
  countFrom(trunk: string): number {
    return this.#countsByTrunk.get(trunk) ?? 0
  }

  add(call: C): void {
    this.#calls.add(call)
    this.#countsByTrunk.set(call.inboundTrunk, this.countFrom(call.inboundTrunk) + 1)
    this.#onCountChange()
  }

  bind(dialogId: string, call: C): void {
    this.#dialogs.set(dialogId, call)
  }

  /** A dialog id may have gone over to another call, when a caller tried again with the same Call-ID and tag. */
  remove(call: C, dialogIds: Iterable<string>): void {
    for (const id of dialogIds) if (this.#dialogs.get(id) === call) this.#dialogs.delete(id)
    if (!this.#calls.delete(call)) return
    const left = this.countFrom(call.inboundTrunk) - 1
    if (left > 0) this.#countsByTrunk.set(call.inboundTrunk, left)
    else this.#countsByTrunk.delete(call.inboundTrunk)
    this.#onCountChange()
  }
}
