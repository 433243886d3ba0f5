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
  readonly #countsFrom = new Map<string, number>()
  readonly #countsTo = new Map<string, number>()
  /** Trunk that a call is sent to. */
  readonly #sentTo = new Map<C, string>()
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
    return this.#countsFrom.get(trunk) ?? 0
  }

  /** Calls that are sent to a trunk. */
  countTo(trunk: string): number {
    return this.#countsTo.get(trunk) ?? 0
  }

  /** Trunk that the call is sent to, once it is. */
  sentTo(call: C): string | undefined {
    return this.#sentTo.get(call)
  }

  add(call: C): void {
    this.#calls.add(call)
    count(this.#countsFrom, call.inboundTrunk, 1)
    this.#onCountChange()
  }

  /** The call goes to that trunk now, and no more to the one before. */
  send(call: C, trunk: string): void {
    this.#unsend(call)
    this.#sentTo.set(call, trunk)
    count(this.#countsTo, trunk, 1)
  }

  bind(dialogId: string, call: C): void {
    this.#dialogs.set(dialogId, call)
  }

  /** A dialog id may have gone over to another call, when a caller tried again with the same Call-ID and tag. */
  remove(call: C, dialogIds: Iterable<string>): void {
    for (const id of dialogIds) if (this.#dialogs.get(id) === call) this.#dialogs.delete(id)
    if (!this.#calls.delete(call)) return
    count(this.#countsFrom, call.inboundTrunk, -1)
    this.#unsend(call)
    this.#onCountChange()
  }

  #unsend(call: C): void {
    const trunk = this.#sentTo.get(call)
    if (trunk === undefined) return
    this.#sentTo.delete(call)
    count(this.#countsTo, trunk, -1)
  }
}

function count(counts: Map<string, number>, trunk: string, change: 1 | -1): void {
  const left = (counts.get(trunk) ?? 0) + change
  if (left > 0) counts.set(trunk, left)
  else counts.delete(trunk)
}
