import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApiError } from './kube/api-error.ts'
import { patience, Rivals } from './rivals.ts'

const { signal } = new AbortController()

/** Rivals of `sbcfleet/ours`, and an API server whose only Lease, `other/theirs`, is in the version that the test sets. */
function setUp() {
  const clock = new ManualClock()
  const lease: { answer: string | number; requests: number } = { answer: '1', requests: 0 }
  const rivals = new Rivals({
    api: {
      get: async () => {
        lease.requests++
        if (typeof lease.answer === 'number') throw new ApiError('GET', lease.answer, {})
        return { metadata: { name: 'theirs', resourceVersion: lease.answer } } as never
      },
    },
    own: 'sbcfleet/ours',
    clock,
  })
  return { clock, lease, isTheirs: () => rivals.isRunBy('other/theirs', signal), rivals }
}

describe('a fleet', () => {
  it.each([undefined, 'sbcfleet/ours'])('is ours when its mark is %s, and nobody is asked', async (mark) => {
    const { rivals, lease } = setUp()
    expect(await rivals.isRunBy(mark, signal)).toBe(false)
    expect(lease.requests).toBe(0)
  })

  it('is theirs as long as their Lease is renewed, and a minute longer', async () => {
    const { clock, lease, isTheirs } = setUp()
    for (let version = 1; version < 20; version++) {
      lease.answer = String(version)
      expect(await isTheirs()).toBe(true)
      clock.advance(10_000)
    }
    clock.advance(patience - 20_000)
    expect(await isTheirs()).toBe(true)
    clock.advance(10_000)
    expect(await isTheirs()).toBe(false)
  })

  it('is theirs again when they come back', async () => {
    const { clock, lease, isTheirs } = setUp()
    await isTheirs()
    clock.advance(patience)
    expect(await isTheirs()).toBe(false)
    lease.answer = '2'
    clock.advance(10_000)
    expect(await isTheirs()).toBe(true)
  })

  it('is ours at once when their Lease is gone', async () => {
    const { clock, lease, isTheirs } = setUp()
    expect(await isTheirs()).toBe(true)
    lease.answer = 404
    clock.advance(10_000)
    expect(await isTheirs()).toBe(false)
  })

  it('is ours after a minute when we may not read their Lease, as when they are uninstalled', async () => {
    const { clock, lease, isTheirs } = setUp()
    lease.answer = 403
    expect(await isTheirs()).toBe(true)
    clock.advance(patience)
    expect(await isTheirs()).toBe(false)
  })

  it("is nobody's while the API server does not answer", async () => {
    const { lease, isTheirs } = setUp()
    lease.answer = 500
    await expect(isTheirs()).rejects.toThrow('500')
  })

  it('costs no request when another one of them has just cost one', async () => {
    const { lease, isTheirs } = setUp()
    await isTheirs()
    await isTheirs()
    expect(lease.requests).toBe(1)
  })
})
