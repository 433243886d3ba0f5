import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { leases } from '../../operator/kube/leader-election.ts'
import { secrets, sipTrunks, until } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import type { Process } from '../kube/process.ts'
import { freePorts } from '../sip/free-port.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { answerAll, conditionOf, createAccount, createFleet, isUnregister, untilTrue, prepare } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

const carrier = { namespace: 'voice', name: 'carrier' }

describe.skipIf(!inject('kubernetes'))('one operator and one replica', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let peer: Awaited<ReturnType<typeof openPeer>>
  let operator: Process
  let ports: readonly number[]

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    peer = await openPeer(answerAll)
    programs = new Programs(plane, client)
    ports = await freePorts(3)
    operator = start('first')
    await createFleet(client, { listener: ports[0] ?? 0, peer: peer.port })
    await programs.replica('voice/edge', 'edge-0', '127.0.0.1', [ports[1] ?? 0])
    await untilTrue(client, sipTrunks, 'carrier', ['Ready', 'Registered', 'Reachable'])
  })
  afterAll(async () => {
    await programs?.stop()
    peer?.close()
    await plane?.stop()
  })

  function start(name: string): Process {
    return programs.operator(name, ports[1] ?? 0, ports[2] ?? 0)
  }

  async function change(upIntervalSeconds: number): Promise<void> {
    const { metadata } = await client.patch(sipTrunks, carrier, { spec: { keepalive: { upIntervalSeconds } } })
    await untilTrue(client, sipTrunks, 'carrier', ['Programmed', 'Ready'], metadata.generation)
  }

  it('take a leader whose Lease was deleted, though its first epoch is an old one', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const lease = { namespace: operatorNamespace, name: 'sbcfleet' }
    // The Lease of somebody who held it long: the next one leads under epoch 8, which the replica hears of.
    await operator.kill()
    await client.patch(leases, lease, { spec: { leaseTransitions: 7, holderIdentity: '' } })
    operator = start('second')
    await change(61)
    expect((await client.get(leases, lease)).spec?.leaseTransitions).toBe(8)
    await operator.kill()
    await client.delete(leases, lease)
    operator = start('third')
    await change(62)
    expect((await client.get(leases, lease)).spec?.leaseTransitions).toBe(9)
    expect(operator.hasEnded).toBe(false)
  })

  it('show within a second that a Secret is gone, and have its successor', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const gone: number[] = []
    const back: number[] = []
    const secret = { namespace: 'voice', name: 'account' }
    for (let round = 0; round < 5; round++) {
      const data = { password: Buffer.from(`password ${round}`).toString('base64') }
      let began = Date.now()
      await client.delete(secrets, secret)
      await until(client, sipTrunks, carrier, (trunk) => conditionOf(trunk, 'ResolvedRefs')?.status === 'False')
      gone.push(Date.now() - began)
      began = Date.now()
      await client.create(secrets, { metadata: secret, data } as never)
      await until(client, sipTrunks, carrier, (trunk) => conditionOf(trunk, 'ResolvedRefs')?.status === 'True')
      back.push(Date.now() - began)
    }
    // On a machine that does nothing else all of them; the quickest shows that nothing waits for a second by itself.
    for (const times of [gone, back]) expect(Math.min(...times)).toBeLessThan(1_000)
  })

  it('let a trunk go when the registrar has answered, and not before', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    let answers = false
    const departures: (() => void)[] = []
    const registrar = await openPeer((request) => {
      if (!isUnregister(request)) return answerAll(request)
      departures.shift()?.()
      return answers ? answerAll(request) : undefined
    }, '127.0.0.2')
    const { address: host, port } = registrar
    const leaving = { namespace: 'voice', name: 'leaving' }
    await createAccount(client, 'x', 'leaving')
    await client.create(sipTrunks, {
      metadata: leaving,
      spec: {
        voiceServiceRef: { name: 'edge' },
        targets: [{ name: 'main', host, port }],
        registration: {
          registrars: [{ name: 'main', host, port }],
          accounts: [{ name: 'office', number: '100', secretRef: { name: 'leaving' } }],
        },
      },
    })
    await untilTrue(client, sipTrunks, 'leaving', ['Ready', 'Registered'])
    // The first un-REGISTER and its retransmission: by then the replica has long said that it no longer runs the trunk.
    const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    departures.push(...asked.map(({ resolve }) => resolve))
    await client.delete(sipTrunks, leaving)
    const deletedAt = Date.now()
    await Promise.all(asked.map(({ promise }) => promise))
    expect((await client.get(sipTrunks, leaving)).metadata.finalizers).toEqual(['sbcfleet.dev/unregister'])
    answers = true
    await until(client, sipTrunks, leaving, (trunk) => trunk === undefined)
    // It was not the deadline that let it go.
    expect(Date.now() - deletedAt).toBeLessThan(25_000)
    registrar.close()
  })
})
