import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { type AnyObject, sipTrunks, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { answerAll, conditionOf, createFleet, prepare, untilTrue } from '../operator/fleet.ts'
import { Programs } from '../operator/processes.ts'
import { freePorts } from '../sip/free-port.ts'
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
      ports = await freePorts(3)
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

function judgeable(object: AnyObject | undefined): AnyObject {
  if (object === undefined) throw new Error('the object is gone')
  return object
}
