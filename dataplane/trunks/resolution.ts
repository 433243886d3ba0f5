import { isIP, SocketAddress } from 'node:net'
import type { Clock, Timer } from '#lib/clock.ts'
import { type IpFamily, type Locate, type Located, LocateError, type Sought } from '../dns/locate.ts'
import type { Weighted } from '../dns/selection.ts'
import { defaultPort } from '../engine/message/transports.ts'
import { formatHostPort } from '../engine/message/uri.ts'

/** One address and port that requests can be sent to. */
export interface Endpoint {
  readonly address: string
  readonly port: number
  /** Both, as `192.0.2.1:5060` or `[2001:db8::1]:5060`: tells endpoints of one transport apart. */
  readonly name: string
}

/** One server, with its place among the others of the host (RFC 2782) and its endpoints, best first. */
export interface Server extends Weighted {
  readonly endpoints: readonly Endpoint[]
}

/** Bounds of a lifetime: below, the DNS would be asked for every call; above, a move of the peer would go unseen for days. */
const minimumTtlSeconds = 1
const maximumTtlSeconds = 3600
/** First wait after a failure, doubled each time up to the last. */
const retrySeconds = { first: 5, last: 60 }
/** Least time between look-ups that calls ask for, in milliseconds. */
const hastePause = 1000
/**
 * How long the last good servers are kept: a day after the DNS last knew them while it says nothing (RFC 8767 section 5), and
 * five minutes when it says that there are none, for zones that flap. A service that is decidedly not there ends them at once.
 */
const keptMilliseconds = { Failing: 86_400_000, Gone: 300_000 }
const maximumEndpoints = 16

/** The resolution of one host, shared by all who watch it. */
export interface HostWatch {
  /** Lower priority values first; the last good ones while the DNS fails. */
  readonly servers: readonly Server[]
  /** Of all servers, at most 16, in canonical form. */
  readonly endpoints: readonly Endpoint[]
  /** What the DNS did not tell; undefined when all is fresh and complete, or when no answer is due yet. */
  readonly failure: string | undefined
  /** Whether there was an answer, good or bad. */
  readonly settled: boolean
  /** Somebody wants servers now: where none is known, the next look-up is brought forward, at most once a second. */
  hasten(): void
  /** Ends the watch; the host is looked up no more when nobody watches it. */
  stop(): void
}

interface HostEntry {
  readonly sought: Sought
  readonly family: IpFamily
  readonly watchers: Set<() => void>
  servers: readonly Server[]
  endpoints: readonly Endpoint[]
  failure: string | undefined
  settled: boolean
  failures: number
  /** When the first of these failures was, and when the DNS was last as it should be. */
  failingSince: number
  freshAt: number
  /** When it was last asked for. */
  askedAt: number
  /** Until the next look-up; undefined during one. */
  timer: Timer | undefined
}

/** Servers of all hosts that anybody watches, looked up again when their TTL ends. */
export class HostResolution {
  readonly #clock: Clock
  readonly #locate: Locate
  readonly #entries = new Map<string, HostEntry>()

  constructor(options: { clock: Clock; locate: Locate }) {
    this.#clock = options.clock
    this.#locate = options.locate
  }

  /** `onChange` runs after servers or failure changed; not for what is known when this returns, as for literals. */
  watch(sought: Sought, family: IpFamily, onChange: () => void): HostWatch {
    const key = keyOf(sought, family)
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = {
        sought: { ...sought, host: isIP(sought.host) === 0 ? sought.host : canonicalAddress(sought.host) },
        family,
        watchers: new Set(),
        servers: [],
        endpoints: [],
        failure: undefined,
        settled: false,
        failures: 0,
        failingSince: 0,
        freshAt: this.#clock.now(),
        askedAt: this.#clock.now(),
        timer: undefined,
      }
      this.#entries.set(key, entry)
      if (isIP(sought.host) === 0) void this.#lookUp(entry)
      else settleLiteral(entry)
    }
    return this.#watchOf(key, entry, onChange)
  }

  #watchOf(key: string, entry: HostEntry, onChange: () => void): HostWatch {
    // Its own function, since one caller may watch a host several times with the same function.
    const watcher = () => onChange()
    entry.watchers.add(watcher)
    return {
      get servers() {
        return entry.servers
      },
      get endpoints() {
        return entry.endpoints
      },
      get failure() {
        return entry.failure
      },
      get settled() {
        return entry.settled
      },
      hasten: () => this.#hasten(entry),
      stop: () => {
        entry.watchers.delete(watcher)
        if (entry.watchers.size > 0 || this.#entries.get(key) !== entry) return
        entry.timer?.cancel()
        this.#entries.delete(key)
      },
    }
  }

  #hasten(entry: HostEntry): void {
    const { servers, timer, askedAt } = entry
    if (servers.length > 0 || timer === undefined || this.#clock.now() < askedAt + hastePause) return
    timer.cancel()
    void this.#lookUp(entry)
  }

  async #lookUp(entry: HostEntry): Promise<void> {
    const before = stateOf(entry)
    entry.timer = undefined
    entry.askedAt = this.#clock.now()
    let seconds: number
    try {
      const located = await this.#locate(entry.sought, [entry.family])
      if (located.sites.every(({ addresses }) => addresses.length === 0)) throw new LocateError('Gone', 'no address')
      seconds = this.#found(entry, located)
    } catch (error) {
      seconds = this.#missed(entry, error)
    }
    entry.settled = true
    if (entry.watchers.size === 0) return
    entry.timer = this.#clock.after(seconds * 1000, () => void this.#lookUp(entry))
    if (before !== stateOf(entry)) for (const watcher of entry.watchers) watcher()
  }

  #found(entry: HostEntry, { sites, ttlSeconds, failure }: Located): number {
    settle(entry, serversOf(sites))
    entry.failure = failure
    entry.failures = 0
    if (failure === undefined) entry.freshAt = this.#clock.now()
    return Math.min(maximumTtlSeconds, Math.max(minimumTtlSeconds, ttlSeconds))
  }

  #missed(entry: HostEntry, error: unknown): number {
    const now = this.#clock.now()
    if (entry.failures === 0) entry.failingSince = now
    const code = error instanceof LocateError ? error.code : 'Failing'
    const isOver =
      code === 'Gone'
        ? now >= entry.failingSince + keptMilliseconds.Gone
        : now >= entry.freshAt + keptMilliseconds.Failing
    if (isOver || code === 'Refused') settle(entry, [])
    entry.failure = error instanceof Error ? error.message : String(error)
    return Math.min(retrySeconds.last, retrySeconds.first * 2 ** entry.failures++)
  }
}

/** A port that is given leaves nothing to find out by transport. */
function keyOf({ host, port, transport, naptr = false }: Sought, family: IpFamily): string {
  return `${family} ${host.toLowerCase()} ${port ?? `by ${naptr ? 'NAPTR' : 'SRV'} for ${transport}`}`
}

function stateOf({ servers, failure, settled }: HostEntry): string {
  return JSON.stringify([settled, failure ?? null, servers])
}

function settle(entry: HostEntry, servers: readonly Server[]): void {
  entry.servers = servers
  entry.endpoints = servers.flatMap(({ endpoints }) => endpoints)
}

function settleLiteral(entry: HostEntry): void {
  const { sought, family } = entry
  const { host, port, transport } = sought
  entry.settled = true
  if (isIP(host) !== (family === 'IPv4' ? 4 : 6)) {
    entry.failure = `${host} is not an ${family} address, as its listener is`
    return
  }
  settle(entry, serversOf([{ priority: 0, weight: 0, port: port ?? defaultPort(transport), addresses: [host] }]))
}

/** Each endpoint once, under the best server that has it: the same address in two records would be probed twice. */
function serversOf(sites: Located['sites']): Server[] {
  const seen = new Set<string>()
  const servers: Server[] = []
  for (const { priority, weight, port, addresses } of sites.toSorted((a, b) => a.priority - b.priority)) {
    const endpoints: Endpoint[] = []
    for (const address of addresses.map(canonicalAddress)) {
      const name = formatHostPort(address, port)
      if (seen.has(name) || seen.size >= maximumEndpoints) continue
      seen.add(name)
      endpoints.push({ address, port, name })
    }
    if (endpoints.length > 0) servers.push({ priority, weight, endpoints })
  }
  return servers
}

/** One text for one address: IPv6 as RFC 5952 has it, IPv4 mapped into IPv6 as plain IPv4. */
export function canonicalAddress(address: string): string {
  if (!address.includes(':')) return address
  const zone = address.indexOf('%')
  if (isIP(address) !== 6 || zone >= 0) return address
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)
  return mapped?.[1] ?? canonical
}
