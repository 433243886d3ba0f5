import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { Outbox } from './outbox.ts'

/** As it is on the wire (RFC 6455 §5.2), without masks. */
interface Frame {
  readonly isLast: boolean
  readonly opcode: number
  readonly payload: Buffer
}

const [continuation, text, close] = [0, 1, 8]

it('sends what is small as it is', async () => {
  const { outbox, frames } = await connected()
  await sent(outbox, 'x'.repeat(16_000))
  expect(await frames(1)).toMatchObject([{ isLast: true, opcode: text }])
})

it('sends what is large in parts of less than 16 KiB, and what comes later after it', async () => {
  const { outbox, frames } = await connected()
  const large = 'äöü'.repeat(10_000)
  const all = [sent(outbox, large), sent(outbox, 'small'), sent(outbox, large)]
  expect(outbox.bytes).toBeGreaterThan(100_000)
  await Promise.all(all)
  expect(outbox.bytes).toBe(0)
  const seen = await frames(9)
  expect(seen.map(({ opcode, isLast }) => [opcode, isLast])).toEqual([
    [text, false],
    [continuation, false],
    [continuation, false],
    [continuation, true],
    [text, true],
    [text, false],
    [continuation, false],
    [continuation, false],
    [continuation, true],
  ])
  expect(Math.max(...seen.map(({ payload }) => payload.length + 4))).toBeLessThan(16 * 1024)
  expect(textOf(seen.slice(0, 4))).toBe(large)
  expect(textOf(seen.slice(4, 5))).toBe('small')
  expect(textOf(seen.slice(5))).toBe(large)
})

it('sends what is given as soon as something else has left', async () => {
  const { outbox, frames } = await connected()
  const [first, second] = ['a'.repeat(20_000), 'b'.repeat(40_000)]
  await new Promise<void>((resolve) => outbox.send(Buffer.from(first), () => outbox.send(Buffer.from(second), resolve)))
  const seen = await frames(5)
  expect(seen.map(({ isLast }) => isLast)).toEqual([false, true, false, false, true])
  expect([textOf(seen.slice(0, 2)), textOf(seen.slice(2))]).toEqual([first, second])
})

it('closes after the last word', async () => {
  const { outbox, socket, frames } = await connected()
  void sent(outbox, 'x'.repeat(40_000))
  void sent(outbox, 'last').then(() => socket.close(1000))
  expect((await frames(5)).map(({ opcode }) => opcode)).toEqual([text, continuation, continuation, text, close])
})

it('says of everything that it is over when the connection is cut', async () => {
  const { outbox, socket, peer } = await connected()
  peer.pause()
  const all = [sent(outbox, 'x'.repeat(50_000_000)), sent(outbox, 'small')]
  socket.terminate()
  await expect(Promise.all(all)).resolves.toHaveLength(2)
})

function sent(outbox: Outbox, message: string): Promise<void> {
  return new Promise((resolve) => outbox.send(Buffer.from(message), resolve))
}

function textOf(frames: readonly Frame[]): string {
  return Buffer.concat(frames.map(({ payload }) => payload)).toString()
}

async function connected() {
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'upgrade').then(
    ([incoming, stream, head]) =>
      new Promise<WebSocket>((resolve) => sockets.handleUpgrade(incoming, stream, head, resolve)),
  )
  const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' }
  const { port } = server.address() as AddressInfo
  const key = Buffer.alloc(16).toString('base64')
  const upgrade = request({ port, host: '127.0.0.1', headers: { ...headers, 'sec-websocket-key': key } }).end()
  const [, peer, first] = (await once(upgrade, 'upgrade')) as [unknown, Socket, Buffer]
  const socket = await accepted
  onTestFinished(() => {
    socket.terminate()
    peer.destroy()
    server.close()
  })
  return { socket, peer, outbox: new Outbox(socket), frames: framesOf(peer, first) }
}

/** Resolves with the first so many frames. */
function framesOf(peer: Socket, first: Buffer): (count: number) => Promise<Frame[]> {
  let rest = first
  peer.on('data', (chunk: Buffer) => (rest = Buffer.concat([rest, chunk])))
  return async (count) => {
    const frames: Frame[] = []
    while (frames.length < count) {
      const length = rest.length < 4 ? 0 : rest.readUInt8(1)
      const [from, size] = length === 126 ? [4, rest.readUInt16BE(2)] : [2, length]
      if (rest.length < 4 || rest.length < from + size) {
        await once(peer, 'data')
        continue
      }
      const head = rest.readUInt8(0)
      frames.push({ isLast: head >= 128, opcode: head & 15, payload: rest.subarray(from, from + size) })
      rest = rest.subarray(from + size)
    }
    return frames
  }
}
