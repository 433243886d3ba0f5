import { bodyOf, message, type TortureMessage } from './torture-message.ts'

const via = 'Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111'
const callId = 'Call-ID: SSG9559905523997077@hlau_4100'
const to = 'To: sip:user@example.com'
const from = 'From: sip:user@example.com;tag=81x2'
const toThere = ['INVITE sip:user@[2001:db8::10] SIP/2.0', 'To: sip:user@[2001:db8::10]', from]

const called = {
  parser: 'accepted',
  answer: 'called',
  why: 'addresses of media pass; what is ours to write is ours',
} as const

/** The two streams of §4.6 and §4.9. */
const meeting = (address: string, subject: string) =>
  bodyOf(
    'v=0',
    `o=assistant 971731711378798081 0 IN IP6 ${address}`,
    `s=${subject}`,
    `c=IN IP6 ${address}`,
    't=3338481189 3370017201',
    'm=audio 6000 RTP/AVP 2',
    'a=rtpmap:2 G726-32/8000',
    'm=video 6024 RTP/AVP 107',
    'a=rtpmap:107 H263-1998/90000',
  )

/** RFC 5118: IPv6. Where the length that it prints is wrong, the right one stands beside. */
export const ipv6Messages: readonly TortureMessage[] = [
  {
    section: '4.1',
    title: 'an IPv6 reference in the Request-URI',
    text: registering('sip:[2001:db8::10]'),
    parser: 'accepted',
    answer: 405,
    why: 'well-formed; nobody registers here',
  },
  {
    section: '4.2',
    title: 'an IPv6 address without brackets in the Request-URI',
    text: registering('sip:2001:db8::10'),
    parser: 400,
    answer: 400,
    why: '"A SIP implementation receiving this request should respond with a 400 Bad Request error"',
  },
  {
    section: '4.3',
    title: 'what looks like a port is part of the address',
    text: registering('sip:[2001:db8::10:5070]', true),
    parser: 'accepted',
    answer: 405,
    why: 'what stands in brackets is an address, whatever its writer meant; nobody registers here',
  },
  {
    section: '4.4',
    title: 'a port after the brackets',
    text: registering('sip:[2001:db8::10]:5070', true),
    parser: 'accepted',
    answer: 405,
    why: 'well-formed; nobody registers here',
  },
  {
    section: '4.5',
    title: 'received with brackets',
    text: message([
      'BYE sip:[2001:db8::10] SIP/2.0',
      'To: sip:user@example.com;tag=bd76ya',
      from,
      'Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111',
      callId,
      'Max-Forwards: 70',
      'CSeq: 321 BYE',
      'Content-Length: 0',
    ]),
    parser: 'accepted',
    answer: 481,
    why: 'both forms are in use, and the parameter of a peer is replaced by the true source; there is no such dialog',
  },
  {
    section: '4.5',
    title: 'received without brackets',
    text: message([
      'OPTIONS sip:[2001:db8::10] SIP/2.0',
      to,
      from,
      'Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3',
      'Call-ID: SSG95523997077@hlau_4100',
      'Max-Forwards: 70',
      'Contact: "Caller" <sip:caller@[2001:db8::9:1]>',
      'CSeq: 921 OPTIONS',
      'Content-Length: 0',
    ]),
    parser: 'accepted',
    answer: 200,
    why: 'both forms are in use, and the parameter of a peer is replaced by the true source',
  },
  { section: '4.6', title: 'SDP with IPv6', text: withIPv6InSdp(251), ...called },
  {
    section: '4.6',
    title: 'SDP with IPv6, and the length that is printed',
    text: withIPv6InSdp(268),
    parser: 400,
    answer: 400,
    why: 'the datagram ends before its body does (RFC 3261 §18.3)',
  },
  {
    section: '4.7',
    title: 'several addresses in header fields',
    text: message([
      'BYE sip:user@host.example.net SIP/2.0',
      'Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111',
      'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144',
      'Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200',
      'Call-ID: 997077@lau_4100',
      'Max-Forwards: 70',
      'CSeq: 89187 BYE',
      'To: sip:user@example.net;tag=9817--94',
      from,
      'Content-Length: 0',
    ]),
    parser: 'accepted',
    answer: 481,
    why: 'well-formed; there is no such dialog',
  },
  { section: '4.8', title: 'IPv6 and IPv4 in SDP', text: withBothInSdp(189), ...called },
  { section: '4.8', title: 'IPv6 and IPv4 in SDP, and the length that is printed', text: withBothInSdp(181), ...called },
  { section: '4.9', title: 'an IPv4-mapped IPv6 address', text: withMappedAddress(245), ...called },
  {
    section: '4.9',
    title: 'an IPv4-mapped IPv6 address, and the length that is printed',
    text: withMappedAddress(236),
    ...called,
  },
  {
    section: '4.10',
    title: 'three colons, as a fault in the grammar of RFC 3261 allows',
    text: asking('[2001:db8:::192.0.2.1]'),
    parser: 'accepted',
    answer: 200,
    why: '"an implementation must tolerate both of the above constructs"',
  },
  {
    section: '4.10',
    title: 'two colons, as the corrected grammar has them',
    text: asking('[2001:db8::192.0.2.1]'),
    parser: 'accepted',
    answer: 200,
    why: 'well-formed',
  },
  {
    section: '4.10',
    title: 'three colons before no IPv4 address',
    text: asking('[2001:db8:::1]'),
    parser: 400,
    answer: 400,
    why: 'no grammar has them there',
  },
]

function registering(uri: string, contactFirst = false): string {
  const contact = 'Contact: "Caller" <sip:caller@[2001:db8::1]>'
  const both = contactFirst ? [contact, 'Max-Forwards: 70'] : ['Max-Forwards: 70', contact]
  return message([
    `REGISTER ${uri} SIP/2.0`,
    ...[to, from, via, callId],
    ...both,
    ...['CSeq: 98176 REGISTER', 'Content-Length: 0'],
  ])
}

function withIPv6InSdp(length: number): string {
  return message(
    [
      ...toThere,
      'Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111',
      callId,
      'Contact: "Caller" <sip:caller@[2001:db8::20]>',
      'CSeq: 8612 INVITE',
      'Max-Forwards: 70',
      'Content-Type: application/sdp',
      `Content-Length: ${length}`,
    ],
    meeting('2001:db8::20', "Live video feed for today's meeting"),
  )
}

function withBothInSdp(length: number): string {
  return message(
    [
      ...toThere,
      via,
      callId,
      'Contact: "Caller" <sip:caller@[2001:db8::9:1]>',
      'Max-Forwards: 70',
      'CSeq: 8912 INVITE',
      'Content-Type: application/sdp',
      `Content-Length: ${length}`,
    ],
    bodyOf(
      'v=0',
      'o=bob 280744730 28977631 IN IP4 host.example.com',
      's=',
      't=0 0',
      'm=audio 22334 RTP/AVP 0',
      'c=IN IP4 192.0.2.1',
      'm=video 6024 RTP/AVP 107',
      'c=IN IP6 2001:db8::1',
      'a=rtpmap:107 H263-1998/90000',
    ),
  )
}

function withMappedAddress(length: number): string {
  return message(
    [
      'INVITE sip:user@example.com SIP/2.0',
      to,
      'From: sip:user@east.example.com;tag=81x2',
      'Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19',
      'Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111',
      callId,
      'Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>',
      'CSeq: 612 INVITE',
      'Max-Forwards: 70',
      'Content-Type: application/sdp',
      `Content-Length: ${length}`,
    ],
    meeting('::ffff:192.0.2.2', 'Call me soon, please!'),
  )
}

function asking(host: string): string {
  return message([
    `OPTIONS sip:user@${host} SIP/2.0`,
    `To: sip:user@${host}`,
    'From: sip:user@example.com;tag=810x2',
    'Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111',
    'Call-ID: G9559905523997077@hlau_4100',
    'CSeq: 689 OPTIONS',
    'Max-Forwards: 70',
    'Content-Length: 0',
  ])
}
