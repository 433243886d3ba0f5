import { lookup, Resolver } from 'node:dns/promises'
import { isIP, SocketAddress } from 'node:net'
import type { ListenerConfig } from '#api/snapshot.ts'
import type { Clock, Timer } from '#lib/clock.ts'

export type IpFamily = ListenerConfig['ipFamily']

export interface Resolved {
  /** IP addresses of the family asked for, best first. */
  readonly addresses: readonly string[]
  /** How long they may be used. */
  readonly ttlSeconds: number
}

/** Finds the addresses of a DNS name. Rejects with an error that has a `code` when there are none. */
export type Resolve = (host: string, family: IpFamily) => Promise<Resolved>

/** Bounds of a TTL: below, the DNS would be asked for every call; above, a move of the peer would go unseen for days. */
const minimumTtlSeconds = 5
const maximumTtlSeconds = 3600
/** First wait after a failure, doubled each time up to the last. */
const retrySeconds = { first: 5, last: 60 }
const maximumAddresses = 16

/** The resolution of one host, shared by all who watch it. */
export interface HostWatch {
  /** Best first, at most 16, in canonical form; the last good ones while the DNS fails. */
  readonly addresses: readonly string[]
  /** Why there is no fresh answer; undefined when there is one, or when none is due yet. */
  readonly failure: string | undefined
  /** Whether there was an answer, good or bad. */
  readonly settled: boolean
  /** Ends the watch; the host is looked up no more when nobody watches it. */
  stop(): void
}

interface HostEntry {
  readonly host: string
  readonly family: IpFamily
  readonly watchers: Set<() => void>
  addresses: readonly string[]
  failure: string | undefined
  settled: boolean
  failures: number
  timer: Timer | undefined
}

/** Addresses of all hosts that anybody watches, looked up again when their TTL ends. */
export class HostResolution {
  readonly #clock: Clock
  readonly #resolve: Resolve
  readonly #entries = new Map<string, HostEntry>()

  constructor(options: { clock: Clock; resolve: Resolve }) {
    this.#clock = options.clock
    this.#resolve = options.resolve
  }

  /** `onChange` runs after addresses or failure changed; not for what is known when this returns, as for literals. */
  watch(host: string, family: IpFamily, onChange: () => void): HostWatch {
    const key = `${family} ${host.toLowerCase()}`
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { host, family, watchers: new Set(), ...ofLiteral(host, family), failures: 0, timer: undefined }
      this.#entries.set(key, entry)
      if (!entry.settled) void this.#lookUp(entry)
    }
    return this.#watchOf(key, entry, onChange)
  }

  #watchOf(key: string, entry: HostEntry, onChange: () => void): HostWatch {
    // Its own function, since one caller may watch a host several times with the same function.
    const watcher = () => onChange()
    entry.watchers.add(watcher)
    return {
      get addresses() {
        return entry.addresses
      },
      get failure() {
        return entry.failure
      },
      get settled() {
        return entry.settled
      },
      stop: () => {
        entry.watchers.delete(watcher)
        if (entry.watchers.size > 0 || this.#entries.get(key) !== entry) return
        entry.timer?.cancel()
        this.#entries.delete(key)
      },
    }
  }

  async #lookUp(entry: HostEntry): Promise<void> {
    let seconds: number
    const before = { addresses: entry.addresses, failure: entry.failure, settled: entry.settled }
    try {
      const { addresses, ttlSeconds } = await this.#resolve(entry.host, entry.family)
      if (addresses.length === 0) throw new Error('no address')
      entry.addresses = addresses.slice(0, maximumAddresses).map(canonicalAddress)
      entry.failure = undefined
      entry.failures = 0
      seconds = Math.min(maximumTtlSeconds, Math.max(minimumTtlSeconds, ttlSeconds))
    } catch (error) {
      entry.failure = `${entry.host} has no ${entry.family} address: ${causeOf(error)}`
      seconds = Math.min(retrySeconds.last, retrySeconds.first * 2 ** entry.failures)
      entry.failures++
    }
    entry.settled = true
    if (entry.watchers.size === 0) return
    entry.timer = this.#clock.after(seconds * 1000, () => void this.#lookUp(entry))
    const same =
      before.settled &&
      before.failure === entry.failure &&
      before.addresses.length === entry.addresses.length &&
      before.addresses.every((address, index) => address === entry.addresses[index])
    if (!same) for (const watcher of entry.watchers) watcher()
  }
}

function ofLiteral(host: string, family: IpFamily): Pick<HostEntry, 'addresses' | 'failure' | 'settled'> {
  const version = isIP(host)
  if (version === 0) return { addresses: [], failure: undefined, settled: false }
  if (version === (family === 'IPv4' ? 4 : 6)) {
    return { addresses: [canonicalAddress(host)], failure: undefined, settled: true }
  }
  return { addresses: [], failure: `${host} is not an ${family} address, as its listener is`, settled: true }
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
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

/** Names that the operating system finds, in /etc/hosts or with a search domain, come without TTL. */
const systemTtlSeconds = 30

/**
 * Asks the DNS servers of this machine for A or AAAA records. What they do not know, and names of a single label, the
 * operating system is asked for.
 */
export function dnsResolve(): Resolve {
  const resolver = new Resolver({ timeout: 2000, tries: 2 })
  return async (host, family) => {
    const known = host.includes('.') ? await askDns(resolver, host, family) : undefined
    if (known !== undefined) return known
    const found = await lookup(host, { family: family === 'IPv4' ? 4 : 6, all: true })
    return { addresses: found.map(({ address }) => address), ttlSeconds: systemTtlSeconds }
  }
}

async function askDns(resolver: Resolver, host: string, family: IpFamily): Promise<Resolved | undefined> {
  try {
    const records = await (family === 'IPv4'
      ? resolver.resolve4(host, { ttl: true })
      : resolver.resolve6(host, { ttl: true }))
    return {
      addresses: records.map(({ address }) => address),
      ttlSeconds: Math.min(...records.map(({ ttl }) => ttl)),
    }
  } catch {
    return undefined
  }
}
