import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { leases } from '../../operator/kube/leader-election.ts'
import { serviceAccounts } from '../../operator/resources/kinds.ts'
import { type AnyObject, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { freePorts } from '../sip/free-port.ts'
import { conditionOf, prepare, statefulSets } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

const edge = { namespace: 'voice', name: 'edge' }

describe.skipIf(!inject('kubernetes'))('two operators of different releases for the same namespaces', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    programs = new Programs(plane, client)
  }, 60_000)
  afterAll(async () => {
    await programs?.stop()
    await plane?.stop()
  }, 60_000)

  /** Of which operator a fleet's replicas look for. */
  const controlOf = (statefulSet: AnyObject | undefined) =>
    /wss:\/\/([a-z]+)-control\./.exec(JSON.stringify(statefulSet?.spec))?.[1]

  it('do not change the fleets of one another while both are there', { timeout: 90_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const ports = await freePorts(4)
    const start = (name: string, [control = 0, probe = 0]: readonly number[]) =>
      programs.operator(name, control, probe, { SBCFLEET_LEASE: name, SBCFLEET_CONTROL_SERVICE: `${name}-control` })
    const first = start('first', ports.slice(0, 2))
    const spec = { replicas: 1, listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] }
    await client.create(voiceServices, { metadata: edge, spec })
    await until(client, voiceServices, edge, (object) => conditionOf(object, 'Programmed')?.reason === 'NoReplicas')

    const second = start('second', ports.slice(2))
    await second.said(/another operator runs this fleet/)
    const account = { namespace: 'voice', name: 'edge-replica' }
    const { uid } = (await client.get(serviceAccounts, account)).metadata
    await client.delete(serviceAccounts, account)
    const renewed = await until(client, serviceAccounts, account, (object) => {
      return object !== undefined && object.metadata.uid !== uid
    })
    expect(renewed?.metadata.annotations?.['sbcfleet.dev/operator']).toBe(`${operatorNamespace}/first`)
    const { metadata } = await client.patch(voiceServices, edge, { spec: { replicas: 2 } })
    await until(client, voiceServices, edge, (object) => {
      return object?.status?.['observedGeneration'] === metadata.generation
    })
    const changed = await until<AnyObject>(client, statefulSets, edge, (object) => {
      return (object as AnyObject | undefined)?.spec?.['replicas'] === 2
    })
    // It was made, and scaled.
    expect([controlOf(changed), changed?.metadata.generation]).toEqual(['first', 2])

    await first.kill()
    await client.delete(leases, { namespace: operatorNamespace, name: 'first' })
    const taken = await until<AnyObject>(client, statefulSets, edge, (object) => {
      return controlOf(object as AnyObject | undefined) === 'second'
    })
    expect(taken?.metadata.uid).toBe(changed?.metadata.uid)
  })
})
