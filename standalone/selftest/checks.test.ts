import { describe, expect, it } from 'vitest'
import { parseMessage } from '../../dataplane/engine/message/parse.ts'
import type { TraceEntry } from '../peer/trace.ts'
import { checkCall, type Side } from './checks.ts'

interface Leg {
  readonly callId: string
  readonly peerTag: string
  readonly fleetTag: string
  readonly branch: string
  /** Where the fleet's messages come from, and whose media address they carry. */
  readonly from: string
  readonly media: string
}

/** What the fleet said to a peer: start line, CSeq, and what is special about it. */
function heard(
  peer: string,
  leg: Leg,
  start: string,
  cseq: string,
  extra: string[] = [],
  media = leg.media,
): TraceEntry {
  const request = !start.startsWith('SIP/2.0')
  const [fromTag, toTag] = request ? [leg.fleetTag, leg.peerTag] : [leg.peerTag, leg.fleetTag]
  const initial = start.startsWith('INVITE') && cseq === '1 INVITE'
  const body = media === '' ? '' : `v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 ${media}\r\nt=0 0\r\n`
  const text = [
    start,
    `Via: SIP/2.0/UDP ${leg.from};branch=${leg.branch}`,
    ...(request ? ['Max-Forwards: 69'] : []),
    `From: <sip:100@${leg.from}>;tag=${fromTag}`,
    `To: <sip:200@${leg.from}>${initial ? '' : `;tag=${toTag}`}`,
    `Call-ID: ${leg.callId}`,
    `CSeq: ${cseq}`,
    `Contact: <sip:edge@${leg.from}>`,
    ...extra,
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
  const result = parseMessage(text)
  if (!result.ok) throw new Error(result.reason)
  return { at: 0, peer, direction: 'received', message: result.message }
}

const fleet = '127.0.0.1:5060'
const legA = {
  callId: 'call-a',
  peerTag: 'tagpbx',
  fleetTag: 'taga',
  branch: 'z9hG4bKa',
  from: fleet,
  media: '192.0.2.20',
}
const legB = {
  callId: 'call-b',
  peerTag: 'tagcarrier',
  fleetTag: 'tagb',
  branch: 'z9hG4bKb',
  from: fleet,
  media: '192.0.2.10',
}
const timer = ['Session-Expires: 1800;refresher=uac']

const near: TraceEntry[] = [
  heard('pbx', legA, 'SIP/2.0 180 Ringing', '1 INVITE', [], ''),
  heard('pbx', legA, 'SIP/2.0 200 OK', '1 INVITE', timer),
  heard('pbx', legA, 'SIP/2.0 200 OK', '2 INVITE', timer),
  heard('pbx', legA, 'SIP/2.0 200 OK', '3 BYE', [], ''),
]
const far: TraceEntry[] = [
  heard('carrier', legB, 'INVITE sip:200@127.0.0.1 SIP/2.0', '1 INVITE', timer),
  heard('carrier', legB, 'ACK sip:200@127.0.0.1 SIP/2.0', '1 ACK', [], ''),
  heard('carrier', legB, 'INVITE sip:200@127.0.0.1 SIP/2.0', '2 INVITE', timer),
  heard('carrier', legB, 'ACK sip:200@127.0.0.1 SIP/2.0', '2 ACK', [], ''),
  heard('carrier', legB, 'BYE sip:200@127.0.0.1 SIP/2.0', '3 BYE', [], ''),
]

function flaws(nearMessages: TraceEntry[], farMessages: TraceEntry[]): string[] {
  const side = (peer: string, port: number, mediaAddress: string, messages: TraceEntry[]): Side => ({
    peer,
    endpoints: [{ host: '127.0.0.1', port }],
    domain: `${peer}.invalid`,
    mediaAddress,
    messages,
  })
  const checks = checkCall(
    side('pbx', 5090, '192.0.2.10', nearMessages),
    side('carrier', 5070, '192.0.2.20', farMessages),
  )
  return checks.flatMap(({ flaw }) => flaw ?? [])
}

describe('checkCall', () => {
  it('finds nothing wrong with a call that went well', () => expect(flaws(near, far)).toEqual([]))

  const invite = (leg: Leg, extra: string[] = timer, media = leg.media) =>
    heard('carrier', leg, 'INVITE sip:200@127.0.0.1 SIP/2.0', '1 INVITE', extra, media)

  it.each<[string, TraceEntry]>([
    ['both legs have call-a', invite({ ...legB, callId: 'call-a' })],
    ['both legs have taga', invite({ ...legB, fleetTag: 'taga' })],
    ['has "z9hG4bKa" in the line "Via', invite({ ...legB, branch: 'z9hG4bKa' })],
    ['has "127.0.0.1:5090" in the line', invite(legB, ['Record-Route: <sip:127.0.0.1:5090;lr>'])],
    [
      'has "pbx.invalid" in the line "P-Asserted-Identity',
      invite(legB, ['P-Asserted-Identity: <sip:100@pbx.invalid>']),
    ],
    ['has "192.0.2.10" in the line "X-Media', invite(legB, ['X-Media: 192.0.2.10'])],
  ])('finds that the far side saw something of the near side: %s', (flaw, message) =>
    expect(flaws(near, [message, ...far.slice(1)]).join('\n')).toContain(flaw),
  )

  it.each<[string, TraceEntry[], TraceEntry[]]>([
    ['no re-INVITE reached carrier', near, far.slice(0, 2)],
    [
      'the re-INVITE that reached carrier has no Session-Expires',
      near,
      [...far.slice(0, 2), heard('carrier', legB, 'INVITE sip:200@127.0.0.1 SIP/2.0', '2 INVITE'), ...far.slice(3)],
    ],
    ['no 200 to the re-INVITE reached pbx', near.filter((_, index) => index !== 2), far],
    ['no BYE reached carrier', near, far.slice(0, 4)],
    ['no 200 to the BYE reached pbx', near.slice(0, 3), far],
    ['carrier got 1 ACK', near, far.filter((_, index) => index !== 3)],
    [
      'carrier never got the line c=IN IP4 192.0.2.10',
      near,
      far.map((entry) =>
        entry.message.body === ''
          ? entry
          : heard(
              'carrier',
              legB,
              `INVITE sip:200@127.0.0.1 SIP/2.0`,
              `${entry.message.cseq} INVITE`,
              timer,
              '192.0.2.99',
            ),
      ),
    ],
  ])('finds that %s', (flaw, nearMessages, farMessages) =>
    expect(flaws(nearMessages, farMessages).join('\n')).toContain(flaw),
  )
})
