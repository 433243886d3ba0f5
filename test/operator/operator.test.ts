import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { sipTrunks, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { freePorts } from '../sip/free-port.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { answerAll, conditionOf, createFleet, isUnregister, statefulSets, untilTrue, prepare } from './fleet.ts'
import { Programs } from './processes.ts'

describe.skipIf(!inject('kubernetes'))('the operator on a real Kubernetes API', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let peer: Awaited<ReturnType<typeof openPeer>>
  let ports: readonly number[] = []

  beforeAll(async () => {
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

  it('brings a fleet from manifests to status True, and back to nothing', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    await createFleet(client, { listener: ports[2] ?? 0, peer: peer.port })
    const waiting = await until(client, voiceServices, edge, (service) => {
      return conditionOf(service, 'Programmed')?.reason === 'NoReplicas'
    })
    expect(conditionOf(waiting, 'Reconciling')?.status).toBe('True')

    await programs.replica('voice/edge', 'edge-0', '127.0.0.1', ports.slice(0, 1))
    const service = await untilTrue(client, voiceServices, 'edge', ['Ready'])
    expect(service.status).toMatchObject({
      observedGeneration: 1,
      replicas: { desired: 1, ready: 1, programmed: 1 },
      selector: 'app.kubernetes.io/name=sbcfleet-replica,app.kubernetes.io/instance=edge',
    })
    expect(conditionOf(service, 'Reconciling')).toBeUndefined()
    const trunk = await untilTrue(client, sipTrunks, 'carrier', ['Ready', 'Registered', 'Reachable'])
    expect(trunk.metadata.finalizers).toEqual(['sbcfleet.dev/unregister'])
    expect(JSON.stringify(trunk)).not.toContain(Buffer.from('x').toString('base64'))
    // Without a key for nonces, which the operator makes, it would be 503.
    expect(await answerToCall(ports[2] ?? 0)).toMatchObject({ status: 401 })

    await client.delete(sipTrunks, carrier)
    await until(client, sipTrunks, carrier, (object) => object === undefined)
    await client.delete(voiceServices, edge)
    await until(client, statefulSets, edge, (object) => object === undefined)
    expect(peer.received.some(isUnregister)).toBe(true)
  })
})

/** What a call from the carrier's address gets. */
async function answerToCall(port: number) {
  const caller = await SipPeer.udp()
  caller.send(requestText(caller, { method: 'INVITE', uri: `sip:100@127.0.0.1:${port}`, callId: 'call' }), port)
  const { message } = await caller.next(({ status }) => status > 100)
  await caller.close()
  return message
}
