import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode, type Answer, type DecodedPacket } from 'dns-packet'

/** For tests: a DNS server on loopback that does to each query what the test says. */
export interface ScriptedDns {
  readonly server: { readonly address: string; readonly port: number }
  /** Questions in order, as `A one.carrier.test`. */
  readonly asked: string[]
  /** Settles when the next query is there. */
  next(): Promise<void>
  close(): Promise<void>
}

/** The packets that answer a query. */
export type Script = (query: DecodedPacket) => readonly Buffer[]

export async function scriptDns(script: Script): Promise<ScriptedDns> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  let waiting = Promise.withResolvers<void>()
  socket.on('message', (data, from) => {
    const query = decode(data)
    const [question] = query.questions ?? []
    asked.push(`${question?.type} ${question?.name}`)
    for (const packet of script(query)) socket.send(packet, from.port, from.address)
    waiting.resolve()
    waiting = Promise.withResolvers()
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    server: { address: '127.0.0.1', port: socket.address().port },
    asked,
    next: () => waiting.promise,
    async close() {
      socket.close()
      await once(socket, 'close')
    },
  }
}

export interface Reply {
  readonly answers?: readonly Answer[]
  readonly authorities?: readonly Answer[]
  /** Response code: 2 is SERVFAIL, 3 NXDOMAIN. */
  readonly rcode?: number
  readonly id?: number
  readonly name?: string
}

/** An answer to the query, but for what is told otherwise. */
export function reply(query: DecodedPacket, { answers = [], authorities = [], rcode = 0, id, name }: Reply): Buffer {
  const [question] = query.questions ?? []
  if (question === undefined) throw new Error('a query has a question')
  return encode({
    type: 'response',
    id: id ?? query.id ?? 0,
    flags: 0x0180 | rcode,
    questions: [{ ...question, name: name ?? question.name }],
    answers: [...answers],
    authorities: [...authorities],
  })
}
