import { describe, expect, it } from 'vitest'
import type { KubeObject } from './resource.ts'
import { Store, type Change } from './store.ts'

interface Trunk extends KubeObject {
  readonly secrets: readonly string[]
}

function trunk(name: string, resourceVersion: string, ...secrets: string[]): Trunk {
  return { metadata: { namespace: 'voice', name, resourceVersion }, secrets }
}

function setUp() {
  const errors: unknown[] = []
  const changes: string[] = []
  const store = new Store<Trunk, 'secret'>({
    indexers: { secret: ({ secrets }) => secrets },
    onError: (error) => errors.push(error),
  })
  store.onChange((change: Change<Trunk>) => changes.push(`${change.type} ${change.key}`))
  const take = () => changes.splice(0)
  const bySecret = (value: string) => store.byIndex('secret', value).map(({ metadata }) => metadata.name)
  return { store, errors, take, bySecret }
}

describe('the store', () => {
  it('is synced by the first full list, an empty one too', async () => {
    const { store } = setUp()
    store.upsert(trunk('a', '1'))
    expect(store.isSynced).toBe(false)
    store.replace([])
    expect(store.isSynced).toBe(true)
    await store.synced
    expect(store.size).toBe(0)
  })

  it('tells of a full list only what it changes', () => {
    const { store, take } = setUp()
    store.replace([trunk('a', '1'), trunk('b', '2')])
    expect(take()).toEqual(['added voice/a', 'added voice/b'])
    store.replace([trunk('b', '2'), trunk('c', '9')])
    expect(take()).toEqual(['added voice/c', 'removed voice/a'])
    store.replace([trunk('b', '10'), trunk('c', '9')])
    expect(take()).toEqual(['updated voice/b'])
  })

  it('takes a full list as it is, older versions included, since the cluster may have been restored', () => {
    const { store } = setUp()
    store.replace([trunk('a', '500')])
    store.replace([trunk('a', '20')])
    store.upsert(trunk('a', '21'))
    expect(store.get('voice/a')?.metadata.resourceVersion).toBe('21')
  })

  it('passes over events that come twice or too late', () => {
    const { store, take } = setUp()
    store.upsert(trunk('a', '9'))
    store.upsert(trunk('a', '10'))
    take()
    store.upsert(trunk('a', '10'))
    store.upsert(trunk('a', '9'))
    store.remove(trunk('a', '8'))
    expect(take()).toEqual([])
    expect(store.get('voice/a')?.metadata.resourceVersion).toBe('10')
  })

  it('does not bring a removed object back for a late event, but does for a new one', () => {
    const { store, take } = setUp()
    store.upsert(trunk('a', '10'))
    store.remove(trunk('a', '12'))
    store.upsert(trunk('a', '11'))
    expect(take()).toEqual(['added voice/a', 'removed voice/a'])
    store.upsert(trunk('a', '13'))
    expect(take()).toEqual(['added voice/a'])
  })

  it('takes everything from a server whose versions are no numbers', () => {
    const { store } = setUp()
    store.upsert(trunk('a', 'x'))
    store.upsert(trunk('a', 'b'))
    expect(store.get('voice/a')?.metadata.resourceVersion).toBe('b')
    store.remove(trunk('a', 'a'))
    expect(store.list()).toEqual([])
  })

  it('finds objects by index as they come, change and go', () => {
    const { store, bySecret } = setUp()
    store.upsert(trunk('a', '1', 's', 't'))
    store.upsert(trunk('b', '2', 's'))
    expect(bySecret('s')).toEqual(['a', 'b'])
    store.upsert(trunk('a', '3', 't'))
    expect([bySecret('s'), bySecret('t')]).toEqual([['b'], ['a']])
    store.remove(trunk('b', '4'))
    expect([bySecret('s'), bySecret('none')]).toEqual([[], []])
  })

  it('tells all listeners, also after one that throws', () => {
    const { store, errors } = setUp()
    const heard: string[] = []
    store.onChange(() => {
      throw new Error('bad listener')
    })
    store.onChange(({ key }) => heard.push(key))
    store.upsert(trunk('a', '1'))
    expect(heard).toEqual(['voice/a'])
    expect(errors).toEqual([new Error('bad listener')])
  })

  it('forgets the oldest of many removed objects', () => {
    const { store } = setUp()
    for (let index = 0; index <= 1000; index++) {
      store.upsert(trunk(`t${index}`, '1'))
      store.remove(trunk(`t${index}`, '2'))
    }
    store.upsert(trunk('t0', '1'))
    store.upsert(trunk('t1', '1'))
    expect(store.list().map(({ metadata }) => metadata.name)).toEqual(['t0'])
  })
})
