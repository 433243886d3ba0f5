import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ApiError, ConnectionError } from './api-error.ts'
import { kubeMetrics } from './metrics.ts'
import type { Resource } from './resource.ts'
import { StatusWriter, type StatusWriterOptions, type WithStatus } from './status-writer.ts'
import { Arrivals } from './testing/arrivals.ts'
import { ObservedClock } from './testing/observed-clock.ts'

const trunks: Resource<WithStatus> = {
  group: 'sbc.test',
  version: 'v1',
  kind: 'Trunk',
  plural: 'trunks',
  namespaced: true,
}

function trunk(name: string, resourceVersion: string, status?: object): WithStatus {
  return { metadata: { namespace: 'voice', name, uid: `uid-${name}`, resourceVersion }, ...(status && { status }) }
}

interface Write {
  readonly name: string
  readonly sent: WithStatus
  answer(resourceVersion: string): void
  refuse(error: Error): void
}

function setUp(options: Partial<StatusWriterOptions> = {}) {
  const clock = new ObservedClock()
  /** What the API server has, where it is asked. */
  const live = new Map<string, WithStatus>()
  const writes = new Arrivals<Write>()
  const writer = new StatusWriter({
    api: {
      get: async (_resource, { name }) => {
        const object = live.get(name)
        if (object === undefined) throw new ApiError('get', 404, { reason: 'NotFound' })
        return object as never
      },
      apply: (_resource, object, { signal }) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error))
          writes.add({
            name: object.metadata.name,
            sent: object as WithStatus,
            answer: (resourceVersion) =>
              resolve({ ...object, metadata: { ...object.metadata, resourceVersion } } as never),
            refuse: reject,
          })
        }),
    },
    clock,
    metrics: kubeMetrics(),
    log: createLog({ level: 'error', name: 'test', write: () => {} }),
    ...options,
  })
  /** Lets everything that needs no time happen. */
  const settle = () => new Promise(setImmediate)
  return { clock, writes, writer, settle, live }
}

describe('the status writer', () => {
  it('writes a status by itself, for this very object', async () => {
    const { writer, writes } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    const write = await writes.next()
    expect(write.sent).toEqual({
      metadata: { namespace: 'voice', name: 'a', resourceVersion: '5' },
      status: { ready: 1 },
    })
    write.answer('6')
    await writer.stop()
  })

  it('writes nothing when the status is there already, whatever the order of its fields', async () => {
    const { writer, writes, settle } = setUp()
    writer.write(trunks, trunk('a', '5', { x: 1, y: 2 }), { y: 2, x: 1 })
    await settle()
    expect(writes.count).toBe(0)
    await writer.stop()
  })

  it('writes nothing again, be the object seen as before, as after, or changed elsewhere', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    ;(await writes.next()).answer('6')
    await settle()
    clock.advance(10_000)
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    writer.write(trunks, trunk('a', '6', { ready: 1 }), { ready: 1 })
    writer.write(trunks, trunk('a', '7', { ready: 1 }), { ready: 1 })
    await settle()
    expect(writes.count).toBe(0)
    await writer.stop()
  })

  it('writes again what someone else has changed', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    ;(await writes.next()).answer('6')
    await settle()
    clock.advance(10_000)
    writer.write(trunks, trunk('a', '9', { ready: 0 }), { ready: 1 })
    expect((await writes.next()).sent.status).toEqual({ ready: 1 })
    await writer.stop()
  })

  it('writes one object no more than twice a second, and only the newest status', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 0 })
    const first = await writes.next()
    for (const ready of [1, 2, 3]) writer.write(trunks, trunk('a', '5'), { ready })
    first.answer('6')
    await clock.timer((set) => set === 500)
    writer.write(trunks, trunk('a', '6', { ready: 0 }), { ready: 4 })
    clock.advance(499)
    await settle()
    expect(writes.count).toBe(0)
    clock.advance(1)
    expect((await writes.next()).sent.status).toEqual({ ready: 4 })
    await writer.stop()
  })

  it('leaves a write out when the status was taken back in time', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    ;(await writes.next()).answer('6')
    await settle()
    writer.write(trunks, trunk('a', '6', { ready: 1 }), { ready: 0 })
    writer.write(trunks, trunk('a', '6', { ready: 1 }), { ready: 1 })
    clock.advance(500)
    await settle()
    expect(writes.count).toBe(0)
    await writer.stop()
  })

  it('bounds the writes a second over all objects, after a burst', async () => {
    const { writer, writes, clock, settle } = setUp({ rates: { perSecond: 20, burst: 4 } })
    for (let name = 0; name < 24; name++) writer.write(trunks, trunk(`t${name}`, '1'), { ready: 1 })
    const take = async (count: number) => {
      for (let write = 0; write < count; write++) (await writes.next()).answer('2')
      await settle()
      expect(writes.count).toBe(0)
    }
    await take(4)
    clock.advance(500)
    await take(10)
    clock.advance(500)
    await take(10)
    await writer.stop()
    expect(clock.pending).toBe(0)
  })

  it('waits a moment with what may soon be better, and writes only that', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 0 }, 'Soon')
    await settle()
    expect(writes.count).toBe(0)
    clock.advance(300)
    writer.write(trunks, trunk('a', '5'), { ready: 1 }, 'Now')
    const write = await writes.next()
    expect(write.sent.status).toEqual({ ready: 1 })
    write.answer('6')
    await settle()
    writer.write(trunks, trunk('b', '5'), { ready: 0 }, 'Soon')
    clock.advance(1_000)
    expect((await writes.next()).sent.status).toEqual({ ready: 0 })
    await writer.stop()
    expect(clock.pending).toBe(0)
  })

  it('writes no more than 12 statuses a second of trunks that flap, and keeps nobody else waiting', async () => {
    const { writer, writes, clock, settle } = setUp()
    const flapping = Array.from({ length: 200 }, (_, index) => trunk(`t${index}`, '1'))
    let written = 0
    for (let second = 0; second < 20; second++) {
      for (const one of flapping) writer.write(trunks, one, { up: second % 2 }, second % 3 === 0 ? 'Detail' : 'Turn')
      for (let step = 0; step < 10; step++) {
        clock.advance(100)
        await settle()
        for (; writes.count > 0; written++) (await writes.next()).answer('2')
        await settle()
      }
      expect(written).toBeLessThanOrEqual(2 + 12 * (second + 1))
    }
    expect(written).toBeGreaterThan(200)
    // One that turns for the first time is not kept waiting by those, and what a user does even less.
    writer.write(trunks, trunk('quiet', '1'), { up: 0 }, 'Turn')
    writer.write(trunks, trunk('new', '1'), { ready: 1 }, 'Now')
    expect((await writes.next()).name).toBe('new')
    clock.advance(100)
    expect((await writes.next()).name).toBe('quiet')
    await writer.stop()
    expect(clock.pending).toBe(0)
  })

  it('writes a count that changes all the time once in five seconds, and with it what turned', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '1'), { calls: 0 })
    ;(await writes.next()).answer('2')
    await settle()
    for (let calls = 1; calls < 50; calls++) {
      writer.write(trunks, trunk('a', '1'), { calls }, 'Detail')
      clock.advance(100)
      await settle()
    }
    expect(writes.count).toBe(0)
    clock.advance(100)
    expect((await writes.next()).sent.status).toEqual({ calls: 49 })
    await writer.stop()
  })

  it('tries again what failed, with what is wanted by then', async () => {
    const { writer, writes, clock } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    ;(await writes.next()).refuse(new ConnectionError('apply', new Error('gone')))
    await clock.timer((set) => set === 5)
    writer.write(trunks, trunk('a', '5'), { ready: 2 })
    clock.advance(5)
    expect((await writes.next()).sent.status).toEqual({ ready: 2 })
    await writer.stop()
  })

  it('builds on the version that it wrote itself, until a newer one is seen', async () => {
    const { writer, writes, clock, settle } = setUp()
    const versions: (string | undefined)[] = []
    for (const [seen, answer] of [
      ['5', '6'],
      ['5', '8'],
      ['9', '10'],
    ] as const) {
      writer.write(trunks, trunk('a', seen), { for: answer })
      const write = await writes.next()
      versions.push(write.sent.metadata.resourceVersion)
      write.answer(answer)
      await settle()
      clock.advance(1000)
    }
    expect(versions).toEqual(['5', '6', '9'])
    await writer.stop()
  })

  it('looks again when the object has changed meanwhile, and writes then', async () => {
    const { writer, writes, clock, live } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    live.set('a', trunk('a', '7'))
    ;(await writes.next()).refuse(new ApiError('apply', 409, { reason: 'Conflict' }))
    await clock.expire(5)
    expect((await writes.next()).sent.metadata.resourceVersion).toBe('7')
    await writer.stop()
  })

  it.each<[string, number, string | undefined]>([
    ['gone', 404, undefined],
    ['gone before it looked again', 409, undefined],
    ['another one by now', 409, 'new'],
  ])('drops the status of an object that is %s', async (_, code, uid) => {
    const { writer, writes, clock, settle, live } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    if (uid !== undefined) live.set('a', { metadata: { ...trunk('a', '9').metadata, uid } })
    ;(await writes.next()).refuse(new ApiError('apply', code, { reason: 'Conflict' }))
    await settle()
    clock.advance(3_600_000)
    await settle()
    expect([writes.count, clock.pending]).toEqual([0, 0])
    await writer.stop()
  })

  it('does not repeat a status that the API server finds invalid, but writes the next one', async () => {
    const { writer, writes, clock, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 'x' })
    ;(await writes.next()).refuse(new ApiError('apply', 422, { reason: 'Invalid' }))
    await settle()
    clock.advance(3_600_000)
    await settle()
    expect(writes.count).toBe(0)
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    expect((await writes.next()).sent.status).toEqual({ ready: 1 })
    await writer.stop()
  })

  it('says once that a definition lacks a field, and writes when it has it', async () => {
    const lines: string[] = []
    const log = createLog({ level: 'error', name: 'test', write: (line) => lines.push(line) })
    const { writer, writes, clock } = setUp({ log })
    const message = 'failed to create typed patch object (voice/a; sbc.test/v1, Kind=Trunk): .status.ready: field not …'
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    for (let attempt = 0; attempt < 3; attempt++) {
      ;(await writes.next()).refuse(new ApiError('apply', 500, { message }))
      await clock.expire(10_000)
    }
    ;(await writes.next()).answer('6')
    await writer.stop()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('the CustomResourceDefinition of Trunk is older than this program; apply crds/')
  })

  it('knows a new object by its uid, and forgets one that is gone', async () => {
    const { writer, writes, settle } = setUp()
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    ;(await writes.next()).answer('6')
    await settle()
    writer.write(trunks, { metadata: { ...trunk('a', '5').metadata, uid: 'new' } }, { ready: 1 })
    const again = await writes.next()
    expect(again.sent.status).toEqual({ ready: 1 })
    again.answer('8')
    await settle()
    writer.forget(trunks, 'voice/a')
    writer.write(trunks, trunk('a', '5'), { ready: 1 })
    await writes.next()
    await writer.stop()
  })
})
