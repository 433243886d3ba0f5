import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import type { KubeObject, Resource } from '../../operator/kube/resource.ts'
import { type AnyObject, secrets, sipTrunks, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { answerAll, conditionOf, createFleet, prepare, untilTrue } from '../operator/fleet.ts'
import { Programs } from '../operator/processes.ts'
import { freePorts } from '../sip/free-port.ts'
import { Authority } from '../tls/certificates.ts'
import { obstacle, provide } from '../tools/programs.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { healthInArgoCd, kstatus, type Verdict, verdictsOfExpressions } from './verdicts.ts'

describe.skipIf(!inject('kubernetes') || obstacle(['kstatus']) !== undefined)(
  'the objects that the operator leaves at a real API server',
  () => {
    let plane: ControlPlane
    let client: KubeClient
    let programs: Programs
    let peer: Awaited<ReturnType<typeof openPeer>>
    let ports: readonly number[] = []

    beforeAll(async () => {
      await provide('kstatus')
      plane = await startControlPlane()
    }, longestStart)
    beforeAll(async () => {
      client = await prepare(plane)
      peer = await openPeer(answerAll)
      programs = new Programs(plane, client)
      ports = await freePorts(6)
      programs.operator('operator-0', ports[0] ?? 0, ports[1] ?? 0)
    })
    afterAll(async () => {
      await programs?.stop()
      peer?.close()
      await plane?.stop()
    })

    const edge = { namespace: 'voice', name: 'edge' }
    const carrier = { namespace: 'voice', name: 'carrier' }

    it('are judged alike by kstatus, Argo CD and Flux in every part of their life', async () => {
      onTestFailed(() => console.error(programs.lastLines()))
      await createFleet(client, { listener: ports[2] ?? 0, peer: peer.port })
      const waiting = await until(client, voiceServices, edge, (service) => {
        return conditionOf(service, 'Programmed')?.reason === 'NoReplicas'
      })
      await isJudged(waiting, 'InProgress', 'Progressing')

      await programs.replica('voice/edge', 'edge-0', '127.0.0.1', ports.slice(0, 1))
      await isJudged(await untilTrue(client, voiceServices, 'edge', ['Ready']), 'Current', 'Healthy')
      await isJudged(await untilTrue(client, sipTrunks, 'carrier', ['Ready']), 'Current', 'Healthy')

      const taken = createSocket('udp4').bind(0, '127.0.0.1')
      await once(taken, 'listening')
      await listenOn(taken.address().port)
      const refused = await until(client, voiceServices, edge, (service) => {
        return conditionOf(service, 'Programmed')?.reason === 'RejectedByDataplane'
      })
      await isJudged(refused, 'Failed', 'Degraded')
      taken.close()

      await listenOn(ports[2] ?? 0)
      await isJudged(await untilTrue(client, voiceServices, 'edge', ['Ready'], 3), 'Current', 'Healthy')

      await client.patch(sipTrunks, carrier, {
        metadata: { finalizers: ['example.com/hold', 'sbcfleet.dev/unregister'] },
      })
      await client.delete(sipTrunks, carrier)
      const going = await until(client, sipTrunks, carrier, (trunk) => trunk?.metadata.deletionTimestamp !== undefined)
      expect(await kstatus(judgeable(going))).toEqual(['Terminating'])
      await client.patch(sipTrunks, carrier, { metadata: { finalizers: null } })
    })

    it('wait for a Secret that comes later, and end at a part that is invalid', async () => {
      onTestFailed(() => console.error(programs.lastLines()))
      const secure = { namespace: 'voice', name: 'secure' }
      const peerOverTls = { namespace: 'voice', name: 'peer-over-tls' }
      await client.create(voiceServices, {
        metadata: secure,
        spec: {
          listeners: [
            { name: 'udp', transport: 'UDP', port: ports[3] },
            { name: 'tls', transport: 'TLS', port: ports[4], tls: { secretRef: { name: 'later' } } },
          ],
        },
      })
      await client.create(sipTrunks, {
        metadata: peerOverTls,
        spec: {
          voiceServiceRef: { name: 'secure' },
          listeners: ['tls'],
          targets: [{ name: 'main', host: '127.0.0.1', port: ports[4], transport: 'TLS' }],
        },
      })
      await programs.replica('voice/secure', 'secure-0', '127.0.0.1', ports.slice(0, 1))
      for (const [resource, id] of [
        [voiceServices, secure],
        [sipTrunks, peerOverTls],
      ] as const) {
        const waiting = await until(client, resource, id, (object) => {
          return conditionOf(object, 'Programmed')?.message.includes('waits for its Secret') === true
        })
        await isJudged(waiting, 'InProgress', 'Progressing')
      }

      const { certificate, key } = new Authority().issue({ dns: ['sbc.example'] })
      const base64 = (text: string) => Buffer.from(text).toString('base64')
      const data = { 'tls.crt': base64(certificate), 'tls.key': base64(key) }
      await client.create(secrets, { metadata: { namespace: 'voice', name: 'later' }, data } as AnyObject)
      await isJudged(await untilTrue(client, sipTrunks, 'peer-over-tls', ['Ready']), 'Current', 'Healthy')
      await isJudged(await untilTrue(client, voiceServices, 'secure', ['Ready']), 'Current', 'Healthy')

      const route = (calledPattern: string) => ({
        spec: { routes: [{ name: 'a', match: { calledPattern }, targets: [{ trunkRef: { name: 'peer-over-tls' } }] }] },
      })
      await client.patch(voiceServices, secure, route('[0-9]+'))
      const good = await untilTrue(client, voiceServices, 'secure', ['Ready'], 2)
      await client.patch(voiceServices, secure, route('('))
      const invalid = await until(client, voiceServices, secure, (object) => {
        return conditionOf(object, 'Accepted')?.reason === 'PartiallyInvalid'
      })
      await isJudged(invalid, 'Failed', 'Degraded')
      expect(conditionOf(invalid, 'Accepted')?.message).toContain('the last good route, of generation 2, goes on')
      expect(invalid?.status?.['revision']).toBe(good.status?.['revision'])
      await untilTold(client, 'secure', 'Stalled', 'spec.routes[0].match.calledPattern')
    })

    it('are on the way for as long as pods of the old template run', async () => {
      onTestFailed(() => console.error(programs.lastLines()))
      const rolling = { namespace: 'voice', name: 'rolling' }
      await client.create(voiceServices, {
        metadata: rolling,
        spec: { replicas: 2, listeners: [{ name: 'udp', transport: 'UDP', port: ports[5] }] },
      })
      await programs.replica('voice/rolling', 'rolling-0', '127.0.0.1', ports.slice(0, 1))
      await programs.replica('voice/rolling', 'rolling-1', '127.0.0.2', ports.slice(0, 1))
      await isJudged(await untilTrue(client, voiceServices, 'rolling', ['Ready']), 'Current', 'Healthy')

      await client.patch(voiceServices, rolling, { spec: { template: { nodeSelector: { no: 'where' } } } })
      const seen = await until(client, voiceServices, rolling, (object) => object?.status?.['observedGeneration'] === 2)
      await isJudged(seen, 'InProgress', 'Progressing')
      // No pod ever runs here, so that the second one waits for the first for ever.
      const stuck = await until(client, voiceServices, rolling, (object) => {
        return conditionOf(object, 'Programmed')?.message === '1/2 pods are made from the template of today.'
      })
      await isJudged(stuck, 'InProgress', 'Progressing')

      await client.patch(voiceServices, rolling, { spec: { template: { nodeSelector: null } } })
      await isJudged(await untilTrue(client, voiceServices, 'rolling', ['Ready'], 3), 'Current', 'Healthy')
    })

    async function listenOn(port: number): Promise<void> {
      await client.patch(voiceServices, edge, { spec: { listeners: [{ name: 'udp', transport: 'UDP', port }] } })
    }

    async function isJudged(object: AnyObject | undefined, verdict: Verdict, health: string): Promise<void> {
      const seen = judgeable(object)
      expect(await kstatus(seen)).toEqual([verdict])
      expect(verdictsOfExpressions(seen)).toEqual([verdict, verdict])
      expect(await healthInArgoCd(seen)).toMatchObject({ status: health, message: expect.stringMatching(/./) })
    }
  },
)

const events: Resource<KubeObject & { readonly regarding?: KubeObject['metadata']; reason?: string; note?: string }> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
}

/** Resolves when there is an event of that reason on an object of the namespace `voice`. */
async function untilTold(client: KubeClient, name: string, reason: string, note: string): Promise<void> {
  const isIt = (event: { regarding?: { name?: string }; reason?: string; note?: string }) =>
    event.regarding?.name === name && event.reason === reason && event.note?.includes(note) === true
  await expect
    .poll(async () => (await client.list(events, { namespace: 'voice' })).items.some(isIt), { timeout: 20_000 })
    .toBe(true)
}

function judgeable(object: AnyObject | undefined): AnyObject {
  if (object === undefined) throw new Error('the object is gone')
  return object
}
