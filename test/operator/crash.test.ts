import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { leases } from '../../operator/kube/leader-election.ts'
import type { ObjectName } from '../../operator/kube/resource.ts'
import { ownedKinds } from '../../operator/watch.ts'
import { sipTrunks, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { freePorts } from '../sip/free-port.ts'
import { DeadlyProxy, type Moment } from './deadly-proxy.ts'
import { conditionOf, createAccount, prepare } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

/** A certificate, seven objects and a finalizer. What a process leaves undone is the next one's, which dies elsewhere in it. */
const deaths = 10

describe.skipIf(!inject('kubernetes'))('an operator that is killed between any two writes', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let proxy: DeadlyProxy
  let ports: readonly number[]

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    await createAccount(client, 'x')
    proxy = await DeadlyProxy.start(plane)
    programs = new Programs(plane, client)
    ports = await freePorts(2)
  })
  afterAll(async () => {
    await programs?.stop()
    proxy?.stop()
    await plane?.stop()
  })

  async function createFleet(name: string): Promise<void> {
    await client.create(voiceServices, {
      metadata: { namespace: 'voice', name },
      spec: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
    })
    await client.create(sipTrunks, {
      metadata: { namespace: 'voice', name },
      spec: {
        voiceServiceRef: { name },
        targets: [{ name: 'main', host: '192.0.2.1' }],
        registration: {
          registrars: [{ name: 'main', host: '192.0.2.1' }],
          accounts: [{ name: 'office', number: '100', secretRef: { name: 'account' } }],
        },
      },
    })
  }

  function start(name: string) {
    return programs.operator(name, ports[0] ?? 0, ports[1] ?? 0, {}, { server: proxy.address })
  }

  /** The Lease of a process that was killed would hold up the next one for its whole duration. */
  async function bury(): Promise<void> {
    await client.delete(leases, { namespace: operatorNamespace, name: 'sbcfleet' })
  }

  async function killedAt(write: number, moment: Moment): Promise<void> {
    const operator = start(`dies-${moment}-${write}`)
    await proxy.killAt(write, moment, () => operator.kill())
    await bury()
  }

  it('leaves nothing half done that its successor does not finish', { timeout: 300_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const names: string[] = []
    for (let write = 1; write <= deaths; write++) {
      names.push(`fleet-${write}`)
      await createFleet(`fleet-${write}`)
      await killedAt(write, write % 2 === 0 ? 'before' : 'after')
    }
    proxy.spare()
    start('lives')
    for (const name of names) await isWhole(name)

    for (const name of names) await client.delete(sipTrunks, { namespace: 'voice', name })
    for (const name of names)
      await until(client, sipTrunks, { namespace: 'voice', name }, (trunk) => trunk === undefined)
  })

  /** Everything of a fleet is there, is its own, and is said to be so. */
  async function isWhole(name: string): Promise<void> {
    const named: ObjectName = { namespace: 'voice', name }
    const service = await until(client, voiceServices, named, (object) => {
      return conditionOf(object, 'Programmed')?.reason === 'NoReplicas'
    })
    const trunk = await until(client, sipTrunks, named, (object) => {
      return conditionOf(object, 'Accepted')?.status === 'True' && object?.metadata.finalizers !== undefined
    })
    expect(trunk?.metadata.finalizers).toEqual(['sbcfleet.dev/unregister'])
    const owned = await Promise.all(
      ownedKinds.map(async (kind) => {
        const { items } = await client.list(kind, {
          namespace: 'voice',
          labelSelector: `app.kubernetes.io/instance=${name}`,
        })
        for (const { metadata } of items)
          expect(metadata.ownerReferences?.map(({ uid }) => uid)).toEqual([service?.metadata.uid])
        return items.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by'] === 'sbcfleet').length
      }),
    )
    expect(owned.reduce((sum, count) => sum + count, 0)).toBe(7)
  }
})
