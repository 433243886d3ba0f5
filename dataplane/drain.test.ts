import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Readiness } from '#lib/ready.ts'
import { Drain, type DrainableCalls } from './drain.ts'

class CountedCalls implements DrainableCalls {
  count: number
  refusing = false
  ended: string | undefined
  silent = false
  readonly #listeners: (() => void)[] = []

  constructor(count: number) {
    this.count = count
  }

  refuseNewCalls(): void {
    this.refusing = true
  }

  onCountChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  endAll(reason: string): Promise<void> {
    this.ended = reason
    if (this.silent) return new Promise(() => undefined)
    this.set(0)
    return Promise.resolve()
  }

  set(count: number): void {
    this.count = count
    for (const listener of this.#listeners) listener()
  }
}

function setUp(count: number) {
  const clock = new ManualClock()
  const calls = new CountedCalls(count)
  const readiness = new Readiness()
  const announced: string[] = []
  const drain = new Drain({
    calls,
    readiness,
    announce: () => announced.push(readiness.ready ? 'ready' : 'not ready'),
    handOver: () => Promise.resolve(),
    deadlineMilliseconds: 30_000,
    clock,
    log: createLog({ level: 'error', name: 'test', write: () => undefined }),
  })
  return { clock, calls, readiness, announced, drain }
}

describe('Drain', () => {
  it('is not ready, tells the control side and refuses new calls, in this order and at once', () => {
    const { calls, readiness, announced, drain } = setUp(1)
    void drain.begin()
    expect(readiness.waitingFor).toEqual(['draining'])
    expect(announced).toEqual(['not ready'])
    expect(calls.refusing).toBe(true)
    expect(calls.ended).toBeUndefined()
  })

  it('is done when the last call has ended by itself', async () => {
    const { clock, calls, drain } = setUp(2)
    const done = drain.begin()
    calls.set(1)
    calls.set(0)
    await done
    expect(calls.ended).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  it('is done at once when there is no call', async () => {
    const { clock, drain } = setUp(0)
    await drain.begin()
    expect(clock.pending).toBe(0)
  })

  it('ends the calls that are left at the deadline', async () => {
    const { clock, calls, drain } = setUp(2)
    const done = drain.begin()
    clock.advance(29_999)
    expect(calls.ended).toBeUndefined()
    clock.advance(1)
    await done
    expect(calls.ended).toBe('the replica is being stopped')
  })

  it('does not wait for ever for peers that do not answer the BYE', async () => {
    const { clock, calls, drain } = setUp(1)
    calls.silent = true
    const done = drain.begin(0)
    clock.advance(0)
    await Promise.resolve()
    expect(calls.ended).toBe('the replica is being stopped')
    clock.advance(2_000)
    await done
  })

  it('begins once, however often it is asked', async () => {
    const { announced, drain } = setUp(0)
    await Promise.all([drain.begin(), drain.begin()])
    expect(announced).toHaveLength(1)
    expect(drain.begun).toBe(true)
  })
})
