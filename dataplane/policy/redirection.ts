import type { TrunkConfig, TargetConfig } from '#api/snapshot.ts'
import { isIP } from 'node:net'
import type { RunningConfig } from '../config/running.ts'
import { lastOf } from '../dns/selection.ts'
import { parseNameAddr } from '../engine/message/name-addr.ts'
import { param } from '../engine/message/params.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { defaultPort } from '../engine/message/transports.ts'
import { parseUri, type Uri } from '../engine/message/uri.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import { type Attempt, attemptsAtTarget, endpointsOf } from './targets.ts'

/** Where a redirected call may go on, and whom it calls there. */
export interface RedirectedTo {
  readonly attempt: Attempt
  readonly called: Uri
}

/** What a redirection is read against. */
export interface RedirectionWorld {
  readonly config: RunningConfig
  readonly health: TrunkHealth
  /** Gives a number in [0, 1). */
  readonly random: () => number
}

/** Redirections that name other places for the call: 303 and 306 do not exist, and 380 speaks of other services. */
const followed: ReadonlySet<number> = new Set([300, 301, 302, 305])

/** The contacts of a redirection with the best q first, equals as they were listed; those that cannot be read are left out. */
export function contactsOf(response: SipMessage): Uri[] {
  if (!followed.has(response.status)) return []
  const contacts = response.values('Contact').flatMap((value) => {
    const address = parseNameAddr(value)
    const uri = address === undefined ? undefined : parseUri(address.uri)
    return address === undefined || uri === undefined ? [] : [{ uri, q: qualityOf(param(address.params, 'q')) }]
  })
  return contacts.sort((a, b) => b.q - a.q).map(({ uri }) => uri)
}

/**
 * The places that a redirection leads to. RFC 3261 section 8.1.3.4 has the client try the contacts by q, and sip: URIs only
 * as far as its policy goes: a redirection could send calls anywhere, so that a contact has to be a target of the trunk that
 * redirects, or of any trunk where `redirect.scope` is Fleet. `because` says of every contact that is left out why.
 */
export function redirectedTo(
  response: SipMessage,
  from: Attempt,
  called: Uri,
  { config, health, random }: RedirectionWorld,
): { places: RedirectedTo[]; because: string[] } {
  const { maxContacts, scope } = from.sip.redirect
  const own = config.trunks.get(from.trunk)
  const others = scope === 'Fleet' ? [...config.trunks.values()].filter((trunk) => trunk !== own) : []
  const trunks = own === undefined ? others : [own, ...others]
  const places: RedirectedTo[] = []
  const because: string[] = []
  for (const contact of contactsOf(response).slice(0, maxContacts)) {
    const found = targetNamedBy(contact, trunks, health)
    if (found === undefined) {
      because.push(`${contact.host} is no target of ${scope === 'Fleet' ? 'any trunk' : `trunk ${from.trunk}`}`)
      continue
    }
    const { trunk, target } = found
    const sip = trunk.name === from.trunk ? from.sip : trunk.sip
    const { attempts, because: why } = attemptsAtTarget(
      { route: from.route, trunk: trunk.name, target, sip },
      config,
      health,
      random,
    )
    because.push(...why)
    // Section 21.3.4: of a 305 "the Contact field gives the URI of the proxy", and whom to call stays as it was.
    const whom = response.status === 305 ? called : contact
    // A contact that is one address of a name goes there first.
    const order = lastOf(attempts, ({ address }) => isIP(contact.host) !== 0 && address !== contact.host)
    places.push(...order.map((attempt) => ({ attempt, called: whom })))
  }
  return { places, because }
}

function targetNamedBy(
  contact: Uri,
  trunks: readonly TrunkConfig[],
  health: TrunkHealth,
): { trunk: TrunkConfig; target: TargetConfig } | undefined {
  for (const trunk of trunks) {
    const target = trunk.targets.find((one) => names(contact, trunk.name, one, health))
    if (target !== undefined) return { trunk, target }
  }
  return undefined
}

/** Whether a request to the URI would go to the target. */
function names(
  { scheme, host, port, params = [] }: Uri,
  trunk: string,
  target: TargetConfig,
  health: TrunkHealth,
): boolean {
  const secure = target.transport === 'TLS' || target.transport === 'WSS'
  const said = param(params, 'transport')?.toUpperCase()
  // Of sips: the parameter says what TLS runs over (RFC 3261 section 26.2.2).
  const transport = scheme === 'sips' && said === 'TCP' ? 'TLS' : said
  // A tel: URI names no host, and with maddr another one than it shows.
  if (scheme === 'tel' || param(params, 'maddr') !== undefined || (scheme === 'sips' && !secure)) return false
  if (transport !== undefined && transport !== target.transport && `${transport}S` !== target.transport) return false
  const endpoints = endpointsOf(trunk, target, health, () => 0)
  if (host.toLowerCase() !== target.host.toLowerCase()) {
    const at = port ?? defaultPort(target.transport)
    return endpoints.some((one) => one.address === host.toLowerCase() && one.port === at)
  }
  // The port of a name may come from its SRV records.
  if (port === undefined) return isIP(host) === 0 || target.port === defaultPort(target.transport)
  return target.port === undefined ? endpoints.some((one) => one.port === port) : port === target.port
}

/** RFC 3261 section 20.10 has q from 0 to 1; a contact without is as good as any. */
function qualityOf(q: string | undefined): number {
  const quality = q === undefined ? 1 : Number(q)
  return quality >= 0 && quality <= 1 ? quality : 0
}
