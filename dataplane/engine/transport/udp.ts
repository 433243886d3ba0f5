import { createSocket, type Socket } from 'node:dgram'
import type { ListenerAddress } from '../engine.types.ts'
import { formatHostPort, ipFamily } from './address.ts'
import type { Flow, Listener, Receiver, SendCallback } from './transport.ts'

/** What is asked of the kernel, so that a burst of messages waits there while the process is busy. In bytes. */
const RECEIVE_BUFFER = 8 * 1024 * 1024

type Lookup = (
  host: string,
  options: unknown,
  callback: (error: Error | null, address: string, family: number) => void,
) => void

/** Node looks every destination up before it sends. Ours are addresses already, so they are handed back at once. */
const literal: Lookup = (host, _options, callback) => callback(null, host, ipFamily(host))

/** Opens a UDP listener. Rejects with the system error of bind. */
export async function openUdp(wanted: ListenerAddress, receiver: Receiver): Promise<Listener> {
  const family = ipFamily(wanted.address) === 6 ? 6 : 4
  const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', ipv6Only: family === 6, lookup: literal })
  await bind(socket, wanted)
  return new UdpListener(wanted, family, socket, receiver)
}

function bind(socket: Socket, wanted: ListenerAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      reject(error)
    })
    socket.bind({ address: wanted.address, port: wanted.port, exclusive: true }, () => {
      socket.removeAllListeners('error')
      resolve()
    })
  })
}

class UdpListener implements Listener {
  readonly name: string
  readonly transport = 'UDP'
  readonly reliable = false
  readonly family: 4 | 6
  readonly address: string
  readonly port: number
  advertised: ListenerAddress['advertised']
  hostPort: string
  readonly connections = 0
  readonly #socket: Socket
  #closed = false

  constructor(wanted: ListenerAddress, family: 4 | 6, socket: Socket, receiver: Receiver) {
    this.name = wanted.name
    this.family = family
    this.address = wanted.address
    this.port = socket.address().port
    this.advertised = wanted.advertised
    this.hostPort = this.#hostPort()
    this.#socket = socket
    askForReceiveBuffer(socket)
    // An ICMP error for something sent before; there is no telling for which message, so the timers see to it.
    socket.on('error', () => {})
    socket.on('message', (bytes, from) => {
      if (isKeepalive(bytes)) return
      receiver.receive(bytes.toString('latin1'), {
        listener: this,
        address: from.address,
        port: from.port,
        connection: undefined,
      })
    })
  }

  send(text: string, flow: Flow, sent: SendCallback): undefined {
    if (this.#closed) {
      sent(new Error(`listener ${this.name} is closed`))
      return undefined
    }
    try {
      this.#socket.send(Buffer.from(text, 'latin1'), flow.port, flow.address, sent)
    } catch (error) {
      // Node throws for a port out of range.
      sent(error instanceof Error ? error : new Error(String(error)))
    }
    return undefined
  }

  reload({ advertised }: ListenerAddress): void {
    this.advertised = advertised
    this.hostPort = this.#hostPort()
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }

  #hostPort(): string {
    const { host, port } = this.advertised ?? { host: this.address, port: this.port }
    return formatHostPort(host, port)
  }
}

/** Linux grants less than asked without an error; where the system refuses, its own size stays. */
function askForReceiveBuffer(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER)
  } catch {
    // The default buffer serves as well, with less room for bursts.
  }
}

/** Blank lines keep a NAT binding open and ask for nothing over UDP. */
function isKeepalive(bytes: Buffer): boolean {
  if (bytes.length > 4) return false
  for (const byte of bytes) if (byte !== 0x0d && byte !== 0x0a && byte !== 0) return false
  return true
}
