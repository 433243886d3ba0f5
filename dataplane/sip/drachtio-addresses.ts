import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import type { DrachtioAddress } from './drachtio-port.ts'

/** A socket that a drachtio-server listens on. */
export interface ServedAddress {
  /** `udp`, `tcp`, `tls`, `ws` or `wss`. */
  readonly transport: string
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  /** What it tells peers instead of the address. */
  readonly external: string
}

/** How long a server may take to answer, in milliseconds. */
const answerMilliseconds = 3_000

/**
 * Where a drachtio-server listens, as it says to who authenticates: it can begin to serve applications before all of its
 * sockets are open, so that what it said at the connection does not have to hold later. Rejects when it cannot be reached,
 * refuses the secret, or says something else.
 */
export function askAddresses({ host, port, secret }: DrachtioAddress): Promise<ServedAddress[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: answerMilliseconds })
    const fail = (cause: string) => {
      socket.destroy()
      reject(new Error(cause))
    }
    let received = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => {
      const question = `${randomUUID()}|authenticate|${secret}|`
      socket.write(`${Buffer.byteLength(question)}#${question}`)
    })
    socket.on('data', (text: string) => {
      received += text
      const answer = readAnswer(received)
      if (answer === undefined) return
      if ('cause' in answer) return fail(answer.cause)
      socket.destroy()
      resolve(answer.addresses)
    })
    socket.on('timeout', () => fail(`it does not answer within ${answerMilliseconds / 1000} s`))
    socket.on('error', (error: Error & { code?: string }) =>
      fail(`it cannot be reached (${error.code ?? error.message})`),
    )
    socket.on('close', () => fail('it ended the connection'))
  })
}

/** `<length>#<id>|response|<id>|OK|<external>|<version>|<local>`; undefined as long as some of it is missing. */
function readAnswer(received: string): { addresses: ServedAddress[] } | { cause: string } | undefined {
  const hash = received.indexOf('#')
  const length = Number(received.slice(0, Math.max(hash, 0)))
  if (hash === -1 || received.length < hash + 1 + length) return undefined
  const [, type, , verdict, external = '', , local = external] = received.slice(hash + 1, hash + 1 + length).split('|')
  if (type !== 'response') return { cause: 'it speaks another protocol' }
  if (verdict !== 'OK') return { cause: 'it refuses the secret' }
  const told = readHostPorts(external)
  return {
    addresses: readHostPorts(local).map(({ transport, host, port }, index) => ({
      ...{ transport, address: host, port },
      external: told[index]?.host ?? host,
    })),
  }
}

function readHostPorts(list: string): { transport: string; host: string; port: number }[] {
  return list.split(',').flatMap((text) => {
    const [, transport = '', host = '', port = ''] = /^([a-z]+)\/\[?([^\]]+?)\]?:(\d+)$/.exec(text.trim()) ?? []
    return transport === '' ? [] : [{ transport, host, port: Number(port) }]
  })
}
