import { createHash } from 'node:crypto'
import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'

/** A request as it came in, taken apart with nothing of the product. */
export interface Received {
  readonly text: string
  readonly method: string
  readonly uri: string
  readonly from: RemoteInfo
}

/** Values of a header, compared without case. */
export function headerOf({ text }: Pick<Received, 'text'>, name: string): string[] {
  const head = text.slice(0, text.indexOf('\r\n\r\n'))
  const lines = head.split('\r\n').slice(1)
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return line.slice(0, colon).trim().toLowerCase() === name.toLowerCase() ? [line.slice(colon + 1).trim()] : []
  })
}

/**
 * A SIP peer on a free UDP port of loopback that answers as `answer` says, so many times; undefined means silence. What was
 * answered, or is an ACK, and comes once more is a retransmission: it gets the same answer, and is not received again.
 */
export async function openPeer(
  answer: (request: Received) => { status: string; headers?: readonly string[]; copies?: number } | undefined,
  address = '127.0.0.1',
) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  const received: Received[] = []
  const answered = new Map<string, string | undefined>()
  socket.on('message', (datagram, from) => {
    const text = datagram.toString()
    const given = answered.get(text)
    if (given !== undefined) socket.send(given, from.port, from.address)
    if (answered.has(text)) return
    const [method = '', uri = ''] = text.split(' ')
    const request = { text, method, uri, from }
    received.push(request)
    const reply = answer(request)
    if (method === 'ACK') answered.set(text, undefined)
    if (reply === undefined) return
    const copied = ['Via', 'From', 'Call-ID', 'CSeq'].flatMap((name) =>
      headerOf(request, name).map((value) => `${name}: ${value}`),
    )
    const [asked = ''] = headerOf(request, 'To')
    const to = `To: ${asked}${asked.includes(';tag=') ? '' : ';tag=peer'}`
    const lines = [`SIP/2.0 ${reply.status}`, ...copied, to, ...(reply.headers ?? []), 'Content-Length: 0']
    const response = `${lines.join('\r\n')}\r\n\r\n`
    answered.set(text, response)
    for (let copy = 0; copy < (reply.copies ?? 1); copy++) socket.send(response, from.port, from.address)
  })
  socket.bind(0, address)
  await once(socket, 'listening')
  return { address, port: socket.address().port, received, close: () => void socket.close() }
}

/** A registrar that wants digest, and says so first with MD5 and then with SHA-256, as RFC 8760 section 2.4 allows. */
export function registrarAnswers(options: { username: string; password: string; expiresSeconds: number }) {
  const { username, password, expiresSeconds } = options
  const realm = 'registrar, "inner"'.replaceAll('"', '\\"')
  const nonce = 'c2lwIG5vbmNl=='
  const bindings = new Map<string, string>()
  const used = new Set<string>()
  const challenge = {
    status: '401 Unauthorized',
    headers: ['MD5', 'SHA-256'].map(
      (algorithm) =>
        `WWW-Authenticate: Digest realm="${realm}", nonce="${nonce}", opaque="o,o", algorithm=${algorithm}, qop="auth,auth-int"`,
    ),
  }
  const answer = (request: Received) => {
    const [authorization] = headerOf(request, 'Authorization')
    const sent = (name: string) =>
      new RegExp(`[ ,]${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^,]*))`)
        .exec(authorization ?? '')
        ?.slice(1)
        .find(Boolean) ?? ''
    const hash = (text: string) =>
      createHash(sent('algorithm') === 'MD5' ? 'md5' : 'sha256')
        .update(text)
        .digest('hex')
    const key = hash(`${username}:${realm}:${password}`)
    const subject = hash(`REGISTER:${request.uri}`)
    const expected = hash(`${key}:${nonce}:${sent('nc')}:${sent('cnonce')}:auth:${subject}`)
    const replayed = used.has(sent('nc'))
    if (authorization === undefined || replayed || sent('opaque') !== 'o,o' || sent('uri') !== request.uri)
      return challenge
    if (sent('realm') !== realm || sent('username') !== username || sent('response') !== expected) return challenge
    used.add(sent('nc'))
    const [contact = ''] = headerOf(request, 'Contact')
    const expires = Math.min(expiresSeconds, Number(headerOf(request, 'Expires')[0]))
    if (expires === 0) bindings.delete(contact)
    else bindings.set(contact, sent('algorithm'))
    return { status: '200 OK', headers: expires === 0 ? [] : [`Contact: ${contact};expires=${expires}`] }
  }
  return { bindings, answer }
}
