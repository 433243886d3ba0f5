import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { Applier } from '../../operator/kube/apply.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import { EventRecorder, events } from '../../operator/kube/events.ts'
import { kubeMetrics } from '../../operator/kube/metrics.ts'
import { ownerReference, type KubeObject } from '../../operator/kube/resource.ts'
import { StatusWriter } from '../../operator/kube/status-writer.ts'
import {
  clientOf,
  configMaps,
  initialStatus,
  installDefinitions,
  makeNamespace,
  services,
  silentLog,
  sipTrunks,
  until,
  type AnyObject,
} from './cluster.ts'
import { longestStart, startControlPlane, type ControlPlane } from './control-plane.ts'

const spec = { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: 'sip.carrier.example' }] }

describe.skipIf(!inject('kubernetes'))('what is written to a real API server', () => {
  let plane: ControlPlane
  let client: KubeClient
  let namespace: string
  let tests = 0

  beforeAll(async () => {
    plane = await startControlPlane()
    client = clientOf(plane)
    await installDefinitions(client)
    await plane.startControllers()
  }, longestStart)
  afterAll(async () => {
    client?.close()
    await plane?.stop()
  })
  beforeEach(async () => {
    namespace = await makeNamespace(client, `test-${++tests}`)
  })

  const createTrunk = (name: string): Promise<AnyObject> =>
    client.create(sipTrunks, { metadata: { name, namespace }, spec })
  const writerOf = () =>
    new StatusWriter({
      api: client,
      clock: systemClock,
      log: silentLog,
      metrics: kubeMetrics(),
      rates: { interval: 0 },
    })

  it('is a status under our own name, written once', async () => {
    const trunk = await createTrunk('carrier')
    const writer = writerOf()
    writer.write(sipTrunks, trunk, { observedGeneration: 1, programmed: '1/1' })
    const written = await until(client, sipTrunks, trunk.metadata, (one) => one?.status?.['programmed'] === '1/1')
    expect(written?.status).toEqual({ ...initialStatus, observedGeneration: 1, programmed: '1/1' })
    expect(written?.metadata.generation).toBe(1)
    const { metadata } = await client.get(sipTrunks, { namespace, name: 'carrier' })
    expect(metadata.managedFields).toContainEqual(
      expect.objectContaining({ manager: 'sbcfleet', operation: 'Apply', subresource: 'status' }),
    )
    if (written !== undefined) writer.write(sipTrunks, written, { programmed: '1/1', observedGeneration: 1 })
    await writer.stop()
    const later = await client.get(sipTrunks, { namespace, name: 'carrier' })
    expect(later.metadata.resourceVersion).toBe(metadata.resourceVersion)
  })

  it('drops from a status what is no longer said', async () => {
    const trunk = await createTrunk('carrier')
    const writer = writerOf()
    writer.write(sipTrunks, trunk, { programmed: '1/1', targetsUp: '1/1' })
    await until(client, sipTrunks, trunk.metadata, (one) => one?.status?.['targetsUp'] === '1/1')
    writer.write(sipTrunks, trunk, { programmed: '0/1' })
    const now = await until(client, sipTrunks, trunk.metadata, (one) => one?.status?.['programmed'] === '0/1')
    expect(now?.status).toEqual({ ...initialStatus, programmed: '0/1' })
    await writer.stop()
  })

  it('takes a status back that someone else has written', async () => {
    const trunk = await createTrunk('carrier')
    const writer = writerOf()
    writer.write(sipTrunks, trunk, { programmed: '1/1' })
    await until(client, sipTrunks, trunk.metadata, (one) => one?.status?.['programmed'] === '1/1')
    const name = { namespace, name: 'carrier' }
    const tampered = await client.patch(sipTrunks, name, { status: { programmed: '9/9' } }, { subresource: 'status' })
    writer.write(sipTrunks, tampered, { programmed: '1/1' })
    await until(client, sipTrunks, trunk.metadata, (one) => one?.status?.['programmed'] === '1/1')
    await writer.stop()
  })

  it('is never the status of an object that was deleted and made anew', async () => {
    const old = await createTrunk('carrier')
    await client.delete(sipTrunks, { namespace, name: 'carrier' }, old.metadata.uid)
    await until(client, sipTrunks, old.metadata, (one) => one === undefined)
    const fresh = await createTrunk('carrier')
    const writer = writerOf()
    writer.write(sipTrunks, old, { programmed: '7/7' })
    writer.write(sipTrunks, await createTrunk('other'), { programmed: '1/1' })
    await until(client, sipTrunks, { namespace, name: 'other' }, (one) => one?.status?.['programmed'] === '1/1')
    await writer.stop()
    const now = await client.get(sipTrunks, { namespace, name: 'carrier' })
    expect([now.status, now.metadata.resourceVersion]).toEqual([initialStatus, fresh.metadata.resourceVersion])
  })

  it('is not deleted when it is another object by now', async () => {
    const trunk = await createTrunk('carrier')
    const deleted = client.delete(sipTrunks, { namespace, name: 'carrier' }, 'another-uid')
    await expect(deleted).rejects.toThrow('409 Conflict')
    await client.delete(sipTrunks, { namespace, name: 'carrier' }, trunk.metadata.uid)
  })

  it('is only what we own of an object, and comes back when it is changed', async () => {
    const applier = new Applier(client)
    const spec = { clusterIP: 'None', publishNotReadyAddresses: true, ports: [{ name: 'sip', port: 5060 }] }
    const wanted: AnyObject = { metadata: { name: 'edge', namespace }, spec }
    const made = await applier.apply(services, wanted, undefined)
    const name = { namespace, name: 'edge' }
    await client.patch(services, name, { metadata: { labels: { team: 'voice' } } })
    const tampered = await client.patch(services, name, { spec: { publishNotReadyAddresses: false } })
    const healed = await applier.apply(services, wanted, tampered)
    expect(healed.spec?.['publishNotReadyAddresses']).toBe(true)
    expect(healed.metadata).toMatchObject({ uid: made.metadata.uid, labels: { team: 'voice' } })
    expect(await applier.apply(services, wanted, healed)).toBe(healed)
    const { items } = await client.list(services, { namespace })
    expect(items[0]?.metadata.resourceVersion).toBe(healed.metadata.resourceVersion)
  })

  it('is never an object that came in the place of the one that was seen', async () => {
    const applier = new Applier(client)
    const name = { namespace, name: 'control' }
    const seen = await applier.apply(configMaps, { metadata: name }, undefined)
    await client.delete(configMaps, name)
    const gone = applier.apply(configMaps, { metadata: name, data: { ours: '1' } } as KubeObject, seen)
    await expect(gone).rejects.toThrow('409 Conflict')
    const foreign = await client.create(configMaps, { metadata: name, data: { theirs: '1' } })
    const taken = applier.apply(configMaps, { metadata: name, data: { ours: '2' } } as KubeObject, seen)
    await expect(taken).rejects.toThrow('422 Invalid')
    expect(await applier.find(configMaps, { metadata: name })).toEqual(foreign)
  })

  it('is collected with its owner', async () => {
    const owner = await createTrunk('carrier')
    const owned: KubeObject = {
      metadata: { name: 'owned', namespace, ownerReferences: [ownerReference(sipTrunks, owner)] },
    }
    await new Applier(client).apply(configMaps, owned, undefined)
    await client.delete(sipTrunks, { namespace, name: 'carrier' })
    await until(client, configMaps, owned.metadata, (one) => one === undefined)
  })

  it('is an event, and its repetitions are a count', async () => {
    const trunk = { ...(await createTrunk('carrier')), apiVersion: 'sbcfleet.dev/v1alpha1', kind: 'SipTrunk' }
    const recorder = new EventRecorder({
      api: client,
      controller: 'sbcfleet.dev/operator',
      instance: 'operator-0',
      clock: systemClock,
      log: silentLog,
    })
    const down = { regarding: trunk, type: 'Warning', reason: 'TrunkUnreachable', action: 'Probe' } as const
    recorder.record({ ...down, note: 'no answer' })
    const { items } = await first(namespace)
    expect(items).toMatchObject([
      { reason: 'TrunkUnreachable', note: 'no answer', regarding: { kind: 'SipTrunk', name: 'carrier' } },
    ])
    recorder.record({ ...down, note: 'no answer either' })
    recorder.record({ ...down, note: 'still no answer' })
    await recorder.stop()
    const again = await client.list(events, { namespace })
    expect(again.items.map(({ series }) => series?.count)).toEqual([3])

    /** The events of the namespace, once there are any. */
    async function first(within: string) {
      for (;;) {
        const page = await client.list(events, { namespace: within })
        if (page.items.length > 0) return page
      }
    }
  })

  it('is refused, by name of the right that is missing, to those without rights', async () => {
    const user = `system:serviceaccount:${namespace}:default`
    const nobody = clientOf(plane, { as: user })
    const name = { namespace, name: 'carrier' }
    const refused = nobody.apply(sipTrunks, { metadata: name }, { fieldManager: 'sbcfleet', subresource: 'status' })
    await expect(refused).rejects.toMatchObject({ code: 403, reason: 'Forbidden' })
    await expect(refused).rejects.toThrow(`User "${user}" cannot patch resource "siptrunks/status"`)
    nobody.close()
  })
})
