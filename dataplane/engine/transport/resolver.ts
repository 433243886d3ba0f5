import { lookup as systemLookup } from 'node:dns'
import type { Clock } from '#lib/clock.ts'
import { bareHost, ipFamily } from './address.ts'

/** Addresses of a host, best first. */
export type Lookup = (host: string, done: (error: Error | undefined, addresses: readonly string[]) => void) => void

/** A and AAAA by the operating system, in its order. */
export const lookUpAddresses: Lookup = (host, done) => {
  systemLookup(host, { all: true, verbatim: true }, (error, found) => {
    if (error) done(error, [])
    else
      done(
        undefined,
        found.map((entry) => entry.address),
      )
  })
}

/** How long an answer of the operating system is used, which tells no lifetime, and how long a failure. In milliseconds. */
const KEEP = 30_000
const KEEP_FAILURE = 3000
const MAX_HOSTS = 1000

interface Entry {
  readonly addresses: readonly string[]
  readonly until: number
}

/**
 * From the host of a next hop to addresses: literals at once, names by A and AAAA. The place where RFC 3263 belongs.
 */
export class Resolver {
  readonly #clock: Clock
  readonly #lookup: Lookup
  readonly #known = new Map<string, Entry>()
  readonly #waiting = new Map<string, ((addresses: readonly string[]) => void)[]>()

  constructor(clock: Clock, lookup: Lookup = lookUpAddresses) {
    this.#clock = clock
    this.#lookup = lookup
  }

  /** Calls back at once for a literal or a name that is known; none means that the name has no address. */
  resolve(host: string, done: (addresses: readonly string[]) => void): void {
    const bare = bareHost(host)
    if (ipFamily(bare) !== 0) {
      done([bare])
      return
    }
    const name = bare.toLowerCase()
    const known = this.#known.get(name)
    if (known !== undefined && known.until > this.#clock.now()) done(known.addresses)
    else this.#ask(name, done)
  }

  #ask(name: string, done: (addresses: readonly string[]) => void): void {
    const waiting = this.#waiting.get(name)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.#waiting.set(name, [done])
    this.#lookup(name, (error, addresses) => {
      const keep = error === undefined && addresses.length > 0 ? KEEP : KEEP_FAILURE
      if (this.#known.size >= MAX_HOSTS) this.#known.clear()
      this.#known.set(name, { addresses, until: this.#clock.now() + keep })
      const callers = this.#waiting.get(name) ?? []
      this.#waiting.delete(name)
      for (const caller of callers) caller(addresses)
    })
  }
}
