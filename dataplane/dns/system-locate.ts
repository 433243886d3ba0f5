import { randomInt } from 'node:crypto'
import { getServers } from 'node:dns'
import { isIP } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import { DnsClient } from './dns-client.ts'
import type { DnsServer } from './exchange.ts'
import { type Locate, Locator, lookUpHost, type LookUpHost } from './locate.ts'
import { type Limits, Quota } from './quota.ts'

/** For names that peers choose, in queries of the DNS: what waits longer than a transaction lives is of no use. */
const peerQueries: Limits = { atOnce: 128, waiting: 256 }
/** Answers that are kept of them. */
const peerEntries = 1000
/** And in look-ups by the operating system, of which Node runs two at once while others need its threads. */
const peerLookUps: Limits = { atOnce: 1, waiting: 16 }

/**
 * Location by these DNS servers; without any, by those of the operating system (`/etc/resolv.conf`), and by its files and
 * search domains for names that they do not have.
 */
export function createLocate(clock: Clock, servers: readonly DnsServer[] = []): Locate {
  return locateBy(clock, servers, lookUpHost)
}

/**
 * The same for names that peers choose. It shares nothing with the location of a configuration, which would wait behind
 * whatever a peer makes up; of too many names at once the last are not found.
 */
export function createPeerLocate(clock: Clock, servers: readonly DnsServer[] = []): Locate {
  return locateBy(clock, servers, limited(lookUpHost, new Quota(peerLookUps)), {
    limits: peerQueries,
    entries: peerEntries,
  })
}

/** Turns away what comes while the quota is full. */
export function limited(lookUp: LookUpHost, quota: Quota): LookUpHost {
  return async (host, families) => {
    if (quota.full) throw new Error('too many names wait for the operating system')
    return quota.run(() => lookUp(host, families))
  }
}

function locateBy(
  clock: Clock,
  servers: readonly DnsServer[],
  byHost: LookUpHost,
  bounds: { readonly limits?: Limits; readonly entries?: number } = {},
): Locate {
  const isOwn = servers.length > 0
  const asked = isOwn ? servers : getServers().flatMap((text) => parseServer(text) ?? [])
  const dns = new DnsClient({ clock, servers: asked, randomId: () => randomInt(65_536), ...bounds })
  return new Locator(dns, isOwn ? undefined : byHost).locate
}

/** `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`; undefined for anything else. */
export function parseServer(text: string): DnsServer | undefined {
  if (isIP(text) !== 0) return { address: text, port: 53 }
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const address = bracketed ?? plain ?? ''
  const port = Number(digits)
  const isAddress = isIP(address) === (bracketed === undefined ? 4 : 6)
  return isAddress && port >= 1 && port <= 65_535 ? { address, port } : undefined
}
