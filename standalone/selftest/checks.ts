import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { formatHostPort } from '../../dataplane/engine/message/uri.ts'
import type { Endpoint } from '../peer/peer-socket.ts'
import type { TraceEntry } from '../peer/trace.ts'

/** One side of the call. */
export interface Side {
  /** Name of the peer in the trace. */
  readonly peer: string
  readonly endpoints: readonly Endpoint[]
  /** Domain of its own address. */
  readonly domain: string
  readonly mediaAddress: string
  readonly messages: readonly TraceEntry[]
}

export interface Check {
  readonly what: string
  /** Undefined: it holds. */
  readonly flaw: string | undefined
}

/** What must be true of a call with one session refresh, once it is over. */
export function checkCall(near: Side, far: Side): Check[] {
  return [
    { what: 'each leg is a dialog of its own, with its own Call-ID and tags', flaw: sharedIdentity(near, far) },
    { what: `${far.peer} saw nothing of ${near.peer}`, flaw: leak(near, far) },
    { what: `${near.peer} saw nothing of ${far.peer}`, flaw: leak(far, near) },
    { what: 'each side got the media address of the other', flaw: mediaFlaw(near, far) ?? mediaFlaw(far, near) },
    {
      what: 'the session refresh went through with its Session-Expires, and so did its answer',
      flaw: refreshFlaw(near, far),
    },
    { what: `the call ended on both legs`, flaw: endFlaw(near, far) },
  ]
}

function sharedIdentity(near: Side, far: Side): string | undefined {
  const [a, b] = [identityOf(near), identityOf(far)]
  const shared = [...a].filter((value) => b.has(value))
  return shared.length === 0 ? undefined : `both legs have ${shared.join(' and ')}`
}

/** Call-IDs and tags of a leg. */
function identityOf({ messages }: Side): Set<string> {
  const values = messages.flatMap(({ message }) => [message.callId, message.fromTag, message.toTag])
  return new Set(values.filter((value) => value !== ''))
}

/** Something of `hidden` in what `seen` received, as the line it stands in. */
function leak(hidden: Side, seen: Side): string | undefined {
  const secrets = [
    ...identityOf(hidden),
    ...hidden.messages.flatMap(({ message }) => message.values('Via').map(branchOf)),
    ...hidden.endpoints.map(({ host, port }) => formatHostPort(host, port)),
    hidden.domain,
    hidden.mediaAddress,
  ].filter((secret) => secret !== '')
  for (const { message } of received(seen)) {
    for (const line of message.text.split('\r\n')) {
      // Media flows around the fleet, so that the connection line has to name where it goes (RFC 8866 section 5.7).
      if (line.startsWith('c=')) continue
      const found = secrets.find((secret) => line.includes(secret))
      if (found !== undefined) return `${name(message)} has "${found}" in the line "${line}"`
    }
  }
  return undefined
}

function mediaFlaw(from: Side, to: Side): string | undefined {
  const wanted = `c=IN IP4 ${from.mediaAddress}`
  const got = received(to).some(({ message }) => message.body.split('\r\n').includes(wanted))
  return got ? undefined : `${to.peer} never got the line ${wanted}`
}

function refreshFlaw(near: Side, far: Side): string | undefined {
  const refresh = received(far).find(({ message }) => isRequest(message, 'INVITE') && message.toTag !== '')?.message
  if (refresh === undefined) return `no re-INVITE reached ${far.peer}`
  if (!refresh.has('Session-Expires')) return `the re-INVITE that reached ${far.peer} has no Session-Expires`
  const answers = received(near).filter(({ message }) => message.method === 'INVITE' && message.status === 200)
  const answer = answers.at(-1)?.message
  if (answer === undefined || answers.length < 2) return `no 200 to the re-INVITE reached ${near.peer}`
  return answer.has('Session-Expires') ? undefined : `the 200 that reached ${near.peer} has no Session-Expires`
}

function endFlaw(near: Side, far: Side): string | undefined {
  if (!received(far).some(({ message }) => isRequest(message, 'BYE'))) return `no BYE reached ${far.peer}`
  const answered = received(near).some(({ message }) => message.method === 'BYE' && message.status === 200)
  if (!answered) return `no 200 to the BYE reached ${near.peer}`
  const confirmed = received(far).filter(({ message }) => isRequest(message, 'ACK')).length
  return confirmed >= 2 ? undefined : `${far.peer} got ${confirmed} ACK instead of one for each of two INVITEs`
}

function received({ messages }: Side): TraceEntry[] {
  return messages.filter(({ direction }) => direction === 'received')
}

function isRequest(message: SipMessage, method: string): boolean {
  return message.kind === 'request' && message.method === method
}

function branchOf(via: string): string {
  return /;\s*branch\s*=\s*([^;,\s]+)/i.exec(via)?.[1] ?? ''
}

function name(message: SipMessage): string {
  return message.kind === 'request'
    ? `${message.method} ${message.cseq}`
    : `${message.status} to ${message.method} ${message.cseq}`
}
