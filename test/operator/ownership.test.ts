import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { type AnyObject, configMaps, services, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { freePorts } from '../sip/free-port.ts'
import { provide } from '../tools/programs.ts'
import { conditionOf, prepare, statefulSets } from './fleet.ts'
import { Programs } from './processes.ts'

const serviceAccounts = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  namespaced: true,
} as const
const edge = { namespace: 'voice', name: 'edge' }
const spec = { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] }

describe.skipIf(!inject('kubernetes'))('objects with the names of those of a fleet', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let kubectl: (...args: readonly string[]) => string

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    const tools = await provide('kubectl')
    kubectl = (...args) => {
      const env = { ...process.env, KUBECONFIG: plane.kubeconfig }
      return execFileSync(tools.kubectl, args, { encoding: 'utf8', env })
    }
    programs = new Programs(plane, client)
    const [control = 0, probe = 0] = await freePorts(2)
    programs.operator('operator-0', control, probe)
  }, 60_000)
  afterAll(async () => {
    await programs?.stop()
    await plane?.stop()
  }, 60_000)

  const programmed = (reason: string, fleet = edge) =>
    until(client, voiceServices, fleet, (service) => conditionOf(service, 'Programmed')?.reason === reason)

  it('stay as they are, stay when the fleet goes, and keep it from being half made', { timeout: 60_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const control = { namespace: 'voice', name: 'edge-control' }
    const account = { namespace: 'voice', name: 'edge-replica' }
    const theirs = [
      await client.create(services, {
        metadata: edge,
        spec: { selector: { app: 'database' }, ports: [{ name: 'sql', port: 5432 }] },
      }),
      await client.create(configMaps, { metadata: control, data: { important: 'yes' } }),
      await client.create(serviceAccounts, { metadata: account }),
    ]
    const kept = async () => [
      await client.get(services, edge),
      await client.get(configMaps, control),
      await client.get(serviceAccounts, account),
    ]
    await client.create(voiceServices, { metadata: edge, spec })
    const refused = await programmed('ResourcesRefused')
    const { message = '' } = conditionOf(refused, 'Programmed') ?? {}
    for (const one of ['ServiceAccount edge-replica', 'ConfigMap edge-control', 'Service edge']) {
      expect(message).toContain(`${one} exists and is not this fleet's (nobody controls it); rename or delete it`)
    }
    expect(conditionOf(refused, 'Stalled')?.status).toBe('True')
    await expect(client.get(statefulSets, edge)).rejects.toThrow('404')
    await expect(client.get(services, { ...edge, name: 'edge-replicas' })).rejects.toThrow('404')
    expect(await kept()).toEqual(theirs)

    kubectl('delete', 'voiceservice', 'edge', '-n', 'voice', '--cascade=foreground')
    expect(await kept()).toEqual(theirs)

    await client.create(voiceServices, { metadata: edge, spec })
    await programmed('ResourcesRefused')
    kubectl('delete', '-n', 'voice', 'service/edge', 'configmap/edge-control', 'serviceaccount/edge-replica')
    await programmed('NoReplicas')
    await until(client, statefulSets, edge, (object) => object !== undefined)
  })

  it('are taken over when they are what a deleted fleet left', { timeout: 60_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const left = { namespace: 'voice', name: 'left' }
    await client.create(voiceServices, { metadata: left, spec })
    const before = await until(client, statefulSets, left, (object) => object !== undefined)
    kubectl('delete', 'voiceservice', 'left', '-n', 'voice', '--cascade=orphan')
    const orphan = await client.get(statefulSets, left)
    expect([orphan.metadata.uid, orphan.metadata.ownerReferences ?? []]).toEqual([before?.metadata.uid, []])
    const { metadata } = await client.create(voiceServices, { metadata: left, spec })
    const owns = (object: AnyObject | undefined) =>
      object?.metadata.ownerReferences?.some(({ uid, controller }) => uid === metadata.uid && controller === true) ===
      true
    await until(client, services, left, owns)
    const after = await until<AnyObject>(client, statefulSets, left, owns)
    expect(after?.metadata.uid).toBe(before?.metadata.uid)
    await programmed('NoReplicas', left)
  })
})
