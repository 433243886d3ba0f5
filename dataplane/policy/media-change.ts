type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'

/** What the other side of an offer may do. */
const reversed: Readonly<Record<Direction, Direction>> = {
  sendrecv: 'sendrecv',
  sendonly: 'recvonly',
  recvonly: 'sendonly',
  inactive: 'inactive',
}

const directionLine = /^a=(sendrecv|sendonly|recvonly|inactive)(\r\n|\n|\r|$)/m
/** Hold as it was before RFC 3264. */
const heldAddress = /^c=IN IP4 0\.0\.0\.0\s*$/m
const streamLine = /^m=(\S+) (\d+)/

interface Stream {
  readonly text: string
  readonly type: string
  readonly port: number
  readonly direction: Direction
}

/** The offer with a hold by `c=0.0.0.0` said by direction, too (RFC 3264 section 8.4). */
export function withExplicitHold(offer: string): string {
  const streams = streamsOf(offer)
  return redirected(offer, (index) => streams[index]?.direction ?? 'sendrecv')
}

/** Whether a stream of the offer is fax over IP, which nobody but the other side can take. */
export function offersFax(offer: string): boolean {
  return streamsOf(offer).some(({ type, port }) => type === 'image' && port > 0)
}

/** Whether a stream of the description does not go both ways. */
export function isOnHold(sdp: string): boolean {
  return streamsOf(sdp).some(({ port, direction }) => port > 0 && direction !== 'sendrecv')
}

/** Whether the offer brings a stream in both directions that this call does not have yet. */
export function addsMedia(offer: string, told: string): boolean {
  const ours = streamsOf(told)
  return streamsOf(offer).some(({ type, port, direction }, index) => {
    const known = ours[index]
    return port > 0 && direction === 'sendrecv' && (known === undefined || known.port === 0 || known.type !== type)
  })
}

/** The first offer of a call, as nobody is on hold in it (feature item 8: "offer sendonly → offer sendrecv out"). */
export function withoutHold(offer: string): string {
  return redirected(offer, () => 'sendrecv')
}

/** An answer, as the other side hears nothing of a hold but its own. */
export function answeringOnly(answer: string, offer: string): string {
  const offered = streamsOf(offer)
  return redirected(answer, (index) => reversed[offered[index]?.direction ?? 'sendrecv'])
}

function redirected(sdp: string, directionAt: (index: number) => Direction): string {
  const streams = streamsOf(sdp).map((stream, index) =>
    stream.port === 0 ? stream.text : withDirection(stream.text, directionAt(index)),
  )
  return sessionPart(sdp).replace(directionLine, '') + streams.join('')
}

function withDirection(text: string, direction: Direction): string {
  if (directionLine.test(text)) return text.replace(directionLine, `a=${direction}$2`)
  return direction === 'sendrecv' ? text : `${text}a=${direction}\r\n`
}

function sessionPart(sdp: string): string {
  const start = sdp.search(/^m=/m)
  return start < 0 ? sdp : sdp.slice(0, start)
}

function streamsOf(sdp: string): Stream[] {
  const session = sessionPart(sdp)
  const whole = directionIn(session)
  const held = heldAddress.test(session)
  return sdp
    .slice(session.length)
    .split(/^(?=m=)/m)
    .filter((text) => text !== '')
    .map((text) => {
      const [, type = '', port = '0'] = streamLine.exec(text) ?? []
      const stated = directionIn(text) ?? whole ?? 'sendrecv'
      const onHold = heldAddress.test(text) || (held && !/^c=/m.test(text))
      const direction = onHold && stated === 'sendrecv' ? 'sendonly' : stated
      return { text, type, port: Number(port), direction }
    })
}

function directionIn(text: string): Direction | undefined {
  return directionLine.exec(text)?.[1] as Direction | undefined
}
