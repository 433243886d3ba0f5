import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** UDP ports of the address that were free a moment ago, all different. */
export async function freeUdpPorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const sockets = Array.from({ length: count }, () => createSocket(address.includes(':') ? 'udp6' : 'udp4'))
  try {
    const ports: number[] = []
    for (const socket of sockets) {
      socket.bind(0, address)
      await once(socket, 'listening')
      ports.push(socket.address().port)
    }
    return ports
  } finally {
    for (const socket of sockets) socket.close()
  }
}

/** The same for TCP. */
export async function freeTcpPorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  try {
    const ports: number[] = []
    for (const server of servers) {
      server.listen(0, address)
      await once(server, 'listening')
      const bound = server.address()
      if (bound !== null && typeof bound === 'object') ports.push(bound.port)
    }
    return ports
  } finally {
    for (const server of servers) server.close()
  }
}
