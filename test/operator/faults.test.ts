import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { leases } from '../../operator/kube/leader-election.ts'
import { type AnyObject, secrets, services, sipTrunks, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import type { Process } from '../kube/process.ts'
import { freePorts } from '../sip/free-port.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { answerAll, conditionOf, createAccount, createFleet, statefulSets, untilTrue, prepare } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

describe.skipIf(!inject('kubernetes'))('a fleet that runs', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let peer: Awaited<ReturnType<typeof openPeer>>
  let replica: Process
  const operators = new Map<string, Process>()
  const probes = new Map<string, number>()

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    peer = await openPeer(answerAll)
    programs = new Programs(plane, client)
    const [listener = 0, ...ports] = await freePorts(5)
    for (const name of ['first', 'second']) {
      probes.set(name, ports[operators.size + 2] ?? 0)
      operators.set(name, programs.operator(name, ports[operators.size] ?? 0, ports[operators.size + 2] ?? 0))
    }
    await createFleet(client, { listener, peer: peer.port })
    replica = await programs.replica('voice/edge', 'edge-0', '127.0.0.1', ports.slice(0, 2))
    await untilTrue(client, sipTrunks, 'carrier', ['Ready', 'Registered', 'Reachable'])
  })
  afterAll(async () => {
    await programs?.stop()
    peer?.close()
    await plane?.stop()
  })

  const edge = { namespace: 'voice', name: 'edge' }
  const carrier = { namespace: 'voice', name: 'carrier' }

  /** Changes the trunk, and resolves when that runs. */
  async function change(upIntervalSeconds: number): Promise<void> {
    const changed = await client.patch(sipTrunks, carrier, { spec: { keepalive: { upIntervalSeconds } } })
    await untilTrue(client, sipTrunks, 'carrier', ['Programmed', 'Ready', 'Registered'], changed.metadata.generation)
  }

  it('says that a Secret is gone, and takes the new one', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    await client.delete(secrets, { namespace: 'voice', name: 'account' })
    const trunk = await until(
      client,
      sipTrunks,
      carrier,
      (object) => conditionOf(object, 'ResolvedRefs')?.status === 'False',
    )
    expect(conditionOf(trunk, 'ResolvedRefs')).toMatchObject({ reason: 'SecretNotFound' })
    await createAccount(client, 'another')
    await untilTrue(client, sipTrunks, 'carrier', ['ResolvedRefs', 'Ready', 'Registered'])
  })

  it('gets back an object that somebody deletes or changes', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const replicaService = { namespace: 'voice', name: 'edge-replicas' }
    const { metadata } = await client.get(services, replicaService)
    await client.delete(services, replicaService)
    await until(
      client,
      services,
      replicaService,
      (object) => object !== undefined && object.metadata.uid !== metadata.uid,
    )
    await client.patch(statefulSets, edge, { spec: { replicas: 5 } })
    await until(client, statefulSets, edge, (object) => (object as AnyObject | undefined)?.spec?.['replicas'] === 1)
  })

  it('is told in the words of the API server what that refuses, and goes on', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    await client.patch(voiceServices, edge, { spec: { template: { affinity: { nodeAffinity: { nonsense: true } } } } })
    const service = await until(
      client,
      voiceServices,
      edge,
      (object) => conditionOf(object, 'Stalled')?.status === 'True',
    )
    expect(conditionOf(service, 'Programmed')).toMatchObject({
      reason: 'ResourcesRefused',
      message: expect.stringMatching(/^StatefulSet edge: .*nonsense/s),
    })
    const mended = await client.patch(voiceServices, edge, { spec: { template: { affinity: null } } })
    await untilTrue(client, voiceServices, 'edge', ['Programmed', 'Ready'], mended.metadata.generation)
  })

  it('takes no harm from objects that are gone before their turn comes', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const spec = { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: '192.0.2.1' }] }
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const trunk = { metadata: { namespace: 'voice', name: `passing-${index}` }, spec }
        await client.create(sipTrunks, trunk)
        await client.delete(sipTrunks, trunk.metadata)
      }),
    )
    await change(60)
    const lease = await client.get(leases, { namespace: operatorNamespace, name: 'sbcfleet' })
    const leader = lease.spec?.holderIdentity?.split('_')[0] ?? ''
    const metrics = await (await fetch(`http://127.0.0.1:${probes.get(leader)}/metrics`)).text()
    expect(metrics).toMatch(/^controller_runtime_reconcile_total\{.*controller="status"/m)
    expect(metrics).not.toMatch(/^controller_runtime_reconcile_(errors|panics)_total\{.*\} [1-9]/m)
  })

  it('takes a change within 20 s of the death of the leader', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const lease = await client.get(leases, { namespace: operatorNamespace, name: 'sbcfleet' })
    const leader = lease.spec?.holderIdentity?.split('_')[0] ?? ''
    // By SIGKILL: it gives nothing away.
    await operators.get(leader)?.kill()
    const began = Date.now()
    await change(62)
    expect(Date.now() - began).toBeLessThan(20_000)
    expect(replica.hasEnded).toBe(false)
  })
})
