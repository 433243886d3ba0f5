import { describe, expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { Informers } from './informers.ts'
import { ApiError } from './kube/api-error.ts'
import type { ListOptions } from './kube/client.ts'
import { kubeMetrics } from './kube/metrics.ts'
import type { Resource } from './kube/resource.ts'
import { Store } from './kube/store.ts'

const kinds = ['Service', 'ConfigMap'].map((kind): Resource => ({
  group: '',
  version: 'v1',
  kind,
  plural: `${kind.toLowerCase()}s`,
  namespaced: true,
}))

type Refuse = (request: { namespace: string | undefined; kind: string }) => number | undefined

/** Informers of an API server that has one object of each kind in each namespace, but answers some lists with a code. */
function setUp(refuse: Refuse, ...namespaces: readonly string[]) {
  const told: string[] = []
  const firstListed = Promise.withResolvers<void>()
  let listings = 0
  const informers = new Informers({
    api: {
      list: async ({ kind }: Resource, { namespace }: ListOptions) => {
        const code = refuse({ namespace, kind })
        if (code !== undefined) throw new ApiError('GET', code, {})
        const metadata = { namespace: namespace ?? 'any', name: 'a', resourceVersion: '1' }
        return { metadata: { resourceVersion: '1' }, items: [{ metadata } as never] }
      },
      watch: (_resource, { signal }) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted')))),
    },
    watches: kinds.map((resource) => ({ resource, store: new Store({ onError: () => {} }), wakes: () => [] })),
    namespaces,
    clock: systemClock,
    log: createLog({ level: 'error', name: 'test', write: (line) => void told.push(line) }),
    metrics: kubeMetrics(),
    onListed: () => {
      if (++listings === Math.max(1, namespaces.length)) firstListed.resolve()
    },
  })
  informers.start()
  return { informers, told, allListed: firstListed.promise }
}

describe('what is known of the cluster', () => {
  it.each([403, 404])('does not wait for a namespace whose lists are answered with %s', async (code) => {
    const { informers, told } = setUp(({ namespace }) => (namespace === 'gone' ? code : undefined), 'gone', 'voice')
    await informers.synced()
    expect(['voice', 'gone', 'other'].filter((name) => informers.isListed(name))).toEqual(['voice'])
    expect(told.filter((line) => line.includes('namespace gone is gone or not allowed'))).toHaveLength(1)
    await informers.stop()
  })

  it('is nothing of a namespace in which one kind is refused, until that is allowed', async () => {
    let isAllowed = false
    const { informers, allListed } = setUp(
      ({ namespace, kind }) => (namespace === 'part' && kind === 'ConfigMap' && !isAllowed ? 403 : undefined),
      'part',
      'voice',
    )
    await informers.synced()
    expect(informers.isListed('part')).toBe(false)
    isAllowed = true
    await allListed
    expect(informers.isListed('part')).toBe(true)
    await informers.stop()
  })

  it.each<[string, number, readonly string[]]>([
    ['an API server that is not well', 500, ['voice', 'other']],
    ['rights in the only namespace', 403, ['voice']],
    ['rights in all namespaces', 403, []],
  ])('waits for %s', async (_what, code, namespaces) => {
    let isRefused = true
    const { informers, allListed } = setUp(
      ({ namespace }) => (isRefused && (namespace === undefined || namespace === 'voice') ? code : undefined),
      ...namespaces,
    )
    let isSynced = false
    const synced = informers.synced().then(() => (isSynced = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(isSynced).toBe(false)
    isRefused = false
    await allListed
    await synced
    expect(informers.isListed('voice')).toBe(true)
    await informers.stop()
  })
})
