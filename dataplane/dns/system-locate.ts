import { randomInt } from 'node:crypto'
import { getServers } from 'node:dns'
import { isIP } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import { DnsClient } from './dns-client.ts'
import type { DnsServer } from './exchange.ts'
import { type Locate, Locator, lookUpHost } from './locate.ts'

/**
 * Location by these DNS servers; without any, by those of the operating system (`/etc/resolv.conf`), and by its files and
 * search domains for names that they do not have.
 */
export function createLocate(clock: Clock, servers: readonly DnsServer[] = []): Locate {
  const isOwn = servers.length > 0
  const asked = isOwn ? servers : getServers().flatMap((text) => parseServer(text) ?? [])
  const dns = new DnsClient({ clock, servers: asked, randomId: () => randomInt(65_536) })
  return new Locator(dns, isOwn ? undefined : lookUpHost).locate
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
