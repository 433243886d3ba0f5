import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { defaultPort } from '../engine/message/transports.ts'
import type { DnsAnswer } from './dns-client.ts'
import type { PointerRecord, RecordType, ServiceRecord } from './dns-message.ts'
import type { Weighted } from './selection.ts'

export type IpFamily = 'IPv4' | 'IPv6'

/** What is looked for: a host as it stands in a URI, or in a manifest. */
export interface Sought {
  /** Address (IPv6 without brackets) or DNS name. */
  readonly host: string
  /** Absent: the DNS tells it by SRV records, or else it is the default of the transport. */
  readonly port?: number | undefined
  /** `UDP`, `TCP`, `TLS`, `WS` or `WSS`. */
  readonly transport: string
  /** Whether NAPTR records are asked for the name that has the SRV records. */
  readonly naptr?: boolean | undefined
}

/** One server with all its addresses: what an SRV record names, or the host itself. */
export interface Site extends Weighted {
  readonly port: number
  /** Best first. */
  readonly addresses: readonly string[]
}

export interface Located {
  /** Never empty. In no order: `selectionOrder` makes one, anew for every request. */
  readonly sites: readonly Site[]
  /** How long they may be used. */
  readonly ttlSeconds: number
  /** What the DNS failed to tell of them; undefined when all is fresh and complete. */
  readonly failure?: string | undefined
}

/** Finds the servers for a host (RFC 3263). Rejects with a `LocateError` when there are none. */
export type Locate = (sought: Sought, families: readonly IpFamily[]) => Promise<Located>

/** `Gone`: the DNS says that there is none. `Refused`: it says so on purpose (RFC 2782). `Failing`: it says nothing. */
export class LocateError extends Error {
  readonly code: 'Gone' | 'Refused' | 'Failing'

  constructor(code: LocateError['code'], message: string) {
    super(message)
    this.name = 'LocateError'
    this.code = code
  }
}

/** The DNS, as far as location asks it. */
export interface Dns {
  query(name: string, type: RecordType): Promise<DnsAnswer>
}

/** Addresses of a name by other means than the DNS: the operating system's, with its files and search domains. */
export type LookUpHost = (host: string, families: readonly IpFamily[]) => Promise<readonly string[]>

/** SRV records of one answer that are used, best first, and addresses of one host in each family. */
const maximumSites = 16
/** What the operating system finds comes without TTL. */
const systemTtlSeconds = 30

interface Found {
  readonly addresses: readonly string[]
  readonly ttlSeconds: number
  readonly failure: string | undefined
}

/** Location of SIP servers as RFC 3263 has it, for one transport that is known: that of the listener. */
export class Locator {
  readonly #dns: Dns
  readonly #lookUpHost: LookUpHost | undefined

  constructor(dns: Dns, lookUpHost?: LookUpHost) {
    this.#dns = dns
    this.#lookUpHost = lookUpHost
  }

  /**
   * RFC 3263 section 4.2: a numeric address is used as it is; a port that is given means A or AAAA records; else SRV
   * records tell, and "if no SRV records were found, the client performs an A or AAAA record lookup of the domain name".
   */
  readonly locate: Locate = async (sought, families) => {
    const { host, transport } = sought
    const port = sought.port ?? defaultPort(transport)
    if (isIP(host) !== 0) {
      return { sites: [{ priority: 0, weight: 0, port, addresses: [host] }], ttlSeconds: Infinity }
    }
    // A name of a single label is one of this machine or its network, and no domain of services.
    const service = sought.port === undefined && host.includes('.') ? await this.#service(sought, families) : undefined
    if (service !== undefined && 'sites' in service) return service
    const { addresses, ttlSeconds, failure } = await this.#addresses(host, families)
    return {
      sites: [{ priority: 0, weight: 0, port, addresses }],
      ttlSeconds: Math.min(ttlSeconds, service?.ttlSeconds ?? ttlSeconds),
      failure: failure ?? service?.failure,
    }
  }

  /** The servers that SRV records name; without any, how long that holds. */
  async #service(sought: Sought, families: readonly IpFamily[]) {
    const { names, ttlSeconds } = await this.#serviceNames(sought)
    let seconds = ttlSeconds
    let failure: string | undefined
    for (const name of names) {
      const answer = await this.#dns.query(name, 'SRV')
      seconds = Math.min(seconds, answer.ttlSeconds)
      if (answer.kind === 'Records') {
        const records = answer.records.filter((record) => record.type === 'SRV')
        return this.#sites(name, records, families, { ttlSeconds: seconds, failure: answer.stale })
      }
      if (answer.kind === 'Failed') failure ??= `${name}: ${answer.cause}`
    }
    return { ttlSeconds: seconds, failure }
  }

  /** RFC 3263 section 4.1: NAPTR records with flag "s" give the name for the SRV query; without any, it is made up. */
  async #serviceNames({ host, transport, naptr = false }: Sought): Promise<{ names: string[]; ttlSeconds: number }> {
    const plain = `${servicePrefix(transport)}.${host}`
    if (!naptr) return { names: [plain], ttlSeconds: Infinity }
    const answer = await this.#dns.query(host, 'NAPTR')
    const pointers = answer.kind === 'Records' ? answer.records.filter((record) => record.type === 'NAPTR') : []
    const names = pointers
      .filter((pointer) => pointer.flags.toLowerCase() === 's' && isService(pointer, transport))
      .toSorted((a, b) => a.order - b.order || a.preference - b.preference)
      .map(({ replacement }) => replacement)
    return { names: names.length === 0 ? [plain] : [...new Set(names)], ttlSeconds: answer.ttlSeconds }
  }

  async #sites(
    name: string,
    records: readonly ServiceRecord[],
    families: readonly IpFamily[],
    answer: { ttlSeconds: number; failure: string | undefined },
  ): Promise<Located> {
    // RFC 2782: "A Target of '.' means that the service is decidedly not available at this domain."
    const wanted = records.filter(({ target, port }) => target !== '' && port > 0)
    if (wanted.length === 0) {
      const isRefused = records.length > 0 && records.every(({ target }) => target === '')
      throw new LocateError(isRefused ? 'Refused' : 'Gone', `${name} says that there is no such service`)
    }
    const best = wanted.toSorted((a, b) => a.priority - b.priority || b.weight - a.weight).slice(0, maximumSites)
    const found = await Promise.all(
      best.map(({ target }) => this.#addresses(target, families).catch((error: unknown) => asLocateError(error))),
    )
    const sites: Site[] = []
    let { ttlSeconds, failure } = answer
    for (const [index, { priority, weight, port }] of best.entries()) {
      const host = found[index]
      if (host === undefined) continue
      if (host instanceof LocateError) {
        failure ??= host.message
        ttlSeconds = Math.min(ttlSeconds, systemTtlSeconds)
        continue
      }
      failure ??= host.failure
      ttlSeconds = Math.min(ttlSeconds, host.ttlSeconds)
      sites.push({ priority, weight, port, addresses: host.addresses })
    }
    if (sites.length > 0) return { sites, ttlSeconds, failure }
    const errors = found.filter((host) => host instanceof LocateError)
    throw (
      errors.find(({ code }) => code === 'Failing') ?? errors[0] ?? new LocateError('Failing', `${name} names no host`)
    )
  }

  async #addresses(host: string, families: readonly IpFamily[]): Promise<Found> {
    const answers = host.includes('.') || this.#lookUpHost === undefined ? await this.#ask(host, families) : []
    const known = answers.filter((answer) => answer.kind === 'Records')
    if (known.length > 0) {
      return {
        addresses: known.flatMap(({ records }) =>
          records
            .flatMap((record) => (record.type === 'A' || record.type === 'AAAA' ? [record.address] : []))
            .slice(0, maximumSites),
        ),
        ttlSeconds: Math.min(...answers.map(({ ttlSeconds }) => ttlSeconds)),
        failure: known.map(({ stale }) => stale).find((stale) => stale !== undefined),
      }
    }
    const system = await this.#askSystem(host, families)
    if (system.length > 0) {
      return { addresses: system.slice(0, maximumSites), ttlSeconds: systemTtlSeconds, failure: undefined }
    }
    const failed = answers.find((answer) => answer.kind === 'Failed')
    const cause = answers.map((answer) => (answer.kind === 'Records' ? '' : answer.cause))[0] ?? 'the system knows none'
    throw new LocateError(
      failed === undefined ? 'Gone' : 'Failing',
      `${host} has no ${families.join(' or ')} address: ${failed?.cause ?? cause}`,
    )
  }

  #ask(host: string, families: readonly IpFamily[]): Promise<DnsAnswer[]> {
    return Promise.all(families.map((family) => this.#dns.query(host, family === 'IPv4' ? 'A' : 'AAAA')))
  }

  async #askSystem(host: string, families: readonly IpFamily[]): Promise<readonly string[]> {
    try {
      return (await this.#lookUpHost?.(host, families)) ?? []
    } catch {
      return []
    }
  }
}

/** By the operating system: `/etc/hosts`, search domains. */
export const lookUpHost: LookUpHost = async (host, families) => {
  const [family] = families
  const only = families.length > 1 ? 0 : family === 'IPv6' ? 6 : 4
  const found = await lookup(host, { family: only, all: true, order: 'verbatim' })
  return found.map(({ address }) => address)
}

/** RFC 3263 section 4.1; RFC 7118 section 6 for WebSocket. */
function servicePrefix(transport: string): string {
  switch (transport) {
    case 'TLS':
      return '_sips._tcp'
    case 'WSS':
      return '_sips._ws'
    default:
      return `_sip._${transport.toLowerCase()}`
  }
}

/** The service field for a transport (RFC 3263 section 4.1, RFC 7118 section 6). */
function isService({ service }: PointerRecord, transport: string): boolean {
  const secure = transport === 'TLS' || transport === 'WSS'
  const letter = transport.startsWith('WS') ? 'W' : transport === 'UDP' ? 'U' : 'T'
  return service.toUpperCase() === `${secure ? 'SIPS' : 'SIP'}+D2${letter}`
}

function asLocateError(error: unknown): LocateError {
  return error instanceof LocateError ? error : new LocateError('Failing', String(error))
}
