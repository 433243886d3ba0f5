import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApiError, ConnectionError } from './api-error.ts'
import { kubeMetrics } from './metrics.ts'
import { LeaderElection, type Lease, type LeaderElectionOptions } from './leader-election.ts'
import { microTime } from './micro-time.ts'

/** One Lease with the rules of the API server: versions must match, and what is not there cannot be replaced. */
class OneLease {
  lease: Lease | undefined
  version = 0
  /** What happens to candidates: nothing, an error for each request, or no answer at all. */
  readonly trouble = new Map<string, 'error' | 'silence'>()
  readonly writes: string[] = []

  apiOf(identity: string): LeaderElectionOptions['api'] {
    const guarded = async <R>(signal: AbortSignal | undefined, answer: () => R): Promise<R> => {
      const trouble = this.trouble.get(identity)
      if (trouble === 'error') throw new ConnectionError('lease', new Error('unreachable'))
      if (trouble === 'silence') {
        await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
      }
      return answer()
    }
    const written = (lease: Lease): Lease => {
      this.version++
      this.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(this.version) } }
      this.writes.push(`${lease.spec?.holderIdentity} ${lease.spec?.leaseTransitions}`)
      return this.lease
    }
    return {
      get: (_resource, _name, signal) =>
        guarded(signal, () => {
          if (this.lease === undefined) throw new ApiError('get', 404, { reason: 'NotFound' })
          return this.lease as never
        }),
      create: (_resource, lease, options) =>
        guarded(options?.signal, () => {
          if (this.lease !== undefined) throw new ApiError('create', 409, { reason: 'AlreadyExists' })
          return written(lease as Lease) as never
        }),
      replace: (_resource, lease, signal) =>
        guarded(signal, () => {
          if (this.lease === undefined) throw new ApiError('replace', 404, { reason: 'NotFound' })
          if (this.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) {
            throw new ApiError('replace', 409, { reason: 'Conflict' })
          }
          return written(lease as Lease) as never
        }),
    }
  }
}

function setUp(...identities: string[]) {
  const clock = new ManualClock()
  const api = new OneLease()
  const news: string[] = []
  const metrics = kubeMetrics()
  const candidates = identities.map(
    (identity) =>
      new LeaderElection({
        api: api.apiOf(identity),
        lease: { namespace: 'sbc', name: 'operator' },
        identity,
        clock,
        metrics,
        random: () => 0.5,
        log: createLog({ level: 'error', name: 'test', write: () => {} }),
        onElected: (epoch) => news.push(`${identity} elected ${epoch}`),
        onLost: () => news.push(`${identity} lost`),
      }),
  )
  /** Lets time pass in small steps, and everything that is asked in a step be answered in it. */
  const pass = async (seconds: number) => {
    for (let step = 0; step < seconds * 10; step++) {
      clock.advance(100)
      await new Promise(setImmediate)
    }
  }
  const start = async () => {
    for (const candidate of candidates) {
      candidate.start()
      await new Promise(setImmediate)
    }
  }
  return { clock, api, news, metrics, candidates, pass, start }
}

describe('the leader election', () => {
  it('elects one, who stays as long as it renews', async () => {
    const { candidates, news, pass, start, api } = setUp('a', 'b', 'c')
    await start()
    await pass(60)
    expect(news).toEqual(['a elected 0'])
    expect(candidates.map(({ epoch, holder }) => [epoch, holder])).toEqual([
      [0, 'a'],
      [undefined, 'a'],
      [undefined, 'a'],
    ])
    expect(api.writes).toHaveLength(31)
  })

  it('writes the Lease and the metric that others read', async () => {
    const { start, api, clock, metrics } = setUp('a')
    expect(metrics.registry.render()).toContain('leader_election_master_status{name="operator"} 0\n')
    await start()
    expect(metrics.registry.render()).toContain('leader_election_master_status{name="operator"} 1\n')
    expect(api.lease).toEqual({
      metadata: { namespace: 'sbc', name: 'operator', resourceVersion: '1' },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        leaseTransitions: 0,
        acquireTime: microTime(clock.wallTime()),
        renewTime: microTime(clock.wallTime()),
      },
    })
    expect(microTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))).toBe('2026-01-02T03:04:05.678000Z')
  })

  it('hands over at once to another one, under the next epoch, when the leader stops', async () => {
    const { candidates, news, pass, start, api } = setUp('a', 'b')
    await start()
    await candidates[0]?.stop()
    expect(api.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 })
    await pass(2.2)
    expect(news).toEqual(['a elected 0', 'b elected 1'])
  })

  it('replaces a leader that died without a word within 17.2 s', async () => {
    const { candidates, news, pass, start, api } = setUp('a', 'b')
    await start()
    await pass(7)
    api.trouble.set('a', 'silence')
    await pass(17.2)
    expect(news).toContain('b elected 1')
    expect(candidates[1]?.epoch).toBe(1)
  })

  it.each(['error', 'silence'] as const)(
    'makes a leader that meets %s step down before another one leads',
    async (trouble) => {
      const { candidates, news, pass, start, api } = setUp('a', 'b')
      await start()
      await pass(3)
      api.trouble.set('a', trouble)
      await pass(10)
      expect(candidates[0]?.epoch).toBeUndefined()
      expect(news).toEqual(['a elected 0', 'a lost'])
      await pass(10)
      expect(news).toEqual(['a elected 0', 'a lost', 'b elected 1'])
      api.trouble.delete('a')
      await pass(30)
      expect(candidates.map(({ holder }) => holder)).toEqual(['b', 'b'])
      expect(news).toHaveLength(3)
    },
  )

  it('knows by the clock that it no longer leads, before any timer of it has run', async () => {
    const { candidates, clock, start } = setUp('a')
    const epochs: (number | undefined)[] = []
    // Set before the election sets any: as when the whole process was paused, and all its timers are due at once.
    clock.after(9_999, () => epochs.push(candidates[0]?.epoch))
    clock.after(10_000, () => epochs.push(candidates[0]?.epoch))
    await start()
    clock.advance(10_000)
    expect(epochs).toEqual([0, undefined])
  })

  it('rides out a short trouble of the API server', async () => {
    const { news, pass, start, api } = setUp('a', 'b')
    await start()
    await pass(4)
    api.trouble.set('a', 'error').set('b', 'error')
    await pass(7)
    api.trouble.clear()
    await pass(30)
    expect(news).toEqual(['a elected 0'])
  })

  it('steps down when someone else took the Lease by hand', async () => {
    const { news, pass, start, api } = setUp('a')
    await start()
    api.lease = {
      metadata: { namespace: 'sbc', name: 'operator', resourceVersion: '77' },
      spec: { holderIdentity: 'hand', leaseDurationSeconds: 15, leaseTransitions: 5 },
    }
    await pass(4.2)
    expect(news).toEqual(['a elected 0', 'a lost'])
    await pass(17.2)
    expect(news.at(-1)).toBe('a elected 6')
  })

  it('goes on under a higher epoch when the Lease was deleted', async () => {
    const { candidates, news, pass, start, api } = setUp('a', 'b')
    await start()
    await candidates[0]?.stop()
    await pass(3)
    api.lease = undefined
    await pass(5)
    expect(news).toEqual(['a elected 0', 'b elected 1', 'b elected 2'])
  })

  it('raises its epoch above one that somebody has seen', async () => {
    const { candidates, news, pass, start, api } = setUp('a')
    await start()
    candidates[0]?.exceed(41)
    await pass(2)
    candidates[0]?.exceed(7)
    await pass(2)
    expect(news).toEqual(['a elected 0', 'a elected 42'])
    expect(api.lease?.spec?.leaseTransitions).toBe(42)
  })

  it('leaves no timer behind', async () => {
    const { candidates, clock, pass, start } = setUp('a', 'b')
    await start()
    await pass(5)
    for (const candidate of candidates) await candidate.stop()
    expect(clock.pending).toBe(0)
  })

  it('gives up giving the Lease away when the API server is silent', async () => {
    const { candidates, pass, start, api, clock } = setUp('a')
    await start()
    api.trouble.set('a', 'silence')
    const stopped = candidates[0]?.stop()
    await pass(2.1)
    await stopped
    expect(clock.pending).toBe(0)
    expect(api.lease?.spec?.holderIdentity).toBe('a')
  })
})
