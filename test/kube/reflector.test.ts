import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import { kubeMetrics, type KubeMetrics } from '../../operator/kube/metrics.ts'
import { Reflector, type ReflectorOptions } from '../../operator/kube/reflector.ts'
import type { KubeObject } from '../../operator/kube/resource.ts'
import { Store } from '../../operator/kube/store.ts'
import { kubernetesVersion } from '../tools/programs.ts'
import {
  clientOf,
  configMaps,
  installDefinitions,
  makeNamespace,
  silentLog,
  sipTrunks,
  type AnyObject,
} from './cluster.ts'
import { longestStart, startControlPlane, type ControlPlane } from './control-plane.ts'
import { Relay } from './relay.ts'

type ConfigMap = KubeObject & { data?: Record<string, string> }
const label = { resource: 'configmaps' }

describe.skipIf(!inject('kubernetes'))('list and watch on a real API server', () => {
  let plane: ControlPlane
  let client: KubeClient
  let relay: Relay
  let relayed: KubeClient
  let metrics: KubeMetrics
  let namespace: string
  let store: Store<ConfigMap>
  let reflector: Reflector<ConfigMap> | undefined
  let tests = 0

  beforeAll(async () => {
    plane = await startControlPlane()
    client = clientOf(plane)
  }, longestStart)
  afterAll(async () => {
    client?.close()
    await plane?.stop()
  })
  beforeEach(async () => {
    relay = await Relay.start(plane.server)
    relayed = clientOf(plane, { server: relay.address })
    metrics = kubeMetrics()
    namespace = await makeNamespace(client, `test-${++tests}`)
  })
  afterEach(async () => {
    await reflector?.stop()
    relayed.close()
    await relay.stop()
  })

  /** Follows the ConfigMaps of the namespace. */
  async function follow(options: Partial<ReflectorOptions<ConfigMap>> = {}): Promise<void> {
    store = new Store({ onError: (error) => expect.fail(String(error)) })
    reflector = new Reflector({
      client: relayed,
      resource: configMaps,
      selection: { namespace },
      sink: store,
      clock: systemClock,
      log: silentLog,
      metrics,
      ...options,
    })
    reflector.start()
    await store.synced
  }

  const create = (name: string, data: Record<string, string> = {}) =>
    client.create(configMaps, { metadata: { name, namespace }, data })
  const names = () => store.list().map(({ metadata }) => metadata.name)

  /** Resolves when the store is so. */
  function until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => (holds() ? resolve() : undefined)
      store.onChange(look)
      look()
    })
  }

  /** Resolves when so many watches were opened, with nothing to see on any of them. */
  async function quiet(watches: number): Promise<void> {
    while (metrics.reflector.watches.value(label) < watches) await client.read('/readyz').catch(() => undefined)
  }

  it('speaks to the version that it should', async () => {
    expect(await client.read('/version')).toMatchObject({ gitVersion: kubernetesVersion })
  })

  it('fetches every page', async () => {
    const all = Array.from({ length: 12 }, (_, index) => `item-${String(index).padStart(2, '0')}`)
    for (const name of all) await create(name)
    await follow({ pageSize: 5 })
    expect(names()).toEqual(all)
    expect(store.get(`${namespace}/item-00`)).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
    expect(store.get(`${namespace}/item-00`)?.metadata.managedFields).toBeUndefined()
  })

  it('misses nothing while the server ends one watch after the other, and lists only once', async () => {
    await follow({ watchSeconds: [1, 1] })
    let made = 0
    while (metrics.reflector.watches.value(label) < 4) await create(`item-${made++}`)
    await until(() => store.size === made)
    expect(metrics.reflector.lists.value(label)).toBe(1)
    expect(metrics.reflector.failures.value(label)).toBe(0)
  })

  it('hears within half a second of what happens after a long silence', async () => {
    // An hour of silence is six to twelve watches that end by themselves; here each lasts a second.
    await follow({ watchSeconds: [1, 1] })
    const delays: number[] = []
    for (let change = 0; change < 5; change++) {
      const watches = metrics.reflector.watches.value(label) + (change === 0 ? 8 : 1)
      await quiet(watches)
      const began = performance.now()
      await create(`item-${change}`)
      await until(() => store.size === change + 1)
      delays.push(performance.now() - began)
    }
    // Of a machine that does other things too, the quickest says what the reflector adds by itself.
    expect(Math.min(...delays)).toBeLessThan(500)
    expect(metrics.reflector.failures.value(label)).toBe(0)
  })

  it('sees changes and deletions', async () => {
    await create('kept')
    await create('changed', { state: 'old' })
    await create('deleted')
    await follow()
    await client.patch(configMaps, { namespace, name: 'changed' }, { data: { state: 'new' } })
    await client.delete(configMaps, { namespace, name: 'deleted' })
    await until(() => store.size === 2)
    expect(store.get(`${namespace}/changed`)?.data).toEqual({ state: 'new' })
  })

  it('waits for a CRD that is not there yet', async () => {
    const early = new Store<AnyObject>({ onError: (error) => expect.fail(String(error)) })
    const waiting = new Reflector({
      client: relayed,
      resource: sipTrunks,
      sink: early,
      clock: systemClock,
      log: silentLog,
      metrics,
      random: () => 0,
    })
    waiting.start()
    const failures = () => metrics.reflector.failures.value({ resource: 'siptrunks.sbcfleet.dev' })
    while (failures() === 0) await expect(client.list(sipTrunks)).rejects.toMatchObject({ code: 404 })
    await installDefinitions(client)
    await early.synced
    await waiting.stop()
  })

  it('resumes where it was after the connection broke, without a new list', async () => {
    await create('before')
    await follow({ random: () => 0 })
    relay.cut()
    await create('meanwhile')
    await client.delete(configMaps, { namespace, name: 'before' })
    relay.restore()
    await until(() => names().join() === 'meanwhile')
    expect(metrics.reflector.lists.value(label)).toBe(1)
  })

  it('leaves a connection on which nothing passes any more', async () => {
    await follow({ random: () => 0, watchSeconds: [2, 2], grace: 5_000 })
    await create('before')
    await until(() => store.size === 1)
    relay.freeze()
    await create('afterwards')
    await until(() => names().includes('afterwards'))
    expect(metrics.reflector.failures.value(label)).toBe(1)
    expect(metrics.reflector.lists.value(label)).toBe(1)
  })

  it('is right again after the API server was away, restarted, and has forgotten what happened meanwhile', async () => {
    await create('deleted')
    await create('changed', { state: 'old' })
    await follow({ random: () => 0 })
    relay.cut()
    await client.delete(configMaps, { namespace, name: 'deleted' })
    await client.patch(configMaps, { namespace, name: 'changed' }, { data: { state: 'new' } })
    await create('created')
    await plane.stopApiServer()
    relay.restore()
    await plane.compact()
    await plane.startApiServer()
    await until(() => names().toSorted().join() === 'changed,created')
    expect(store.get(`${namespace}/changed`)?.data).toEqual({ state: 'new' })
    expect(metrics.reflector.lists.value(label)).toBe(2)
    await create('afterwards')
    await until(() => store.size === 3)
  })
})
