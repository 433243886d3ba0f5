import type { Clock } from '#lib/clock.ts'
import { comparableDomain, type DnsRecord, type DnsResponse, isDomain, type RecordType } from './dns-message.ts'
import { askServer, type DnsServer } from './exchange.ts'
import { type Limits, Quota } from './quota.ts'

/** What the DNS says of a name. `ttlSeconds` is how long that may be used from now on. */
export type DnsAnswer =
  | {
      readonly kind: 'Records'
      readonly records: readonly DnsRecord[]
      readonly ttlSeconds: number
      /** Why it is an old answer; undefined when it is not. */
      readonly stale?: string
    }
  /** The name, or a record of that type, does not exist. */
  | { readonly kind: 'Nothing'; readonly cause: 'NXDOMAIN' | 'NODATA'; readonly ttlSeconds: number }
  | { readonly kind: 'Failed'; readonly cause: string; readonly ttlSeconds: number }

/** Bounds of a lifetime in seconds: below, the DNS would be asked for every call; above, a move would go unseen for days. */
const shortestSeconds = 5
const longestSeconds = 3600
/** A failure is kept that long, so that a burst of calls asks once (RFC 9520 section 3.2). */
const failureSeconds = 5
/** RFC 8767 section 5: a stale answer is given for 30 s at a time, and for at most one day after it ran out. */
const staleSeconds = 30
const stalestMilliseconds = 86_400_000
const maximumEntries = 10_000
/** Each query that is out has a socket of its own. The names of a configuration are finite, so that they may all wait. */
const configuredNames: Limits = { atOnce: 128, waiting: Infinity }
const maximumAliases = 8
const rounds = 2
const timeoutMilliseconds = 2000

const overload = { kind: 'Failed', cause: 'too many questions wait for the DNS', ttlSeconds: failureSeconds } as const

interface Entry {
  readonly answer: DnsAnswer
  readonly until: number
  /** The last answer with records, and when it ran out. */
  readonly good: { readonly records: readonly DnsRecord[]; readonly until: number } | undefined
}

interface Parts {
  readonly clock: Clock
  /** Asked in this order, after the one that answered last. */
  readonly servers: readonly DnsServer[]
  /** A whole number from 0 to 65535 that nobody can predict. */
  readonly randomId: () => number
  /** Of queries; a question beyond them fails at once. Absent: 128 are out, and all others wait. */
  readonly limits?: Limits | undefined
  /** Answers that are kept; 10,000 when absent. One of 64 records takes some 15 KB. */
  readonly entries?: number | undefined
}

/**
 * Asks DNS servers and keeps what they say for its TTL. One query is out for a question, whoever asks; what was good is
 * given on for a day while no server answers.
 */
export class DnsClient {
  readonly #parts: Parts
  /** By question, least recently used first. */
  readonly #entries = new Map<string, Entry>()
  readonly #pending = new Map<string, Promise<DnsAnswer>>()
  readonly #quota: Quota
  #preferred = 0

  constructor(parts: Parts) {
    this.#parts = parts
    this.#quota = new Quota(parts.limits ?? configuredNames)
  }

  /** Never rejects. */
  query(name: string, type: RecordType): Promise<DnsAnswer> {
    if (!isDomain(name))
      return Promise.resolve({ kind: 'Failed', cause: 'not a domain name', ttlSeconds: longestSeconds })
    const key = `${type} ${comparableDomain(name)}`
    const known = this.#entries.get(key)
    const now = this.#parts.clock.now()
    if (known !== undefined && known.until > now) {
      this.#keep(key, known)
      return Promise.resolve({ ...known.answer, ttlSeconds: (known.until - now) / 1000 })
    }
    const pending = this.#pending.get(key)
    if (pending !== undefined) return pending
    // Not kept: that would push out what is known of others.
    if (this.#quota.full) return Promise.resolve(staleOr(overload, known?.good, now))
    const renewed = this.#renew(key, name, type)
    this.#pending.set(key, renewed)
    return renewed
  }

  async #renew(key: string, name: string, type: RecordType): Promise<DnsAnswer> {
    let asked: DnsAnswer
    try {
      asked = await this.#ask(name, type)
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      asked = { kind: 'Failed', cause, ttlSeconds: failureSeconds }
    }
    const now = this.#parts.clock.now()
    const good = this.#entries.get(key)?.good
    const answer = asked.kind === 'Failed' ? staleOr(asked, good, now) : asked
    const until = now + answer.ttlSeconds * 1000
    const isFresh = answer.kind === 'Records' && answer.stale === undefined
    this.#keep(key, { answer, until, good: isFresh ? { records: answer.records, until } : keptGood(answer, good) })
    this.#pending.delete(key)
    return answer
  }

  /** Puts it last, and forgets what was not used for longest. */
  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > (this.#parts.entries ?? maximumEntries) && oldest !== undefined)
      this.#entries.delete(oldest)
  }

  /** Follows aliases (RFC 1034 section 3.6.2), within an answer and from one answer to the next. */
  async #ask(name: string, type: RecordType): Promise<DnsAnswer> {
    let owner = comparableDomain(name)
    let ttlSeconds = longestSeconds
    for (let steps = 0; steps <= maximumAliases;) {
      const asked = owner
      const response = await this.#quota.run(() => this.#askServers(asked, type))
      const end = followAliases(response.records, owner, maximumAliases - steps)
      const records = response.records.filter((record) => record.type === type && record.name === end.owner)
      ttlSeconds = Math.min(ttlSeconds, end.ttlSeconds, ...records.map((record) => record.ttlSeconds))
      if (records.length > 0) return { kind: 'Records', records, ttlSeconds: bounded(ttlSeconds) }
      // A chain that ends without a word on its last name: that one has to be asked for by itself.
      const isLast = response.rcode === 'NXDOMAIN' || response.negativeTtlSeconds !== undefined
      if (isLast || end.owner === owner) return nothing(response)
      steps += end.steps
      owner = end.owner
    }
    throw new Error(`more than ${maximumAliases} aliases`)
  }

  async #askServers(name: string, type: RecordType): Promise<DnsResponse> {
    let failure: unknown = new Error('there is no DNS server')
    const { servers } = this.#parts
    const first = this.#preferred
    for (let turn = 0; turn < rounds * servers.length; turn++) {
      const index = (first + turn) % servers.length
      const server = servers[index]
      if (server === undefined) break
      try {
        const response = await this.#askOne(server, name, type)
        this.#preferred = index
        return response
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  async #askOne(server: DnsServer, name: string, type: RecordType): Promise<DnsResponse> {
    const { clock, randomId } = this.#parts
    const ask = (extended: boolean) =>
      askServer({ server, question: { id: randomId(), name, type }, extended, clock, timeoutMilliseconds })
    let response = await ask(true)
    // RFC 6891 section 7: a server that does not know EDNS says FORMERR, and is asked without it.
    if (response.rcode === 'FORMERR' || response.rcode === 'NOTIMP') response = await ask(false)
    if (response.rcode === 'NOERROR' || response.rcode === 'NXDOMAIN') return response
    throw new Error(`DNS server ${server.address} port ${server.port} answered ${response.rcode}`)
  }
}

function bounded(seconds: number): number {
  return Math.min(longestSeconds, Math.max(shortestSeconds, seconds))
}

/** The name that an alias in the end stands for, as far as the records tell. */
function followAliases(records: readonly DnsRecord[], from: string, most: number) {
  let owner = from
  let ttlSeconds = longestSeconds
  let steps = 0
  for (; steps <= most; steps++) {
    const alias = records.find((record) => record.type === 'CNAME' && record.name === owner)
    if (alias?.type !== 'CNAME') break
    owner = alias.target
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds)
  }
  return { owner, ttlSeconds, steps }
}

/** RFC 2308 section 5: an answer without SOA "SHOULD NOT be cached". */
function nothing({ rcode, negativeTtlSeconds = 0 }: DnsResponse): DnsAnswer {
  const cause = rcode === 'NXDOMAIN' ? 'NXDOMAIN' : 'NODATA'
  return { kind: 'Nothing', cause, ttlSeconds: bounded(negativeTtlSeconds) }
}

function staleOr(failed: DnsAnswer & { kind: 'Failed' }, good: Entry['good'], now: number): DnsAnswer {
  if (good === undefined || now > good.until + stalestMilliseconds) return failed
  return { kind: 'Records', records: good.records, ttlSeconds: staleSeconds, stale: failed.cause }
}

/** That a name is gone is an answer too, and then the old one is none any more. */
function keptGood(answer: DnsAnswer, good: Entry['good']): Entry['good'] {
  return answer.kind === 'Nothing' ? undefined : good
}
