import { describe, expect, it } from 'vitest'
import { ApiError } from './api-error.ts'
import { Applier } from './apply.ts'
import type { KubeObject, Resource } from './resource.ts'

const services: Resource = { group: '', version: 'v1', kind: 'Service', plural: 'services', namespaced: true }
const wanted = {
  metadata: { namespace: 'voice', name: 'edge', labels: { app: 'sbc' } },
  spec: { ports: [{ port: 5060 }] },
}

/** An API server with one object, which adds a default of its own. */
function setUp() {
  let version = 10
  const requests: unknown[] = []
  const applier = new Applier({
    get: async () => {
      throw new ApiError('GET', 404, {})
    },
    apply: async (_resource, object, options) => {
      requests.push(options)
      const spec = { ...(object as typeof wanted).spec, clusterIP: '10.0.0.7' }
      return { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) }, spec } as never
    },
  })
  return { applier, requests }
}

describe('applying', () => {
  it('takes over the fields that we want, under our name', async () => {
    const { applier, requests } = setUp()
    const live = await applier.apply(services, wanted, undefined)
    expect(live).toMatchObject({ spec: { clusterIP: '10.0.0.7' } })
    expect(requests).toEqual([{ fieldManager: 'sbcfleet', force: true, signal: undefined }])
  })

  it('asks for nothing while neither the wish nor the object changes', async () => {
    const { applier, requests } = setUp()
    const live = await applier.apply(services, wanted, undefined)
    const later = { ...live, metadata: { ...live.metadata, resourceVersion: '50' }, status: { ready: 1 } }
    expect(await applier.apply(services, structuredClone(wanted), later)).toBe(later)
    expect(requests).toHaveLength(1)
  })

  it('is not misled by an object seen before our own change', async () => {
    const { applier, requests } = setUp()
    const old: KubeObject = { metadata: { namespace: 'voice', name: 'edge', resourceVersion: '9' } }
    const live = await applier.apply(services, wanted, old)
    expect(await applier.apply(services, wanted, old)).toBe(live)
    expect(requests).toHaveLength(1)
  })

  it.each<[string, (live: KubeObject) => KubeObject | undefined, object]>([
    ['the wish changed', (live) => live, { spec: { ports: [] } }],
    ['the object is gone', () => undefined, {}],
    ['someone changed the object', (live) => ({ ...changed(live), spec: { ports: [] } }), {}],
    ['someone took a label away', (live) => ({ ...live, metadata: { ...changed(live).metadata, labels: {} } }), {}],
  ])('asks again when %s', async (_, then, change) => {
    const { applier, requests } = setUp()
    const live = await applier.apply(services, wanted, undefined)
    await applier.apply(services, { ...wanted, ...change }, then(live))
    expect(requests).toHaveLength(2)
  })

  it('asks again after it was told that the object is gone', async () => {
    const { applier, requests } = setUp()
    const live = await applier.apply(services, wanted, undefined)
    applier.forget(services, 'voice/edge')
    await applier.apply(services, wanted, live)
    expect(requests).toHaveLength(2)
  })
})

function changed(live: KubeObject): KubeObject {
  return { ...live, metadata: { ...live.metadata, resourceVersion: '99' } }
}
