import { createSocket } from 'node:dgram'
import { once } from 'node:events'

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
