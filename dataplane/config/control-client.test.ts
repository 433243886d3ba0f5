import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { FromReplica, type ToReplica } from '#api/wire.ts'
import type { Timer } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { stringifyWithSecrets } from '#lib/secret.ts'
import { freePorts } from '../../test/sip/free-port.ts'
import { Applier } from './apply.ts'
import { ControlClient, type ControlClientOptions } from './control-client.ts'
import { trunkResource } from './testing/resources.ts'

/** A clock that shows what it is asked to wait for. */
class ShownClock extends ManualClock {
  readonly delays: number[] = []
  #wake: (() => void) | undefined

  override after(milliseconds: number, run: () => void): Timer {
    this.delays.push(milliseconds)
    this.#wake?.()
    return super.after(milliseconds, run)
  }

  async nextDelay(seen: number): Promise<number> {
    while (this.delays.length <= seen) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.delays[seen] ?? 0
  }
}

/** The bare control side of one connection. */
class Control {
  readonly #socket: WebSocket
  readonly #waiting: FromReplica[] = []
  #wake: (() => void) | undefined
  readonly closed: Promise<unknown>

  constructor(socket: WebSocket) {
    this.#socket = socket
    this.closed = once(socket, 'close')
    socket.on('message', (data: Buffer) => {
      this.#waiting.push(FromReplica.parse(JSON.parse(data.toString())))
      this.#wake?.()
    })
  }

  send(message: ToReplica | string): void {
    this.#socket.send(typeof message === 'string' ? message : stringifyWithSecrets(message))
  }

  delta(nonce: string, delta: { epoch?: number; revision?: string; upserts?: unknown[]; removes?: string[] }): void {
    this.send({ type: 'delta', nonce, epoch: 1, revision: nonce, upserts: [], removes: [], ...delta })
  }

  terminate(): void {
    this.#socket.terminate()
  }

  close(): void {
    this.#socket.close()
  }

  async next<T extends FromReplica['type']>(type: T): Promise<Extract<FromReplica, { type: T }>> {
    for (;;) {
      const message = this.#waiting.shift()
      if (message?.type === type) return message as Extract<FromReplica, { type: T }>
      if (message === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Resolves when the replica has read everything sent so far; true when it has said nothing but what was taken. */
  async isSilent(): Promise<boolean> {
    this.#socket.ping()
    await once(this.#socket, 'pong')
    return this.#waiting.length === 0
  }
}

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function listen(): Promise<{ url: string; accept: () => Promise<Control>; tokens: (string | undefined)[] }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  ends.push(() => {
    for (const socket of server.clients) socket.terminate()
    return new Promise((resolve) => server.close(resolve))
  })
  const arrived: Control[] = []
  const tokens: (string | undefined)[] = []
  let wake: (() => void) | undefined
  server.on('connection', (socket, request) => {
    tokens.push(request.headers.authorization)
    arrived.push(new Control(socket))
    wake?.()
  })
  const accept = async (): Promise<Control> => {
    for (;;) {
      const control = arrived.shift()
      if (control !== undefined) return control
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, accept, tokens }
}

/** Where nobody listens. */
async function closedUrl(): Promise<string> {
  const [port = 0] = await freePorts(1)
  return `ws://127.0.0.1:${port}`
}

/** Time to the next report when `random` gives 1, in milliseconds. */
const beat = 11_000

function start(urls: readonly string[], changes: Partial<ControlClientOptions> = {}) {
  const clock = new ShownClock()
  const log = createLog({ level: 'error', name: 'test', write: () => undefined })
  const sockets = { open: () => Promise.reject(new Error('no sockets here')), reload: () => {}, close: async () => {} }
  const applier = new Applier({ fleet: 'voice/edge', addresses: ['127.0.0.1'], sockets, clock, log })
  const members: unknown[] = []
  let calls = 0
  const client = new ControlClient({
    urls,
    lookup: () => Promise.reject(new Error('no name is looked up')),
    token: () => Promise.resolve('token'),
    fleet: 'voice/edge',
    replica: 'edge-0',
    instance: 'first',
    applier,
    report: () => ({ targets: [], registrations: [], calls }),
    onMembers: (epoch, replicas) => members.push({ epoch, replicas }),
    onFindings: () => undefined,
    onConnection: () => undefined,
    clock,
    log,
    random: () => 0.5,
    ...changes,
  })
  ends.push(() => client.stop())
  client.start()
  const setCalls = (count: number) => {
    calls = count
    client.reportSoon()
  }
  return { client, applier, clock, members, setCalls }
}

describe('deltas', () => {
  it('are taken one at a time, in order, and each is answered', async () => {
    const { url, accept } = await listen()
    const { applier } = start([url])
    const control = await accept()
    expect(await control.next('hello')).toMatchObject({
      fleet: 'voice/edge',
      replica: 'edge-0',
      revision: null,
      known: {},
    })
    control.delta('one', { upserts: [trunkResource('a'), trunkResource('b')] })
    control.delta('two', { removes: ['Trunk/a'] })
    control.delta('three', { upserts: [{ key: 'Trunk/c', version: '7' }] })
    expect(await control.next('ack')).toEqual({ type: 'ack', nonce: 'one', revision: 'one', errors: [] })
    expect(await control.next('ack')).toMatchObject({ nonce: 'two', revision: 'two' })
    expect(await control.next('ack')).toMatchObject({ nonce: 'three', errors: [{ key: 'Trunk/c', code: 'Invalid' }] })
    expect([...(applier.running.current?.trunks.keys() ?? [])]).toEqual(['b'])
  })

  it('that would leave nothing are refused', async () => {
    const { url, accept } = await listen()
    start([url])
    const control = await accept()
    control.delta('one', { upserts: [trunkResource('a')] })
    await control.next('ack')
    control.delta('two', { removes: ['Trunk/a'] })
    expect(await control.next('ack')).toMatchObject({ nonce: 'two', revision: 'one', refused: 'EmptySnapshot' })
  })

  it('of a lower epoch than was seen are refused', async () => {
    const { url, accept } = await listen()
    const { applier, members } = start([url])
    const control = await accept()
    control.delta('new', { epoch: 5, upserts: [trunkResource('a')] })
    await control.next('ack')
    control.delta('old', { epoch: 4, upserts: [trunkResource('b')] })
    expect(await control.next('ack')).toMatchObject({ nonce: 'old', revision: 'new', refused: 'OldEpoch' })
    control.send({ type: 'members', epoch: 4, replicas: ['edge-9'] })
    control.send({ type: 'members', epoch: 5, replicas: ['edge-0'] })
    await control.isSilent()
    expect(members).toEqual([{ epoch: 5, replicas: ['edge-0'] }])
    expect(applier.running.current?.trunks.has('b')).toBe(false)
  })

  it('from a side that does not know what runs by now are answered with what does', async () => {
    const [first, second] = [await listen(), await listen()]
    const { applier } = start([first.url, second.url])
    const [leader, follower] = [await first.accept(), await second.accept()]
    await follower.next('hello')
    leader.delta('one', { upserts: [trunkResource('a'), trunkResource('b')] })
    await leader.next('ack')
    follower.delta('two', { epoch: 2, upserts: [trunkResource('c')] })
    const hello = await follower.next('hello')
    expect(hello).toMatchObject({ epoch: 2, revision: 'one' })
    expect(Object.keys(hello.known)).toEqual(['Trunk/a', 'Trunk/b'])
    follower.delta('three', { epoch: 2, upserts: [trunkResource('c')], removes: ['Trunk/a', 'Trunk/b'] })
    expect(await follower.next('ack')).toMatchObject({ nonce: 'three', revision: 'three' })
    expect([...(applier.running.current?.trunks.keys() ?? [])]).toEqual(['c'])
  })
})

describe('a lost connection', () => {
  it('is made again, with what runs by then, and a token that was read anew', async () => {
    const { url, accept, tokens } = await listen()
    let count = 0
    const { clock } = start([url], { token: () => Promise.resolve(`token ${++count}`) })
    const first = await accept()
    first.delta('one', { upserts: [trunkResource('a')] })
    await first.next('ack')
    const seen = clock.delays.length
    first.terminate()
    clock.advance(await clock.nextDelay(seen))
    const second = await accept()
    const { known, revision } = await second.next('hello')
    expect({ known, revision }).toEqual({ known: { 'Trunk/a': trunkResource('a').version }, revision: 'one' })
    expect(tokens).toEqual(['Bearer token 1', 'Bearer token 2'])
  })

  it('is tried for again and again: soon at first, and at random up to 15 s in the end', async () => {
    const { clock } = start([await closedUrl()], { random: () => 1 })
    const delays: number[] = []
    for (let index = 0; delays.length < 12; index++) {
      const delay = await clock.nextDelay(index)
      if (delay === beat) continue
      delays.push(delay)
      clock.advance(delay)
    }
    expect(delays).toEqual([250, 500, 500, 500, 500, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000])
  })

  it('is not hurried for after a goodbye', async () => {
    const { url, accept } = await listen()
    const { clock } = start([url], { random: () => 1 })
    const control = await accept()
    await control.next('hello')
    const seen = clock.delays.length
    control.send({ type: 'bye', reason: 'another process runs as edge-0' })
    control.close()
    // Whatever is heard begins the watch for silence anew, the goodbye too.
    expect(await clock.nextDelay(seen)).toBe(35_000)
    expect(await clock.nextDelay(seen + 1)).toBe(15_000)
  })

  it('is cut by the replica when nothing is heard', async () => {
    const { url, accept } = await listen()
    const { clock } = start([url])
    const control = await accept()
    await control.next('hello')
    clock.advance(35_000)
    await control.closed
  })

  it.each(['{', '{"type":"delta"}', '{"type":"shout"}'])('follows what is not of the protocol: %s', async (text) => {
    const { url, accept } = await listen()
    start([url])
    const control = await accept()
    await control.next('hello')
    control.send(text)
    await control.closed
  })
})

describe('reports', () => {
  it('go out once for many changes, after 200 ms, and not at all when nothing is different', async () => {
    const { url, accept } = await listen()
    const { clock, setCalls } = start([url])
    const control = await accept()
    expect((await control.next('report')).calls).toBe(0)
    for (let calls = 1; calls <= 5; calls++) setCalls(calls)
    clock.advance(199)
    expect(await control.isSilent()).toBe(true)
    clock.advance(1)
    expect((await control.next('report')).calls).toBe(5)
    setCalls(5)
    clock.advance(200)
    expect(await control.isSilent()).toBe(true)
  })

  it('go out on a slow beat, changed or not', async () => {
    const { url, accept } = await listen()
    const { clock } = start([url])
    const control = await accept()
    await control.next('report')
    clock.advance(9_999)
    expect(await control.isSilent()).toBe(true)
    clock.advance(1)
    await control.next('report')
    clock.advance(10_000)
    await control.next('report')
  })

  it('quote no more of the network than the control side takes', async () => {
    const { url, accept } = await listen()
    const detail = 'x'.repeat(10_000)
    const target = { trunk: 'a', target: 'a', state: 'Down', since: 0, detail } as const
    start([url], { report: () => ({ targets: [target], registrations: [], calls: 0 }) })
    const control = await accept()
    expect((await control.next('report')).targets[0]?.detail).toHaveLength(500)
  })
})

describe('drain', () => {
  it('is told at once, and again after every connection', async () => {
    const { url, accept } = await listen()
    const { client, clock } = start([url])
    const first = await accept()
    await first.next('hello')
    client.drain()
    await first.next('drain')
    const seen = clock.delays.length
    first.terminate()
    clock.advance(await clock.nextDelay(seen))
    const second = await accept()
    await second.next('hello')
    await second.next('drain')
  })
})

describe('a control side by name', () => {
  it('is reached at the addresses of the name', async () => {
    const control = await listen()
    const asked: string[] = []
    const { client } = start([control.url.replace('127.0.0.1', 'control.example')], {
      lookup: (host) => {
        asked.push(host)
        return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
      },
    })
    await (await control.accept()).next('hello')
    expect(asked).toEqual(['control.example'])
    expect(client.connected).toBe(true)
  })
})
