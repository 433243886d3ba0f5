import { parseMessage } from '../../dataplane/engine/message/parse.ts'
import { parseNameAddr } from '../../dataplane/engine/message/name-addr.ts'
import type { ParsedMessage } from '../../dataplane/engine/message/parsed-message.ts'
import {
  acknowledgement,
  type Answerable,
  answering,
  beginning,
  cancellation,
  going,
  type Place,
  templates,
} from './corpus.ts'
import { type Side, sides } from './fuzzed-replica.ts'
import type { Random } from './random.ts'

/** How many requests and dialogs are kept in mind on each side. */
const MEMORY = 24

interface Memory {
  /** Requests that the replica has sent and that are not answered finally. */
  readonly requests: Answerable[]
  /** Dialogs with the replica. */
  readonly dialogs: Place[]
  /** Requests that it was sent. */
  readonly begun: Place[]
}

/** Two peers that hold real conversations with the replica, so that mutations meet every state of a call. */
export class Traffic {
  readonly #random: Random
  readonly #memories: Readonly<Record<Side, Memory>> = {
    pbx: { requests: [], dialogs: [], begun: [] },
    carrier: { requests: [], dialogs: [], begun: [] },
  }
  #serial = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** What one of them might say next. */
  next(): { text: string; side: Side } {
    const random = this.#random
    const side: Side = random.of(['pbx', 'carrier'])
    const { requests, dialogs, begun } = this.#memories[side]
    const peer = `${sides[side].address}:${sides[side].port}`
    const request = random.below(10) < 4 ? random.of(requests) : undefined
    if (request !== undefined) {
      const template = random.once(3) ? -1 : random.below(templates.answers)
      return { text: answering(template, request, `t${random.below(3)}`, peer), side }
    }
    const dialog = random.below(10) < 6 ? random.of(dialogs) : undefined
    if (dialog !== undefined) {
      const place = { ...dialog, branch: this.#branch(), cseq: dialog.cseq + random.below(6) }
      const text = random.once(4)
        ? acknowledgement({ ...dialog, branch: place.branch })
        : going(random.below(99), place)
      return { text, side }
    }
    const open = random.once(8) ? random.of(begun) : undefined
    if (open !== undefined) return { text: cancellation(open), side }
    return { text: this.#begin(begun, peer), side }
  }

  /** Hears what the replica has sent to a side. */
  sent(text: string, side: Side): void {
    const parsed = parseMessage(text)
    if (!parsed.ok) return
    const { message } = parsed
    const memory = this.#memories[side]
    if (message.kind === 'request') remember(memory.requests, answerable(message))
    else if (message.status > 100 && message.status < 300 && message.method === 'INVITE' && message.toTag !== '') {
      remember(memory.dialogs, this.#placeOf(message, side))
    }
    if (message.kind === 'request' && message.toTag !== '' && !this.#random.once(4)) return
    if (message.kind === 'request' && message.method === 'INVITE') {
      // The dialog as the called party has it.
      const own = this.#placeOf(message, side)
      remember(memory.dialogs, { ...own, localTag: `t${this.#random.below(3)}`, remoteTag: message.fromTag })
    }
  }

  #begin(begun: Place[], peer: string): string {
    const serial = this.#serial++
    const place: Place = {
      callId: `fuzz-${serial}@192.0.2.10`,
      localTag: `from-${serial}`,
      remoteTag: '',
      remoteTarget: '',
      cseq: 1 + this.#random.below(2),
      branch: this.#branch(),
      peer,
    }
    // Half of what begins is a call.
    const template = this.#random.once(2) ? this.#random.below(templates.calls) : this.#random.below(templates.outside)
    if (template < templates.calls) remember(begun, place)
    return beginning(template, place)
  }

  #placeOf(message: ParsedMessage, side: Side): Place {
    return {
      callId: message.callId,
      localTag: message.fromTag,
      remoteTag: message.toTag,
      remoteTarget: parseNameAddr(message.get('Contact') ?? '')?.uri ?? 'sip:192.0.2.1',
      cseq: message.cseq,
      branch: this.#branch(),
      peer: `${sides[side].address}:${sides[side].port}`,
      rack: message.has('RSeq') ? `${message.get('RSeq')} ${message.cseq} INVITE` : undefined,
    }
  }

  #branch(): string {
    return `z9hG4bKfuzz${this.#serial++}`
  }
}

function answerable(message: ParsedMessage): Answerable {
  return {
    via: message.get('Via') ?? '',
    from: message.get('From') ?? '',
    to: message.get('To') ?? '',
    callId: message.callId,
    cseq: message.get('CSeq') ?? '',
  }
}

function remember<T>(list: T[], item: T): void {
  list.push(item)
  if (list.length > MEMORY) list.shift()
}
