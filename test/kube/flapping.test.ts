import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import { EventRecorder } from '../../operator/kube/events.ts'
import { kubeMetrics } from '../../operator/kube/metrics.ts'
import { StatusWriter } from '../../operator/kube/status-writer.ts'
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

const trunks = 1_000
const flappingSeconds = 10
const spec = { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: 'sip.carrier.example' }] }

/** Every write to etcd counts, those of the API server and of whoever else there is included. */
describe.skipIf(!inject('kubernetes'))('1,000 trunks that flap', () => {
  let plane: ControlPlane
  let client: KubeClient

  beforeAll(async () => {
    plane = await startControlPlane()
    client = clientOf(plane)
    await installDefinitions(client)
  }, longestStart)
  afterAll(async () => {
    client?.close()
    await plane?.stop()
  })

  /** The revision of etcd, which is one higher with each write. */
  const revision = async () => Number((await client.list(configMaps, { limit: 1 })).metadata.resourceVersion)

  it('cost a real API server less than 20 writes a second, events included, and their statuses are right in the end', async () => {
    const namespace = await makeNamespace(client, 'flapping')
    const made: AnyObject[] = []
    const names = Array.from({ length: trunks }, (_, index) => `trunk-${index}`)
    for (let at = 0; at < trunks; at += 20) {
      const batch = names.slice(at, at + 20)
      made.push(
        ...(await Promise.all(batch.map((name) => client.create(sipTrunks, { metadata: { name, namespace }, spec })))),
      )
    }
    const about = { api: client, clock: systemClock, log: silentLog }
    const writer = new StatusWriter({ ...about, metrics: kubeMetrics() })
    const recorder = new EventRecorder({ ...about, controller: 'sbcfleet.dev/operator', instance: 'operator-0' })
    const up = new Map(made.map((one) => [one, one.status ?? {}]))
    const turn = (isUp: boolean) => {
      for (const one of made) {
        writer.write(sipTrunks, one, isUp ? (up.get(one) ?? {}) : { ...up.get(one), targetsUp: '0/1' }, 'Turn')
        if (isUp) continue
        const regarding = { ...one, apiVersion: 'sbcfleet.dev/v1alpha1', kind: 'SipTrunk' }
        recorder.record({ regarding, type: 'Warning', reason: 'TrunkUnreachable', action: 'Probe', note: 'no answer' })
      }
    }

    const [began, before] = [systemClock.now(), await revision()]
    for (let half = 0; half < 2 * flappingSeconds; half++) {
      turn(half % 2 === 1)
      await new Promise<void>((resolve) => systemClock.after(500, resolve))
    }
    const perSecond = ((await revision()) - before) / ((systemClock.now() - began) / 1000)
    expect(perSecond).toBeLessThan(20)
    expect(perSecond, 'something was written').toBeGreaterThan(1)

    // The last turn was up, which is what most of them still say.
    await expect.poll(() => wrong(namespace), { timeout: 60_000, interval: 500 }).toEqual([])
    await recorder.stop()
    await writer.stop()
  })

  /** The trunks whose status is not that of the last turn. */
  async function wrong(namespace: string): Promise<string[]> {
    const { items } = await client.list(sipTrunks, { namespace })
    expect(items).toHaveLength(trunks)
    return items.filter((one) => one.status?.['targetsUp'] !== undefined).map(({ metadata }) => metadata.name)
  }
})
