import { formatNameAddr, parseNameAddr } from '../engine/message/name-addr.ts'
import type { Params } from '../engine/message/params.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { defaultPort, hopUri, transportParam } from '../engine/message/transports.ts'
import { decodeUser, formatHostPort, formatUri, parseUri, type Uri } from '../engine/message/uri.ts'
import type { OpenListener } from '../config/running.ts'
import type { Attempt } from '../policy/targets.ts'
import type { HeaderList } from '../sip/port.ts'

/** URI parameters that describe the number and not the host. */
const numberParams = ['user', 'cpc', 'oli', 'isup-oli']

/** RFC 3323 section 4.1.1.3: a host that says nothing, so it need not be hidden. */
const anonymousHost = 'anonymous.invalid'

/** Request-URI at a target: the number as it was dialled, the host of the target. */
export function targetUri(called: Uri, { target }: Attempt): string {
  const transport = transportParam(target.transport)
  return formatUri({
    scheme: 'sip',
    user: carriedUser(called),
    host: target.host,
    port: target.port === defaultPort(target.transport) ? undefined : target.port,
    params: [...numberParamsOf(called), ...(transport === undefined ? [] : [['transport', transport] as const])],
  })
}

/** Where the request is really sent; the target's host may be a name. */
export function nextHop({ target, address, port }: Attempt): string {
  return hopUri(target, { address, port })
}

/** From and To for the other leg, and who is asserted: names and numbers stay, hosts become ours and the target's. */
export function identityHeaders(invite: SipMessage, attempt: Attempt): HeaderList {
  const { address } = attempt.listener
  const fields: [string, string][] = [
    ['From', rehosted(invite.get('From') ?? '', address)],
    ['To', rehosted(invite.get('To') ?? '', attempt.target.host)],
  ]
  // RFC 3325 section 7: an identity that is to be kept private may not leave the trust domain, and no trunk is said to
  // be inside of it.
  if (invite.values('Privacy').some((value) => /\bid\b/i.test(value))) return fields
  for (const value of invite.values('P-Asserted-Identity')) {
    fields.push(['P-Asserted-Identity', rehosted(value, address)])
  }
  return fields
}

/** Value of our Contact at a listener. The engine sends from the listener that it names. */
export function contactAt({ address, port, transport }: OpenListener, user: string): string {
  const parameter = transportParam(transport)
  const params: Params = parameter === undefined ? [] : [['transport', parameter]]
  return `<${formatUri({ scheme: 'sip', user, host: address, port, params })}>`
}

/** The number in From, for routing and for people; empty when there is none. */
export function callingNumber(message: SipMessage): string {
  const uri = addressUri(message.get('From') ?? '')
  return uri === undefined ? '' : plainUser(uri)
}

/** The user part of From, for a URI of ours. */
export function callingUser(message: SipMessage): string {
  const uri = addressUri(message.get('From') ?? '')
  return uri === undefined ? '' : carriedUser(uri)
}

/** The user with %-escapes decoded; of a telephone number, the number without its parameters. */
export function plainUser(uri: Uri): string {
  const user = decodeUser(uri)
  return telephoneUser.test(user) ? user.slice(0, user.indexOf(';')) : user
}

/** RFC 3261 section 19.1.6: a telephone number in the user part may have the parameters of a tel: URI. */
const telephoneUser = /^\+?[0-9A-F*#().-]+;/i
/** Those that say more of the number itself: RFC 3966 section 5.3 and 5.4, RFC 4694. */
const keptUserParam = /^(ext|isub|postd|rn|cic|npdi|cpc|oli)(=|$)/i

/**
 * The user part for the other leg. Of the parameters of a number those stay that speak of the number; phone-context, and
 * the trunk group of RFC 4904 with its context, name domains and trunks of the side they come from.
 */
export function carriedUser({ user }: Uri): string {
  if (!telephoneUser.test(user)) return user
  const [number = '', ...params] = user.split(';')
  return [number, ...params.filter((each) => keptUserParam.test(each))].join(';')
}

function rehosted(value: string, host: string): string {
  const address = parseNameAddr(value)
  const uri = address === undefined ? undefined : parseUri(address.uri)
  if (address === undefined || uri === undefined) return `<sip:${formatHostPort(host, undefined)}>`
  const kept = uri.host.toLowerCase() === anonymousHost ? anonymousHost : host
  const rewritten = formatUri({ scheme: 'sip', user: carriedUser(uri), host: kept, params: numberParamsOf(uri) })
  return formatNameAddr({ displayName: address.displayName, uri: rewritten })
}

/** RFC 3261 section 19.1.6: the number of a tel: URI becomes the user part, and `user=phone` says so. */
function numberParamsOf(uri: Uri): Params {
  if (uri.scheme === 'tel') return [['user', 'phone']]
  return (uri.params ?? []).filter(([name]) => numberParams.includes(name.toLowerCase()))
}

function addressUri(value: string): Uri | undefined {
  const address = parseNameAddr(value)
  return address === undefined ? undefined : parseUri(address.uri)
}
