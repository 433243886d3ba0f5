import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

/**
 * Even ports from here on are given out. All are below those that a system gives out by itself (from 32768 on Linux, from
 * 49152 elsewhere): one of the latter can go to any connection of any test before its listener has it, or while it is down.
 */
const lowest = 20_000
const count = 3_000
/** Whoever has a port listens on the one that is so much higher as long as it lives, so that no other test is given it. */
const claim = 6_000

/**
 * Ports, all different, that nobody uses on any address, over UDP or TCP, and that no other call of this is given while this
 * process lives. The one above each of them is free as well. Throws when there are none left.
 */
export async function freePorts(wanted: number): Promise<number[]> {
  const first = randomInt(count)
  const ports: number[] = []
  for (let tried = 0; tried < count && ports.length < wanted; tried++) {
    const port = lowest + 2 * ((first + tried) % count)
    if (await isOurs(port)) ports.push(port)
  }
  if (ports.length < wanted) throw new Error(`of the ${count} ports from ${lowest} on, too few are free`)
  return ports
}

async function isOurs(port: number): Promise<boolean> {
  const claimed = await listen(port + claim, '127.0.0.1')
  if (claimed === undefined) return false
  const isFree = (await isFreeOverTcp(port)) && (await isFreeOverUdp(port))
  if (isFree) claimed.unref()
  else claimed.close()
  return isFree
}

async function isFreeOverTcp(port: number): Promise<boolean> {
  const server = await listen(port, '0.0.0.0')
  if (server === undefined) return false
  server.close()
  await once(server, 'close')
  return true
}

async function isFreeOverUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  socket.bind(port, '0.0.0.0')
  const isFree = await once(socket, 'listening').then(
    () => true,
    () => false,
  )
  socket.close()
  await once(socket, 'close')
  return isFree
}

/** A listener; undefined where somebody else has the port. */
async function listen(port: number, address: string): Promise<Server | undefined> {
  const server = createServer().listen(port, address)
  return once(server, 'listening').then(
    () => server,
    () => undefined,
  )
}
