import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import type { ListenerAddress } from '../engine/engine.types.ts'
import { DrachtioServer } from './drachtio-server.ts'

const log = createLog({ level: 'error', name: 'test', write: () => {} })
const udp: ListenerAddress = { name: 'UDP 192.0.2.1:5060', transport: 'UDP', address: '192.0.2.1', port: 5060 }

const open: Server[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

/** A server that says to each connection what it says next, in pieces, and the last of it again and again. */
async function serverThatSays(...answers: readonly string[]): Promise<{ server: DrachtioServer; port: number }> {
  let count = 0
  const tcp = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      const answer = answers[Math.min(count++, answers.length - 1)] ?? ''
      socket.write(answer.slice(0, 7))
      setImmediate(() => socket.write(answer.slice(7)))
    })
  })
  open.push(tcp)
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  const bound = tcp.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  return { server: new DrachtioServer({ host: '127.0.0.1', port, secret: 'cymru' }, log), port }
}

function framed(text: string): string {
  return `${Buffer.byteLength(text)}#${text}`
}

function serving(local: string, external = local): string {
  return framed(`4a|response|1b|OK|${external}|v0.9.10|${local}`)
}

describe('a listener of a drachtio-server', () => {
  it.each([
    ['udp/192.0.2.1:5060', udp],
    ['tcp/192.0.2.1:5060,udp/192.0.2.1:5060', udp],
    ['udp/[2001:db8::1]:5060,tls/192.0.2.1:5061', { ...udp, transport: 'TLS', port: 5061 }],
  ] as const)('is open where the server listens on %s', async (local, listener) => {
    const { server } = await serverThatSays(serving(local))
    await expect(server.open(listener)).resolves.toEqual(listener)
    expect(await server.troubles()).toEqual(new Map())
  })

  it.each([
    ['another port', 'udp/192.0.2.1:5062'],
    ['another transport', 'tcp/192.0.2.1:5060'],
    ['another address', 'udp/192.0.2.2:5060'],
  ])('is refused where the server has %s, and it is said how to start it', async (_, local) => {
    const { server, port } = await serverThatSays(serving(local))
    await expect(server.open(udp)).rejects.toThrow(
      `drachtio-server at 127.0.0.1:${port} does not listen there, but on ${local}; start it with --contact 'sip:192.0.2.1:5060;transport=udp'`,
    )
  })

  it('is refused where peers are told another address than is wanted', async () => {
    const advertised = { host: '203.0.113.9', port: 5060 }
    const behind = await serverThatSays(serving('udp/192.0.2.1:5060', 'udp/203.0.113.9:5060'))
    await expect(behind.server.open({ ...udp, advertised })).resolves.toMatchObject({ name: udp.name })
    await expect(behind.server.open(udp)).rejects.toThrow('tells peers 203.0.113.9 and not 192.0.2.1')
    const plain = await serverThatSays(serving('udp/192.0.2.1:5060'))
    await expect(plain.server.open({ ...udp, advertised })).rejects.toThrow('--external-ip 203.0.113.9')
    const otherPort = { ...udp, advertised: { host: '203.0.113.9', port: 6060 } }
    await expect(behind.server.open(otherPort)).rejects.toThrow('remove advertisedPort')
  })

  it('is refused over IPv6, where calls would never be acknowledged', async () => {
    const { server } = await serverThatSays(serving('udp/[2001:db8::1]:5060'))
    await expect(server.open({ ...udp, address: '2001:db8::1' })).rejects.toThrow('over IPv6; remove the listener')
  })

  it('is refused where only clients with a certificate may come, since nobody tells who has one', async () => {
    const { server } = await serverThatSays(serving('tls/192.0.2.1:5061'))
    const tls = { certificate: '', key: '', others: [], clientAuthorities: 'PEM', minVersion: 'TLSv1.2' } as const
    await expect(server.open({ ...udp, transport: 'TLS', port: 5061, tls })).rejects.toThrow('remove clientCaRef')
  })

  it.each([
    ['refuses the secret', framed('4a|response|1b|NO|incorrect secret')],
    ['speaks another protocol', framed('4a|hello')],
  ])('is refused where the server %s', async (cause, answer) => {
    const { server } = await serverThatSays(answer)
    await expect(server.open(udp)).rejects.toThrow(`is not there: it ${cause}; start it`)
  })

  it('is refused where there is no server', async () => {
    const { server, port } = await serverThatSays('')
    for (const tcp of open.splice(0)) await new Promise((resolve) => tcp.close(resolve))
    await expect(server.open(udp)).rejects.toThrow(
      `127.0.0.1:${port} is not there: it cannot be reached (ECONNREFUSED)`,
    )
  })

  it('is in trouble once the server has come back without it, or not at all', async () => {
    const { server } = await serverThatSays(serving('udp/192.0.2.1:5060'), serving('udp/192.0.2.1:5062'))
    await server.open(udp)
    const troubles = await server.troubles()
    expect(troubles.get(udp.name)).toContain('does not listen there, but on udp/192.0.2.1:5062')
    await server.close(udp.name)
    expect(await server.troubles()).toEqual(new Map())
  })
})
