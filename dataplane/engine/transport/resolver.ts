import { lookup as systemLookup } from 'node:dns'
import type { Clock } from '#lib/clock.ts'
import { defaultPort } from '../message/transports.ts'
import { bareHost, ipFamily } from './address.ts'

/** Where a next hop is to be found: its host as a URI has it, and its port if the URI has one. */
export interface Sought {
  readonly host: string
  readonly port: number | undefined
  /** `UDP`, `TCP`, `TLS`, `WS` or `WSS`. */
  readonly transport: string
}

export interface Endpoint {
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
}

/** Endpoints of a name, the first to try first, and for how many seconds they may be used. */
export interface FoundEndpoints {
  readonly endpoints: readonly Endpoint[]
  readonly ttlSeconds: number
}

/** Looks a name up (RFC 3263 §4.2). None when there is no such host, or when nobody can tell. */
export type Lookup = (sought: Sought, done: (found: FoundEndpoints | undefined) => void) => void

/** How long an answer of the operating system is used, which tells no lifetime, in seconds. */
const SYSTEM_TTL = 30
/** How long a failure is kept, in milliseconds. */
const KEEP_FAILURE = 3000
/** How long an endpoint that failed comes last, in milliseconds. */
const PENALTY = 30_000
const MAX_HOSTS = 1000

/** A and AAAA by the operating system, in its order, at the port of the URI or of the transport. */
export const lookUpAddresses: Lookup = ({ host, port, transport }, done) => {
  systemLookup(host, { all: true, order: 'verbatim' }, (error, found) => {
    if (error) return done(undefined)
    const endpoints = found.map(({ address }) => ({ address, port: port ?? defaultPort(transport) }))
    done({ endpoints, ttlSeconds: SYSTEM_TTL })
  })
}

interface Entry {
  readonly endpoints: readonly Endpoint[]
  readonly until: number
}

type Waiting = (endpoints: readonly Endpoint[]) => void

/** From the host of a next hop to endpoints: literals at once, names by a look-up whose answer is kept for its TTL. */
export class Resolver {
  readonly #clock: Clock
  readonly #lookup: Lookup
  readonly #known = new Map<string, Entry>()
  readonly #waiting = new Map<string, Waiting[]>()
  readonly #failed = new Map<string, number>()

  constructor(clock: Clock, lookup: Lookup = lookUpAddresses) {
    this.#clock = clock
    this.#lookup = lookup
  }

  /** Calls back at once for a literal or a name that is known; none means that the name has no address. */
  resolve(host: string, port: number | undefined, transport: string, done: Waiting): void {
    const bare = bareHost(host)
    if (ipFamily(bare) !== 0) {
      done([{ address: bare, port: port ?? defaultPort(transport) }])
      return
    }
    const sought = { host: bare.toLowerCase(), port, transport }
    const key = `${sought.host} ${port ?? transport}`
    const known = this.#known.get(key)
    if (known !== undefined && known.until > this.#clock.now()) done(this.#order(known.endpoints))
    else this.#ask(key, sought, done)
  }

  /** RFC 3263 §4.3: what did not take a request is tried after the others, for half a minute. */
  failed({ address, port }: Endpoint): void {
    if (this.#failed.size >= MAX_HOSTS) this.#failed.clear()
    this.#failed.set(`${address} ${port}`, this.#clock.now() + PENALTY)
  }

  #ask(key: string, sought: Sought, done: Waiting): void {
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.#waiting.set(key, [done])
    this.#lookup(sought, (found) => {
      const endpoints = found?.endpoints ?? []
      const keep = found === undefined || endpoints.length === 0 ? KEEP_FAILURE : found.ttlSeconds * 1000
      if (this.#known.size >= MAX_HOSTS) this.#known.clear()
      this.#known.set(key, { endpoints, until: this.#clock.now() + keep })
      const callers = this.#waiting.get(key) ?? []
      this.#waiting.delete(key)
      for (const caller of callers) caller(this.#order(endpoints))
    })
  }

  #order(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    if (this.#failed.size === 0 || endpoints.length < 2) return endpoints
    const hasFailed = ({ address, port }: Endpoint) =>
      (this.#failed.get(`${address} ${port}`) ?? -Infinity) > this.#clock.now()
    return [...endpoints.filter((one) => !hasFailed(one)), ...endpoints.filter(hasFailed)]
  }
}
