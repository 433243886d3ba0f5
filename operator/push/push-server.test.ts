import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { sharedToken } from './authenticate.ts'
import { PushServer, type PushServerOptions } from './push-server.ts'
import { ReplicaSocket } from './testing/replica-socket.ts'
import { snapshotOf } from './testing/snapshots.ts'

const fleet = 'voice/edge'
const token = 'a token of the test'
const servers: PushServer[] = []
const log = createLog({ level: 'error', name: 'test', write: () => undefined })

async function start(options: Partial<PushServerOptions> = {}) {
  const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken(token), epoch: 7, ...options })
  servers.push(server)
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 })
  return { server, url, connect: () => ReplicaSocket.connect(url, token) }
}

/** Resolves once the replicas of the fleet are as the test wants them. */
function until(server: PushServer, holds: (replicas: ReturnType<PushServer['replicas']>) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (holds(server.replicas(fleet))) resolve()
    }
    server.onChange(look)
    look()
  })
}

let running: Awaited<ReturnType<typeof start>>
beforeEach(async () => {
  running = await start()
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

describe('deltas', () => {
  it('brings a new replica everything, with the epoch, and knows what it runs from its answer', async () => {
    const { server, connect } = running
    const snapshot = snapshotOf({ inside: 5060, outside: 5080 })
    server.publish(snapshot)
    const replica = await connect()
    replica.hello()
    const delta = await replica.next('delta')
    expect(delta).toMatchObject({ epoch: 7, revision: snapshot.revision, removes: [] })
    expect(delta.upserts).toEqual(snapshot.resources)
    expect(server.replicas(fleet)).toMatchObject([{ replica: 'edge-0', revision: null, pending: true }])
    replica.ack(delta)
    await until(server, ([first]) => first?.revision === snapshot.revision)
    const versions = new Map(snapshot.resources.map(({ key, version }) => [key, version]))
    expect(server.replicas(fleet)).toMatchObject([{ pending: false, errors: [], versions }])
  })

  it('sends a replica that knows something only what differs, and names what is gone', async () => {
    const { server, connect } = running
    const snapshot = snapshotOf({ inside: 5060, outside: 5080 })
    server.publish(snapshot)
    const [inside] = snapshot.resources
    const replica = await connect()
    replica.hello({ revision: 'old', known: { 'Listener/inside': inside?.version ?? '', 'Listener/gone': '1' } })
    const delta = await replica.next('delta')
    expect(delta.upserts).toMatchObject([{ key: 'Listener/outside' }])
    expect(delta.removes).toEqual(['Listener/gone'])
  })

  it('answers the hello of a replica that has everything with an empty delta, so that it can say so', async () => {
    const { server, connect } = running
    const snapshot = snapshotOf({ inside: 5060 })
    server.publish(snapshot)
    const known = Object.fromEntries(snapshot.resources.map(({ key, version }) => [key, version]))
    const replica = await connect()
    replica.hello({ revision: snapshot.revision, known })
    expect(await replica.next('delta')).toMatchObject({ upserts: [], removes: [], revision: snapshot.revision })
  })

  it('serves a replica that came before the first snapshot', async () => {
    const { server, connect } = running
    const replica = await connect()
    replica.hello()
    await until(server, (replicas) => replicas.length === 1)
    server.publish(snapshotOf({ inside: 5060 }))
    expect((await replica.next('delta')).upserts).toHaveLength(1)
  })

  it('sends the same bytes to all replicas that stand at the same base', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }))
    const replicas = [await connect(), await connect()]
    for (const [index, replica] of replicas.entries()) {
      replica.hello({ replica: `edge-${index}` })
      await replica.next('delta')
    }
    expect(replicas[0]?.frames[0]).toBe(replicas[1]?.frames[0])
  })

  it('skips what was published while an answer was awaited, and makes the next delta against that answer', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }))
    const replica = await connect()
    replica.hello()
    const first = await replica.next('delta')
    server.publish(snapshotOf({ inside: 5061, outside: 5080 }))
    server.publish(snapshotOf({ inside: 5060, outside: 5081 }))
    await replica.roundTrip()
    expect(replica.frames).toHaveLength(1)
    replica.ack(first)
    const second = await replica.next('delta')
    expect(second.upserts).toMatchObject([{ key: 'Listener/outside', body: { port: 5081 } }])
    expect(second.nonce).not.toBe(first.nonce)
  })

  it('publishes the same content once', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }))
    const replica = await connect()
    replica.hello()
    replica.ack(await replica.next('delta'))
    await until(server, ([first]) => first?.pending === false)
    server.publish(snapshotOf({ inside: 5060 }))
    await replica.roundTrip()
    expect(replica.frames.filter((frame) => frame.includes('"delta"'))).toHaveLength(1)
  })

  it('passes over an answer to a delta that is not awaited', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }))
    const replica = await connect()
    replica.hello()
    const delta = await replica.next('delta')
    replica.ack(delta, { nonce: 'of another day' })
    await replica.roundTrip()
    expect(server.replicas(fleet)).toMatchObject([{ revision: null, pending: true }])
  })

  it('starts from what the replica has when it says hello again', async () => {
    const { server, connect } = running
    const snapshot = snapshotOf({ inside: 5060, outside: 5080 })
    server.publish(snapshot)
    const replica = await connect()
    replica.hello()
    await replica.next('delta')
    const [inside] = snapshot.resources
    replica.hello({ revision: 'of another leader', known: { 'Listener/inside': inside?.version ?? '' } })
    expect((await replica.next('delta')).upserts).toMatchObject([{ key: 'Listener/outside' }])
  })
})

describe('refusals', () => {
  it('keeps the version that ran before for a resource that was refused, and does not send it again', async () => {
    const { server, connect } = running
    const before = snapshotOf({ inside: 5060, outside: 5080 })
    server.publish(before)
    const replica = await connect()
    replica.hello()
    replica.ack(await replica.next('delta'))
    server.publish(snapshotOf({ inside: 5060, outside: 22 }))
    const delta = await replica.next('delta')
    const [upsert] = delta.upserts as { version: string }[]
    const error = {
      key: 'Listener/outside',
      version: upsert?.version ?? '',
      field: 'body.port',
      code: 'AddressInUse',
      message: 'in use',
    } as const
    replica.ack(delta, { errors: [error] })
    await until(server, ([first]) => first?.errors.length === 1)
    const versions = new Map(before.resources.map(({ key, version }) => [key, version]))
    expect(server.replicas(fleet)).toMatchObject([{ errors: [error], versions, revision: delta.revision }])

    server.publish(snapshotOf({ inside: 5061, outside: 22 }))
    const next = await replica.next('delta')
    expect(next.upserts).toMatchObject([{ key: 'Listener/inside' }])
  })

  it('takes a better answer to the same delta, as when a port became free', async () => {
    const { server, connect } = running
    const snapshot = snapshotOf({ inside: 5060 })
    server.publish(snapshot)
    const replica = await connect()
    replica.hello()
    const delta = await replica.next('delta')
    const version = snapshot.resources[0]?.version ?? ''
    const error = {
      key: 'Listener/inside',
      version,
      field: 'body.port',
      code: 'AddressInUse',
      message: 'in use',
    } as const
    replica.ack(delta, { errors: [error] })
    await until(server, ([first]) => first?.errors.length === 1)
    expect(server.replicas(fleet)[0]?.versions.size).toBe(0)
    replica.ack(delta)
    await until(server, ([first]) => first?.errors.length === 0)
    expect(server.replicas(fleet)[0]?.versions.size).toBe(1)
  })

  it('does not repeat a delta that was refused as a whole, but says so', async () => {
    const { server, connect } = running
    server.publish({ fleet, revision: 'empty', resources: [] })
    const replica = await connect()
    replica.hello({ revision: 'old', known: { 'Listener/inside': '1' } })
    const delta = await replica.next('delta')
    expect(delta.removes).toEqual(['Listener/inside'])
    replica.ack(delta, { revision: 'old', refused: 'EmptySnapshot' })
    await until(server, ([first]) => first?.refused === 'EmptySnapshot')
    await replica.roundTrip()
    expect(replica.frames.filter((frame) => frame.includes('"delta"'))).toHaveLength(1)
    expect(server.replicas(fleet)[0]?.versions).toEqual(new Map([['Listener/inside', '1']]))

    server.publish(snapshotOf({ outside: 5080 }))
    expect(await replica.next('delta')).toMatchObject({ removes: ['Listener/inside'] })
  })
})

describe('members', () => {
  it('are the replicas that run something, told to all of them', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }), { replicas: 2 })
    const first = await connect()
    first.hello({ replica: 'edge-0' })
    first.ack(await first.next('delta'))
    await first.roundTrip()
    expect(first.frames.filter((frame) => frame.includes('"members"'))).toHaveLength(0)
    const second = await connect()
    second.hello({ replica: 'edge-1' })
    second.ack(await second.next('delta'))
    const expected = { type: 'members', epoch: 7, replicas: ['edge-0', 'edge-1'] }
    expect(await first.next('members')).toEqual(expected)
    expect(await second.next('members')).toEqual(expected)
  })

  it('lose a draining replica at once', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }), { replicas: 2 })
    const replicas = [await connect(), await connect()] as const
    for (const [index, replica] of replicas.entries()) {
      replica.hello({ replica: `edge-${index}` })
      replica.ack(await replica.next('delta'))
    }
    await replicas[1].next('members')
    replicas[0].send({ type: 'drain' })
    expect((await replicas[1].next('members')).replicas).toEqual(['edge-1'])
    expect(server.replicas(fleet)).toMatchObject([{ draining: true }, { draining: false }])
  })

  it('are told to a replica that comes back', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }), { replicas: 1 })
    const first = await connect()
    first.hello()
    first.ack(await first.next('delta'))
    await first.next('members')
    first.socket.terminate()
    await until(server, (replicas) => replicas.length === 0)
    const again = await connect()
    again.hello({ instance: 'second', revision: 'something', known: {} })
    expect((await again.next('members')).replicas).toEqual(['edge-0'])
  })
})

describe('connections', () => {
  it.each([
    ['another replica', { replica: 'edge-1' }, 'the credentials are for replica edge-0, not for edge-1'],
    ['another fleet', { fleet: 'voice/core' }, 'the credentials are for fleet voice/edge, not for voice/core'],
  ])('refuses credentials of %s', async (_what, hello, reason) => {
    const { url } = await start({ authenticate: () => ({ fleet, replica: 'edge-0' }) })
    const replica = await ReplicaSocket.connect(url, token)
    replica.hello(hello)
    expect((await replica.next('bye')).reason).toBe(reason)
    await replica.closed
  })

  it('refuses another version of the protocol, and says what to do', async () => {
    const replica = await running.connect()
    replica.hello({ schema: 99 })
    expect((await replica.next('bye')).reason).toContain('run the same release on both')
    await replica.closed
  })

  it('gives the name to the newer process, and tells the older one', async () => {
    const { server, connect } = running
    const older = await connect()
    older.hello({ instance: 'older' })
    await until(server, (replicas) => replicas.length === 1)
    const newer = await connect()
    newer.hello({ instance: 'newer' })
    expect((await older.next('bye')).reason).toBe('another process, newer, runs as edge-0 now')
    await older.closed
    expect(server.replicas(fleet)).toMatchObject([{ instance: 'newer' }])
  })

  it.each([
    ['text that is not JSON', '{', 'not JSON'],
    ['a message that does not exist', '{"type":"shout"}', 'not a message of the protocol: type'],
    ['a field that does not exist', '{"type":"drain","now":true}', 'not a message of the protocol'],
    ['an answer before hello', '{"type":"ack","nonce":"1","revision":null,"errors":[]}', 'ack before hello'],
  ])('says goodbye to %s', async (_what, text, reason) => {
    const replica = await running.connect()
    replica.socket.send(text)
    expect((await replica.next('bye')).reason).toContain(reason)
    await replica.closed
  })

  it('says goodbye to a binary message', async () => {
    const replica = await running.connect()
    replica.socket.send(Buffer.from('{}'))
    expect((await replica.next('bye')).reason).toContain('binary')
    await replica.closed
  })

  it('cuts off a message that is too large', async () => {
    const { connect } = await start({ limits: { messageBytes: 1000 } })
    const replica = await connect()
    replica.socket.send('x'.repeat(1001))
    expect(await replica.closed).toBe(1009)
  })

  it('says goodbye to a flood', async () => {
    const { connect } = await start({ limits: { messagesAtOnce: 10, messagesPerSecond: 1 } })
    const replica = await connect()
    replica.hello()
    for (let count = 0; count < 20; count++) replica.send({ type: 'drain' })
    expect((await replica.next('bye')).reason).toBe('too many messages')
    await replica.closed
  })

  it('cuts off who does not say hello', async () => {
    const clock = new ManualClock()
    const { connect } = await start({ clock, limits: { heartbeatMilliseconds: 10_000 } })
    const replica = await connect()
    clock.advance(5_000)
    expect((await replica.next('bye')).reason).toContain('no hello came')
    await replica.closed
  })

  it('cuts off who does not answer a delta', async () => {
    const clock = new ManualClock()
    const { server, connect } = await start({ clock })
    server.publish(snapshotOf({ inside: 5060 }))
    const replica = await connect()
    replica.hello()
    await replica.next('delta')
    for (let beat = 0; beat < 30; beat++) {
      await replica.roundTrip()
      clock.advance(2_000)
    }
    expect((await replica.next('bye')).reason).toBe('the delta was not answered in time')
    await replica.closed
  })

  it('cuts off who does not answer a ping, and keeps who does', async () => {
    const clock = new ManualClock()
    const { server, connect } = await start({ clock })
    const [deaf, awake] = [await connect(), await connect()]
    deaf.hello({ replica: 'edge-0' })
    awake.hello({ replica: 'edge-1' })
    await until(server, (replicas) => replicas.length === 2)
    deaf.socket.pause()
    for (let beat = 0; beat < 3; beat++) {
      const pinged = once(awake.socket, 'ping')
      clock.advance(2_000)
      await pinged
      await awake.roundTrip()
    }
    await until(server, (replicas) => replicas.length === 1)
    expect(server.replicas(fleet)).toMatchObject([{ replica: 'edge-1' }])
  })

  it('tells the replicas of a fleet that was deleted', async () => {
    const { server, connect } = running
    server.publish(snapshotOf({ inside: 5060 }))
    const replica = await connect()
    replica.hello()
    await replica.next('delta')
    server.forget(fleet)
    expect((await replica.next('bye')).reason).toBe('the fleet voice/edge was deleted')
    await replica.closed
  })

  it('shows what replicas report', async () => {
    const { server, connect } = running
    const replica = await connect()
    replica.hello()
    replica.send({ type: 'report', whole: true, targets: [], registrations: [], gone: [], calls: 3 })
    await until(server, ([first]) => first?.report?.calls === 3)
  })
})

describe('a new leader', () => {
  it('is told of an epoch that a replica has seen, and sends what it published again under its own', async () => {
    const seen: number[] = []
    const { server, connect } = await start({ epoch: -1, onHigherEpoch: (epoch) => seen.push(epoch) })
    const replica = await connect()
    replica.hello({ epoch: 4 })
    await until(server, (replicas) => replicas.length === 1)
    expect(seen).toEqual([4])
    server.lead(5)
    const snapshot = snapshotOf({ inside: 5060 })
    server.publish(snapshot)
    replica.ack(await replica.next('delta'))
    await until(server, ([first]) => first?.pending === false)
    server.lead(6)
    expect(await replica.next('delta')).toMatchObject({ epoch: 6, revision: snapshot.revision, upserts: [] })
  })
})
