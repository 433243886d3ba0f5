import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** One end of a media stream: a UDP socket that sends RTP and counts what comes. */
export interface RtpPeer {
  readonly address: string
  readonly port: number
  /** Payloads that came, oldest first. */
  readonly heard: readonly string[]
  /** Its session description. */
  sdp(options?: { direction?: string; version?: number; payloads?: readonly number[]; extra?: string }): string
  /** Sends to where the description that it was given says, until the condition holds; rejects after a minute. */
  talkUntil(description: string, word: string, holds: () => boolean): Promise<void>
  close(): void
}

/** RTP of 20 ms each, as a telephone sends it. */
const packetMilliseconds = 20

export async function openRtpPeer(address: string): Promise<RtpPeer> {
  const socket = createSocket('udp4')
  socket.bind(0, address)
  await once(socket, 'listening')
  const { port } = socket.address()
  const heard: string[] = []
  socket.on('message', (packet) => heard.push(packet.toString('latin1', 12).replace(/\0+$/, '')))
  let sequence = 1
  return {
    address,
    port,
    heard,
    sdp: ({ direction = 'sendrecv', version = 1, payloads = [0, 8], extra = '' } = {}) =>
      `v=0\r\no=peer-${port} 7 ${version} IN IP4 ${address}\r\ns=talk\r\nc=IN IP4 ${address}\r\nt=0 0\r\n` +
      `m=audio ${port} RTP/AVP ${payloads.join(' ')}\r\na=${direction}\r\n${extra}`,
    async talkUntil(description, word, holds) {
      const to = streamOf(description)
      const limit = Date.now() + 60_000
      while (!holds()) {
        if (Date.now() > limit)
          throw new Error(`${address}:${port} talked to ${to.address}:${to.port} for a minute in vain`)
        socket.send(rtp(sequence++, word), to.port, to.address)
        await new Promise((resolve) => setTimeout(resolve, packetMilliseconds))
      }
    },
    close: () => socket.close(),
  }
}

/** Where the first stream of the description wants its media. */
export function streamOf(description: string): { address: string; port: number } {
  const address = /^c=IN IP[46] (\S+)/m.exec(description)?.[1] ?? ''
  const port = Number(/^m=\w+ (\d+)/m.exec(description)?.[1] ?? 0)
  return { address, port }
}

/** A packet of 160 bytes of PCMU that begins with a word, by which the other end knows whose it is. */
function rtp(sequence: number, word: string): Buffer {
  const packet = Buffer.alloc(172)
  packet[0] = 0x80
  packet.writeUInt16BE(sequence & 0xffff, 2)
  packet.writeUInt32BE((sequence * 160) >>> 0, 4)
  packet.writeUInt32BE(0x5bcf1ee7, 8)
  packet.write(word, 12, 'latin1')
  return packet
}

/** Both talk to where they were told to, until each has heard ten packets of the other. */
export async function talkBothWays(one: RtpPeer, toOne: string, other: RtpPeer, toOther: string): Promise<void> {
  const word = `talk-${one.heard.length}-${other.heard.length}`
  const heard = (peer: RtpPeer, from: RtpPeer) =>
    peer.heard.filter((payload) => payload === `${word}-${from.port}`).length >= 10
  const bothHeard = () => heard(one, other) && heard(other, one)
  await Promise.all([
    one.talkUntil(toOne, `${word}-${one.port}`, bothHeard),
    other.talkUntil(toOther, `${word}-${other.port}`, bothHeard),
  ])
}
