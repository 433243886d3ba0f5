import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { kubeMetrics } from './metrics.ts'
import { Bucket, RetryRate } from './retry-rate.ts'
import { WorkQueue } from './work-queue.ts'

function setUp() {
  const clock = new ManualClock()
  const metrics = kubeMetrics()
  return { clock, metrics, queue: new WorkQueue({ name: 'fleet', clock, metrics }) }
}

describe('the work queue', () => {
  it('gives keys out in the order they came', async () => {
    const { queue } = setUp()
    for (const key of ['b', 'a', 'c']) queue.add(key)
    expect([await queue.next(), await queue.next(), await queue.next()]).toEqual(['b', 'a', 'c'])
  })

  it('gives a key out once, however often it was added', async () => {
    const { queue, metrics } = setUp()
    for (let time = 0; time < 100; time++) queue.add('a')
    expect(await queue.next()).toBe('a')
    queue.done('a')
    expect(queue.depth).toBe(0)
    expect(metrics.workQueue.adds.value({ name: 'fleet' })).toBe(1)
  })

  it('does not give a key out while it is worked on, and does afterwards when it was added meanwhile', async () => {
    const { queue } = setUp()
    queue.add('a')
    await queue.next()
    queue.add('a')
    queue.add('a')
    expect(queue.depth).toBe(0)
    const second = queue.next()
    queue.done('a')
    expect(await second).toBe('a')
    queue.done('a')
    expect(queue.depth).toBe(0)
  })

  it('serves those who wait in turn', async () => {
    const { queue } = setUp()
    const takers = [queue.next(), queue.next()]
    queue.add('a')
    queue.add('b')
    expect(await Promise.all(takers)).toEqual(['a', 'b'])
  })

  it('adds later, at the earliest of the times asked for', async () => {
    const { queue, clock } = setUp()
    queue.addAfter('a', 1000)
    queue.addAfter('a', 200)
    queue.addAfter('a', 500)
    clock.advance(199)
    expect(queue.depth).toBe(0)
    clock.advance(1)
    expect(queue.depth).toBe(1)
    await queue.next()
    queue.done('a')
    clock.advance(10_000)
    expect(queue.depth).toBe(0)
    queue.addAfter('b', 0)
    expect(queue.depth).toBe(1)
  })

  it('adds a key that keeps failing later each time, and forgets that when it went well', async () => {
    const { queue, clock } = setUp()
    for (const delay of [5, 10, 20, 40, 80]) {
      queue.addRateLimited('a')
      clock.advance(delay - 1)
      expect(queue.depth).toBe(0)
      clock.advance(1)
      expect(await queue.next()).toBe('a')
      queue.done('a')
    }
    expect(queue.failuresOf('a')).toBe(5)
    queue.forget('a')
    queue.addRateLimited('a')
    clock.advance(5)
    expect(queue.depth).toBe(1)
  })

  it('gives nothing out once it is shut down, and leaves no timer', async () => {
    const { queue, clock } = setUp()
    const taker = queue.next()
    queue.addAfter('a', 1000)
    queue.shutDown()
    queue.add('b')
    queue.addAfter('c', 10)
    queue.addRateLimited('d')
    expect([await taker, await queue.next()]).toEqual([undefined, undefined])
    expect(clock.pending).toBe(0)
  })

  it('measures how long keys wait and how long work takes', async () => {
    const { queue, clock, metrics } = setUp()
    queue.add('a')
    queue.add('b')
    clock.advance(500)
    await queue.next()
    clock.advance(2000)
    await queue.next()
    clock.advance(1000)
    const text = metrics.registry.render()
    expect(text).toContain('workqueue_depth{name="fleet"} 0\n')
    expect(text).toContain('workqueue_queue_duration_seconds_sum{name="fleet"} 3\n')
    expect(text).toContain('workqueue_unfinished_work_seconds{name="fleet"} 4\n')
    expect(text).toContain('workqueue_longest_running_processor_seconds{name="fleet"} 3\n')
    queue.done('a')
    expect(metrics.registry.render()).toContain('workqueue_work_duration_seconds_sum{name="fleet"} 3\n')
  })
})

describe('the rate of retries', () => {
  it('doubles from 5 ms to 1,000 s for a key', () => {
    const rate = new RetryRate(new ManualClock())
    const delays = Array.from({ length: 60 }, () => rate.delayOf('a'))
    expect(delays.slice(0, 4)).toEqual([5, 10, 20, 40])
    expect(delays[17]).toBe(5 * 2 ** 17)
    expect(delays[18]).toBe(1_000_000)
    expect(delays[59]).toBe(1_000_000)
  })

  it('is ten a second over all keys, after the first hundred', () => {
    const clock = new ManualClock()
    const rate = new RetryRate(clock)
    const delays = Array.from({ length: 103 }, (_, key) => rate.delayOf(String(key)))
    expect(delays.slice(0, 100)).toEqual(Array.from({ length: 100 }, () => 5))
    expect(delays.slice(100)).toEqual([100, 200, 300])
    clock.advance(400)
    expect(rate.delayOf('next')).toBe(5)
  })

  it('never saves up more than the burst', () => {
    const clock = new ManualClock()
    const bucket = new Bucket(clock, { perSecond: 1, burst: 2 })
    clock.advance(3_600_000)
    expect([bucket.reserve(), bucket.reserve(), bucket.reserve()]).toEqual([0, 0, 1000])
  })
})
