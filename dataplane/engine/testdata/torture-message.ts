/** A message of a collection of tortures, and what becomes of it here. */
export interface TortureMessage {
  /** Section of its RFC. */
  readonly section: string
  /** Name of the message in its RFC, or what is made of it here. */
  readonly title: string
  /** One character per byte. */
  readonly text: string
  /** What the parser says: `accepted`, the status that it is to be answered with, or `silent`. */
  readonly parser: 'accepted' | 'silent' | number
  /** The final answer that leaves for the sender; `called` where the call goes on to the other side; `none`. */
  readonly answer: 'called' | 'none' | number
  readonly why: string
}

/** Lines ended by CRLF, then the empty line and the body. */
export function message(lines: readonly string[], body = ''): string {
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

/** Lines of a body, each ended by CRLF. */
export function bodyOf(...lines: string[]): string {
  return lines.map((line) => `${line}\r\n`).join('')
}

/** The session description of most messages of RFC 4475. */
export function offerOf(address: string, start = '0'): string {
  return bodyOf(
    'v=0',
    `o=mhandley 29739 7272939 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    `t=${start} 0`,
    'm=audio 49217 RTP/AVP 0 12',
    'm=video 3227 RTP/AVP 31',
    'a=rtpmap:31 LPC',
  )
}

/** A request without fault but for the lines given, which take the place of those of the same name or are added. */
export function request(start: string, ...lines: string[]): string {
  const method = start.split(' ')[0] ?? ''
  const usual = [
    'Max-Forwards: 70',
    'To: sip:j.user@example.com',
    'From: sip:caller@example.net;tag=134161461246',
    'Call-ID: torture.0ha0isndaksdj',
    `CSeq: 8 ${method}`,
    'Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw',
    ...(method === 'INVITE' ? ['Contact: <sip:caller@host5.example.net>'] : []),
    'Content-Length: 0',
  ]
  const given = new Set(lines.map(nameOf))
  return message([start, ...usual.filter((line) => !given.has(nameOf(line))), ...lines])
}

export function response(status: string, ...lines: string[]): string {
  return request('OPTIONS sip:a@example.com SIP/2.0', ...lines).replace(/^[^\r]*/, `SIP/2.0 ${status}`)
}

/** A text of more than ASCII as the bytes of UTF-8, one character each. */
export function bytes(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function nameOf(line: string): string {
  return line.slice(0, line.search(/[ :]/)).toLowerCase()
}
