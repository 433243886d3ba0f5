import { setTimeout as pass } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { sipTrunks } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import type { Process } from '../kube/process.ts'
import { freePorts } from '../sip/free-port.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { answerAll, createFleet, isUnregister, untilTrue, prepare } from './fleet.ts'
import { Programs } from './processes.ts'

/** How long the API server is away, in milliseconds: longer than any Lease lives. */
const outage = 60_000

describe.skipIf(!inject('kubernetes'))('a fleet whose API server is gone for a minute', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let peer: Awaited<ReturnType<typeof openPeer>>
  let replica: Process

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    peer = await openPeer(answerAll)
    programs = new Programs(plane, client)
    const [listener = 0, control = 0, probe = 0] = await freePorts(3)
    programs.supervised('operator', control, probe)
    await createFleet(client, { listener, peer: peer.port })
    replica = await programs.replica('voice/edge', 'edge-0', '127.0.0.1', [control])
    await untilTrue(client, sipTrunks, 'carrier', ['Ready', 'Registered', 'Reachable'])
  })
  afterAll(async () => {
    await programs?.stop()
    peer?.close()
    await plane?.stop()
  })

  it('runs on, and takes a change when it is back with no history', { timeout: 300_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    await plane.compact()
    await plane.stopApiServer()
    await pass(outage)
    expect(replica.hasEnded).toBe(false)
    await plane.startApiServer()
    const spec = { keepalive: { upIntervalSeconds: 61 } }
    const changed = await client.patch(sipTrunks, { namespace: 'voice', name: 'carrier' }, { spec })
    await untilTrue(client, sipTrunks, 'carrier', ['Programmed', 'Ready', 'Registered'], changed.metadata.generation)
    expect(replica.hasEnded).toBe(false)
    expect(peer.received.some(isUnregister)).toBe(false)
  })
})
