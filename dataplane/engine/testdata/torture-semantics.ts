import { message, request, type TortureMessage, withBody } from './torture-message.ts'

const invite = 'INVITE sip:user@example.com SIP/2.0'
const options = 'OPTIONS sip:user@example.com SIP/2.0'
const register = 'REGISTER sip:example.com SIP/2.0'

/** RFC 4475 §3.2 to §3.4: transactions, the application, and the past. */
export const semanticMessages: readonly TortureMessage[] = [
  {
    section: '3.2.1',
    title: 'a branch with nothing after its cookie',
    text: request(options, 'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK'),
    parser: 400,
    answer: 400,
    why: 'the cookie promises that what follows is unique (RFC 3261 §8.1.1.7), and nothing follows',
  },
  {
    section: '3.3.1',
    title: 'no Call-ID, From and To',
    text: message([invite, 'CSeq: 193942 INVITE', 'Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf']),
    parser: 400,
    answer: 400,
    why: 'mandatory header fields are missing (RFC 3261 §8.1.1); the answer lacks them as well',
  },
  {
    section: '3.3.2',
    title: 'an unknown scheme in the Request-URI',
    text: request('OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0'),
    parser: 416,
    answer: 416,
    why: 'RFC 3261 §8.2.2.1',
  },
  {
    section: '3.3.3',
    title: 'a known scheme that is none of ours',
    text: request('OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0'),
    parser: 416,
    answer: 416,
    why: 'RFC 3261 §8.2.2.1',
  },
  {
    section: '3.3.4',
    title: 'unknown schemes in header fields',
    text: request(register, 'To: isbn:2983792873', 'From: <http://www.example.com>;tag=3234233', 'Contact: <name:John_Smith>'),
    parser: 'accepted',
    answer: 405,
    why: 'From, To and Contact may have any scheme; nobody registers here',
  },
  {
    section: '3.3.5',
    title: 'Proxy-Require and Require of the unknown',
    text: request(
      options,
      'Require: nothingSupportsThis, nothingSupportsThisEither',
      'Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis',
    ),
    parser: 'accepted',
    answer: 420,
    why: 'with Unsupported listing what is not understood (RFC 3261 §8.2.2.3)',
  },
  {
    section: '3.3.6',
    title: 'an unknown Content-Type',
    text: withBody(invite, 'application/unknownformat', '<audio>\r\n <pcmu port="443"/>\r\n</audio>\r\n'),
    parser: 'accepted',
    answer: 415,
    why: 'with Accept listing what would do (RFC 3261 §8.2.3)',
  },
  {
    section: '3.3.7',
    title: 'an unknown authorization scheme',
    text: request(register, 'Authorization: NoOneKnowsThisScheme opaque-data=here'),
    parser: 'accepted',
    answer: 405,
    why: 'credentials are not asked for, so they are passed over; nobody registers here',
  },
  ...['CSeq: 59 INVITE', 'Call-ID: 98asdh@192.0.2.2', 'From: <sip:other@example.com>;tag=2', 'To: sip:b@h', 'Max-Forwards: 5'].map(
    (line): TortureMessage => ({
      section: '3.3.8',
      title: `two of what there is one of: ${line.split(':')[0]}`,
      text: duplicated(line),
      parser: 400,
      answer: 400,
      why: 'somebody behind us would take the other one',
    }),
  ),
  {
    section: '3.3.9',
    title: 'two Content-Lengths',
    text: request(options, 'Content-Length: 0', 'Content-Length: 5'),
    parser: 400,
    answer: 400,
    why: 'where the message ends would be a matter of opinion',
  },
  {
    section: '3.3.10',
    title: 'a 200 with broadcast in its Via',
    text: request(options, 'Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923', 'Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23').replace(
      /^[^\r]*/,
      'SIP/2.0 200 OK',
    ),
    parser: 'accepted',
    answer: 'none',
    why: 'a response with two Vias is discarded (RFC 3261 §8.1.3.3), so it is sent on to nobody',
  },
  {
    section: '3.3.11',
    title: 'Max-Forwards of zero',
    text: request(options, 'Max-Forwards: 0'),
    parser: 'accepted',
    answer: 200,
    why: 'the last element that an OPTIONS may reach answers it (RFC 3261 §16.3)',
  },
  {
    section: '3.3.12',
    title: 'REGISTER with a Contact header parameter',
    text: request(register, 'Contact: sip:+19725552222@gw1.example.net;unknownparam'),
    parser: 'accepted',
    answer: 405,
    why: 'without brackets a parameter is of the header field; nobody registers here',
  },
  {
    section: '3.3.13',
    title: 'REGISTER with a URI parameter in its Contact',
    text: request(register, 'Contact: <sip:+19725552222@gw1.example.net;unknownparam>'),
    parser: 'accepted',
    answer: 405,
    why: 'inside brackets a parameter is of the URI; nobody registers here',
  },
  {
    section: '3.3.14',
    title: 'escaped headers in a Contact',
    text: request(register, 'Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>'),
    parser: 'accepted',
    answer: 405,
    why: 'allowed in a Contact (RFC 3261 §19.1.1); nobody registers here',
  },
  {
    section: '3.3.15',
    title: 'an Accept without SDP',
    text: withBody(
      invite,
      'application/sdp',
      'v=0\r\no=caller 53655765 2353687637 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\n',
      'Accept: text/nobodyKnowsThis',
    ),
    parser: 'accepted',
    answer: 'called',
    why: 'whether to answer an offer that forbids an answer is for the called party to say',
  },
  {
    section: '3.4.1',
    title: 'an INVITE of RFC 2543, without branch, tag and Max-Forwards',
    text: message([
      'INVITE sip:UserB@example.com SIP/2.0',
      'Via: SIP/2.0/UDP iftgw.example.com',
      'From: <sip:+13035551111@ift.client.example.net;user=phone>',
      'To: sip:+16505552222@ss1.example.net;user=phone',
      'Call-ID: inv2543.1717@ift.client.example.com',
      'CSeq: 56 INVITE',
      'Contact: <sip:+13035551111@192.0.2.9>',
      'Content-Length: 0',
    ]),
    parser: 'accepted',
    answer: 'called',
    why: 'matched by the rules of RFC 3261 §17.2.3 for clients of RFC 2543',
  },
]

function duplicated(line: string): string {
  return request(invite).replace('\r\n', `\r\n${line}\r\n`)
}

/** RFC 5118: IPv6. */
export const ipv6Messages: readonly TortureMessage[] = [
  {
    section: '4.1',
    title: 'an IPv6 reference in the Request-URI',
    text: request('OPTIONS sip:[2001:db8::10] SIP/2.0', 'Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111'),
    parser: 'accepted',
    answer: 200,
    why: 'well-formed',
  },
  {
    section: '4.2',
    title: 'an IPv6 address without brackets in the Request-URI',
    text: request('OPTIONS sip:2001:db8::10 SIP/2.0'),
    parser: 400,
    answer: 400,
    why: '"the SIP implementation receiving this request should respond with a 400 (Bad Request) failure response"',
  },
  {
    section: '4.3',
    title: 'what looks like a port is part of the address',
    text: request('OPTIONS sip:[2001:db8::10:5070] SIP/2.0'),
    parser: 'accepted',
    answer: 200,
    why: 'what stands in brackets is an address, whatever its writer meant',
  },
  {
    section: '4.4',
    title: 'a port after the brackets',
    text: request('OPTIONS sip:[2001:db8::10]:5070 SIP/2.0'),
    parser: 'accepted',
    answer: 200,
    why: 'well-formed',
  },
  ...['[2001:db8::9:255]', '2001:db8::9:255'].map(
    (received): TortureMessage => ({
      section: '4.5',
      title: `received=${received}`,
      text: request(options, `Via: SIP/2.0/UDP [2001:db8::9:1];received=${received};branch=z9hG4bKas3`),
      parser: 'accepted',
      answer: 200,
      why: 'both forms are in use, and the parameter of a peer is replaced by the true source in any case',
    }),
  ),
  ...[
    ['4.6', 'SDP with IPv6', 'c=IN IP6 2001:db8::20\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n'],
    ['4.7', 'several addresses in header fields', 'c=IN IP6 2001:db8::20\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n'],
    ['4.8', 'IPv6 and IPv4 in SDP', 't=0 0\r\nm=audio 5 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\nm=video 6 RTP/AVP 31\r\nc=IN IP4 192.0.2.1\r\n'],
    ['4.9', 'an IPv4-mapped IPv6 address', 'c=IN IP6 ::ffff:192.0.2.10\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n'],
  ].map(
    ([section = '', title = '', media = '']): TortureMessage => ({
      ...{ section, title },
      text: withBody(
        'INVITE sip:user@[2001:db8::10] SIP/2.0',
        'application/sdp',
        `v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=-\r\n${media}`,
        'Contact: <sip:caller@[::ffff:192.0.2.2]>',
      ),
      parser: 'accepted',
      answer: 'called',
      why: 'addresses of media pass; what is ours to write is ours',
    }),
  ),
  {
    section: '4.10',
    title: 'three colons, as a fault in the grammar of RFC 3261 allows',
    text: request('OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0'),
    parser: 400,
    answer: 400,
    why: 'the corrected grammar has two colons; three are no address',
  },
]
