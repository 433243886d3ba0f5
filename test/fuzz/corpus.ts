/** What a message of a call is filled with. */
export interface Place {
  readonly callId: string
  readonly localTag: string
  readonly remoteTag: string
  readonly remoteTarget: string
  readonly cseq: number
  readonly branch: string
  /** What acknowledges the last provisional answer, where that was reliable. */
  readonly rack?: string | undefined
  /** Host and port of the peer that sends it. */
  readonly peer: string
}

const sdp = [
  'v=0',
  'o=fuzz 53655765 2353687637 IN IP4 192.0.2.10',
  's=-',
  'c=IN IP4 192.0.2.10',
  't=0 0',
  'm=audio 6000 RTP/AVP 0 8 101',
  'a=rtpmap:101 telephone-event/8000',
  'a=sendrecv',
  '',
].join('\r\n')

/** Methods of requests that begin something, and what each says of its own. */
const outside: readonly [method: string, lines: readonly string[], body: string][] = [
  [
    'INVITE',
    [
      'Supported: timer, replaces, 100rel',
      'Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, INFO, PRACK',
      'Session-Expires: 1800;refresher=uac',
      'P-Asserted-Identity: "Alice \\"A\\" Example" <sip:+15550100@pbx.example.com>',
      'Content-Type: application/sdp',
    ],
    sdp,
  ],
  ['INVITE', ['User-Agent: Example PBX 1.0', 'Subject: no offer', 'Expires: 60'], ''],
  ['INVITE', ['Require: 100rel', 'Content-Type: application/sdp'], sdp],
  ['INVITE', ['Supported: 100rel'], ''],
  [
    'INVITE',
    ['k: timer', 'Privacy: id', 'Diversion: <sip:+15550199@pbx.example.com>;reason=no-answer', 'c: application/sdp'],
    sdp,
  ],
  ['OPTIONS', ['Accept: application/sdp'], ''],
  [
    'REGISTER',
    ['Expires: 3600', 'Authorization: Digest username="a", realm="r", nonce="n", uri="sip:x", response="0"'],
    '',
  ],
  ['MESSAGE', ['Content-Type: text/plain'], 'hello'],
  ['SUBSCRIBE', ['Event: presence', 'Expires: 600'], ''],
  ['PUBLISH', ['Event: presence', 'Content-Type: application/pidf+xml'], '<presence/>'],
  ['NOTIFY', ['Event: message-summary', 'Subscription-State: active'], ''],
  ['REFER', ['Refer-To: <sip:+15550177@example.com>'], ''],
  ['BYE', [], ''],
  ['FOO', [], ''],
]

const inside: readonly [method: string, lines: readonly string[], body: string][] = [
  ['INVITE', ['Content-Type: application/sdp', 'Session-Expires: 1800;refresher=uac'], sdp],
  ['INVITE', [], ''],
  ['UPDATE', ['Session-Expires: 1800;refresher=uac', 'Supported: timer'], ''],
  ['UPDATE', ['Content-Type: application/sdp'], sdp],
  ['INFO', ['Content-Type: application/dtmf-relay'], 'Signal=5\r\nDuration=160\r\n'],
  ['OPTIONS', [], ''],
  ['PRACK', ['RAck: [rack]'], ''],
  ['PRACK', ['RAck: [rack]', 'Content-Type: application/sdp'], sdp],
  ['PRACK', ['RAck: 1 1 INVITE'], ''],
  ['REFER', ['Refer-To: <sip:+15550177@example.com?Replaces=a%3Bto-tag%3Db>', 'Referred-By: <sip:a@h>'], ''],
  ['NOTIFY', ['Event: refer', 'Subscription-State: terminated', 'Content-Type: message/sipfrag'], 'SIP/2.0 200 OK\r\n'],
  ['MESSAGE', ['Content-Type: text/plain'], 'hello'],
  ['BYE', ['Reason: Q.850;cause=16;text="Normal"'], ''],
  ['BYE', [], ''],
]

const answers: readonly [status: string, lines: readonly string[], body: string][] = [
  ['100 Trying', [], ''],
  ['180 Ringing', [], ''],
  ['183 Session Progress', ['Content-Type: application/sdp'], sdp],
  ['180 Ringing', ['Require: 100rel', 'RSeq: 1'], ''],
  ['183 Session Progress', ['Require: 100rel', 'RSeq: 1', 'Content-Type: application/sdp'], sdp],
  ['183 Session Progress', ['Require: 100rel', 'RSeq: 2', 'Content-Type: application/sdp'], sdp],
  ['200 OK', ['Content-Type: application/sdp', 'Session-Expires: 1800;refresher=uas', 'Require: timer'], sdp],
  ['200 OK', ['Content-Type: application/sdp'], sdp],
  ['200 OK', [], ''],
  ['202 Accepted', [], ''],
  ['302 Moved Temporarily', [], ''],
  ['300 Multiple Choices', ['m: "B" <sip:b@192.0.2.20;transport=udp>;q=0.5, <sip:c@192.0.2.10:5060>;q=1'], ''],
  ['401 Unauthorized', ['WWW-Authenticate: Digest realm="carrier", nonce="abc", qop="auth", algorithm=SHA-256'], ''],
  ['407 Proxy Authentication Required', ['Proxy-Authenticate: Digest realm="carrier", nonce="abc"'], ''],
  ['422 Session Interval Too Small', ['Min-SE: 3600'], ''],
  ['481 Call/Transaction Does Not Exist', [], ''],
  ['486 Busy Here', ['Warning: 399 10.0.0.1 "inside"'], ''],
  ['487 Request Terminated', [], ''],
  ['488 Not Acceptable Here', [], ''],
  ['491 Request Pending', [], ''],
  ['503 Service Unavailable', ['Retry-After: 10'], ''],
  ['603 Decline', [], ''],
]

/** Numbers of templates of each kind, to draw one from. */
export const templates = {
  outside: outside.length,
  /** Those of `outside` that come first: calls. */
  calls: outside.filter(([method]) => method === 'INVITE').length,
  inside: inside.length,
  answers: answers.length,
} as const

/** A request that begins something. */
export function beginning(template: number, place: Place): string {
  const [method, lines, body] = outside[template] ?? ['OPTIONS', [], '']
  return compose(method, 'sip:+15550123@192.0.2.1:5060;user=phone', { ...place, remoteTag: '' }, lines, body)
}

/** A request in a dialog; the number may be above that of the templates. */
export function going(template: number, place: Place): string {
  const [method, lines, body] = inside[template % inside.length] ?? ['BYE', [], '']
  return compose(method, place.remoteTarget, place, lines, body)
}

export function acknowledgement(place: Place): string {
  return compose('ACK', place.remoteTarget, place, [], '')
}

export function cancellation(place: Place): string {
  return compose('CANCEL', 'sip:+15550123@192.0.2.1:5060;user=phone', { ...place, remoteTag: '' }, [], '')
}

function compose(method: string, uri: string, place: Place, lines: readonly string[], body: string): string {
  const { callId, localTag, remoteTag, cseq, branch, peer, rack = '1 1 INVITE' } = place
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${peer};branch=${branch};rport`,
    'Max-Forwards: 70',
    `From: "Alice Example" <sip:+15550100@pbx.example.com>;tag=${localTag}`,
    `To: <sip:+15550123@sbc.example.com>${remoteTag === '' ? '' : `;tag=${remoteTag}`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    `Contact: <sip:+15550100@${peer};transport=udp>`,
    ...lines.map((line) => line.replace('[rack]', rack)),
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
}

/** What of a request an answer to it is made of. */
export interface Answerable {
  readonly via: string
  readonly from: string
  readonly to: string
  readonly callId: string
  readonly cseq: string
}

/** An answer to a request; a 200 for template -1. */
export function answering(template: number, request: Answerable, tag: string, peer: string): string {
  const [status, lines, body] = answers[template] ?? ['200 OK', ['Content-Type: application/sdp'], sdp]
  const withTag = status.startsWith('100') || request.to.includes('tag=') ? '' : `;tag=${tag}`
  return [
    `SIP/2.0 ${status}`,
    `Via: ${request.via}`,
    `From: ${request.from}`,
    `To: ${request.to}${withTag}`,
    `Call-ID: ${request.callId}`,
    `CSeq: ${request.cseq}`,
    `Contact: <sip:callee@${peer}>`,
    ...lines,
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
}
