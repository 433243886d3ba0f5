import type { Clock } from '#lib/clock.ts'
import { type Rate, TokenBucket } from '#lib/token-bucket.ts'
import type { Counters } from './counters.ts'
import type { Listener } from './transport/transport.ts'

/** Messages of one source that the engine is to know, and of one that it does not know; and of all of those together. */
const KNOWN: Rate = { perSecond: 20_000, burst: 40_000 }
const STRANGER: Rate = { perSecond: 20, burst: 40 }
const STRANGERS: Rate = { perSecond: 500, burst: 1000 }
/** How long it is remembered whether a source is known, in milliseconds. */
const REMEMBER = 1000
/** Sources of one listener that are remembered; strangers beyond share what all of them have. */
const MAX_SOURCES = 20_000

interface Source {
  known: boolean
  askedAt: number
  /** Undefined for a stranger that has sent nothing more since it was met. */
  readonly bucket: TokenBucket
}

export interface GateOptions {
  readonly clock: Clock
  readonly counters: Counters
  /** Whether requests from there are answered at all. */
  readonly admits: (address: string, port: number, listener: Listener) => boolean
}

/**
 * Stands before the parser. What comes from a source that nobody knows may still be something that is waited for, a
 * response from another address or a request in a dialog, so a few such messages a second are looked at; the rest of a
 * flood costs no more than its reading from the socket.
 */
export class Gate {
  readonly #options: GateOptions
  readonly #sources = new Map<string, Map<string, Source>>()
  readonly #strangers: TokenBucket

  constructor(options: GateOptions) {
    this.#options = options
    this.#strangers = new TokenBucket(STRANGERS, options.clock.now())
  }

  /** Whether a message from there may be looked at; `known` when it may be as any other. */
  enter(listener: Listener, address: string, port: number): 'known' | 'stranger' | undefined {
    const { clock, counters } = this.#options
    const now = clock.now()
    const source = this.#sourceOf(listener, address, port, now)
    if (source === undefined) {
      if (this.#strangers.take(STRANGERS, now)) return 'stranger'
    } else if (source.known) {
      if (source.bucket.take(KNOWN, now)) return 'known'
      counters.count('dropped_known_flood')
      return undefined
    } else if (source.bucket.take(STRANGER, now) && this.#strangers.take(STRANGERS, now)) return 'stranger'
    counters.count('dropped_stranger_flood')
    return undefined
  }

  /** Whether requests from there are answered at all. */
  knows(listener: Listener, address: string, port: number): boolean {
    return this.#sourceOf(listener, address, port, this.#options.clock.now())?.known === true
  }

  #sourceOf(listener: Listener, address: string, port: number, now: number): Source | undefined {
    let sources = this.#sources.get(listener.name)
    if (sources === undefined) this.#sources.set(listener.name, (sources = new Map()))
    const found = sources.get(address)
    if (found !== undefined && now - found.askedAt < REMEMBER) return found
    const known = this.#options.admits(address, port, listener)
    if (found !== undefined && found.known === known) {
      found.askedAt = now
      return found
    }
    if (sources.size >= MAX_SOURCES) this.#forget(sources, now)
    // A trunk is always remembered: a flood of strangers must not take its place.
    if (sources.size >= MAX_SOURCES && !known) return undefined
    const source = { known, askedAt: now, bucket: new TokenBucket(known ? KNOWN : STRANGER, now) }
    sources.set(address, source)
    return source
  }

  /** Forgets those that were not met lately; not at every message of a flood. */
  #forget(sources: Map<string, Source>, now: number): void {
    const [first] = sources.values()
    if (first === undefined || now - first.askedAt < REMEMBER) return
    for (const [address, { askedAt }] of sources) if (now - askedAt >= REMEMBER) sources.delete(address)
  }
}

/** A To with a tag, in its long or its compact form: of requests, only those in a dialog have it. */
const TAGGED_TO = /\r\n(?:to|t)[ \t]*:[^\r\n]*;[ \t]*tag[ \t]*=/i

/**
 * Whether a message from a stranger could be waited for, by its first line and its top Via, and the tag of its To: a
 * response to a branch of ours, or a request that is no beginning. All else is silence, and need not be read for that.
 */
export function couldBeAwaited(text: string, isOurBranch: (branch: string) => boolean): boolean {
  if (!text.startsWith('SIP/2.0 ')) return text.startsWith('CANCEL ') || TAGGED_TO.test(text)
  const at = text.indexOf(';branch=')
  if (at < 0) return false
  let end = at + 8
  for (let code = text.charCodeAt(end); code > 32 && code !== 44 && code !== 59; code = text.charCodeAt(++end));
  return isOurBranch(text.slice(at + 8, end))
}
