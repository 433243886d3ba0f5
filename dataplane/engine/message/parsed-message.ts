import { lookUpHeader } from './header-names.ts'
import type { Identity } from './identity.ts'
import { splitList } from './list.ts'
import type { Scan } from './scan.ts'
import type { SipMessage } from './sip-message.ts'
import type { StartLine } from './start-line.ts'

/**
 * A message by the places of its parts in its text. The only implementation of `SipMessage`. Strings taken from it may
 * keep the whole text in memory for as long as they live. What start line and identity tell is read from them when asked
 * for, since copying it takes as long as a header field.
 */
export class ParsedMessage implements SipMessage {
  readonly text: string
  readonly #start: StartLine
  readonly #scan: Scan
  readonly #identity: Identity

  constructor(text: string, start: StartLine, scan: Scan, identity: Identity) {
    this.text = text
    this.#start = start
    this.#scan = scan
    this.#identity = identity
  }

  get kind(): 'request' | 'response' {
    return this.#start.kind
  }

  get method(): string {
    return this.kind === 'request' ? this.#start.method : this.#identity.cseqMethod
  }

  get uri(): string {
    return this.#start.uri
  }

  get status(): number {
    return this.#start.status
  }

  get reason(): string {
    return this.#start.reason
  }

  get callId(): string {
    return this.#identity.callId
  }

  get fromTag(): string {
    return this.#identity.fromTag
  }

  get toTag(): string {
    return this.#identity.toTag
  }

  get cseq(): number {
    return this.#identity.cseq
  }

  get branch(): string {
    return this.#identity.branch
  }

  /** `sent-by` of the top Via as written: with branch and method the key of a transaction (RFC 3261 §17.2.3). */
  get sentBy(): string {
    return this.#identity.sentBy
  }

  get body(): string {
    return this.text.slice(this.#scan.bodyStart)
  }

  get(name: string): string | undefined {
    const at = this.#find(name, 0)
    return at < 0 ? undefined : this.#value(at)
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0
  }

  lines(name: string): string[] {
    const lines: string[] = []
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + 1)) lines.push(this.#value(at))
    return lines
  }

  values(name: string): string[] {
    const lines = this.lines(name)
    const form = lookUpHeader(name)?.form ?? 'list'
    return form === 'list' ? lines.flatMap(splitList) : lines
  }

  *headers(): IterableIterator<[name: string, value: string]> {
    const { names } = this.#scan
    for (let at = 0; at < names.length; at++) yield [names[at] ?? '', this.#value(at)]
  }

  /** The same message with its top Via completed by the transport; branch and sent-by have to stay what they are. */
  withTopVia(via: string): ParsedMessage {
    const { names, offsets } = this.#scan
    const line = names.indexOf('Via')
    const oldEnd = this.#identity.topViaEnd
    if (line < 0 || oldEnd < 0) return this
    const start = offsets[2 * line] ?? 0
    const shift = via.length - (oldEnd - start)
    const text = this.text.slice(0, start) + via + this.text.slice(oldEnd)
    const moved = offsets.map((offset, at) => (at > 2 * line ? offset + shift : offset))
    const scan = { ...this.#scan, offsets: moved, bodyStart: this.#scan.bodyStart + shift }
    return new ParsedMessage(text, this.#start, scan, { ...this.#identity, topViaEnd: oldEnd + shift })
  }

  #value(at: number): string {
    const { offsets } = this.#scan
    return this.text.slice(offsets[2 * at], offsets[2 * at + 1])
  }

  #find(name: string, from: number): number {
    const { names } = this.#scan
    const known = lookUpHeader(name)
    if (known !== undefined) return names.indexOf(known.name, from)
    const wanted = name.toLowerCase()
    for (let at = from; at < names.length; at++) {
      const found = names[at] ?? ''
      if (found.length === name.length && found.toLowerCase() === wanted) return at
    }
    return -1
  }
}
