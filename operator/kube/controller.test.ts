import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { Controller, TerminalError, type Outcome } from './controller.ts'
import { kubeMetrics } from './metrics.ts'
import { Arrivals } from './testing/arrivals.ts'
import { ObservedClock } from './testing/observed-clock.ts'

interface Run {
  readonly key: string
  readonly signal: AbortSignal
  end(outcome?: Outcome): void
  fail(error: unknown): void
}

function setUp(workers = 1) {
  const clock = new ObservedClock()
  const metrics = kubeMetrics()
  const runs = new Arrivals<Run>()
  const lines: string[] = []
  const controller = new Controller({
    name: 'fleet',
    workers,
    clock,
    metrics,
    log: createLog({ level: 'info', name: 'test', write: (line) => lines.push(line) }),
    reconcile: (key, signal) =>
      new Promise<Outcome | void>((resolve, reject) => {
        runs.add({ key, signal, end: resolve, fail: reject })
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      }),
  })
  controller.start()
  const counted = (result: string) => metrics.controller.reconciles.value({ controller: 'fleet', result })
  return { clock, metrics, runs, controller, counted, lines }
}

describe('the controller', () => {
  it('works on as many keys at once as it has workers, and on each by one', async () => {
    const { controller, runs, counted } = setUp(2)
    for (const key of ['a', 'b', 'c']) controller.enqueue(key)
    const [a, b] = [await runs.next(), await runs.next()]
    expect([a.key, b.key, runs.count]).toEqual(['a', 'b', 0])
    controller.enqueue('a')
    b.end()
    const c = await runs.next()
    expect(c.key).toBe('c')
    c.end()
    a.end()
    expect((await runs.next()).key).toBe('a')
    await controller.stop()
    expect(counted('success')).toBe(3)
  })

  it('does what was added before it started', async () => {
    const { controller, runs } = setUp()
    controller.enqueue('a')
    expect((await runs.next()).key).toBe('a')
    await controller.stop()
  })

  it('tries again after a failure, later each time, and from the start after success', async () => {
    const { controller, runs, clock, counted } = setUp()
    controller.enqueue('a')
    for (const delay of [5, 10, 20]) {
      ;(await runs.next()).fail(new Error('no'))
      await clock.expire(delay)
    }
    ;(await runs.next()).end({ after: 500 })
    await clock.expire(500)
    ;(await runs.next()).fail('not even an Error')
    await clock.expire(5)
    await runs.next()
    await controller.stop()
    expect([counted('error'), counted('requeue_after')]).toEqual([4, 1])
  })

  it('does not try again what cannot be cured, but hears of the next change', async () => {
    const { controller, runs, clock, metrics } = setUp()
    controller.enqueue('a')
    ;(await runs.next()).fail(new TerminalError('the spec is wrong'))
    controller.enqueue('b')
    ;(await runs.next()).end()
    controller.enqueue('a')
    const again = await runs.next()
    expect(again.key).toBe('a')
    again.end()
    expect(metrics.controller.terminalErrors.value({ controller: 'fleet' })).toBe(1)
    await controller.stop()
    expect(clock.pending).toBe(0)
  })

  it('outlives mistakes of the program, and counts them', async () => {
    const { controller, runs, clock, metrics, lines } = setUp()
    controller.enqueue('a')
    ;(await runs.next()).fail(new TypeError('undefined is not a function'))
    await clock.expire(5)
    ;(await runs.next()).end()
    await controller.stop()
    expect(metrics.controller.panics.value({ controller: 'fleet' })).toBe(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('undefined is not a function')
  })

  it('aborts a reconciliation that takes too long, and tries again', async () => {
    const { controller, runs, clock, metrics } = setUp()
    controller.enqueue('a')
    const slow = await runs.next()
    await clock.expire(60_000)
    expect(slow.signal.aborted).toBe(true)
    await clock.expire(5)
    ;(await runs.next()).end()
    await controller.stop()
    expect(metrics.controller.timeouts.value({ controller: 'fleet' })).toBe(1)
    expect(metrics.controller.seconds.count({ controller: 'fleet' })).toBe(2)
  })

  it('does not begin with a key that it was given as it is stopped', async () => {
    const { controller, runs } = setUp()
    await new Promise(setImmediate)
    controller.enqueue('a')
    await controller.stop()
    expect(runs.count).toBe(0)
  })

  it('aborts what runs when it is stopped, and does not count that as a failure', async () => {
    const { controller, runs, clock, counted } = setUp()
    controller.enqueue('a')
    controller.enqueue('b')
    const running = await runs.next()
    await controller.stop()
    expect(running.signal.aborted).toBe(true)
    expect([counted('error'), runs.count, clock.pending]).toEqual([0, 0, 0])
  })
})
