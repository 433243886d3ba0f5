import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import {
  type AnyObject,
  clientOf,
  installDefinitions,
  makeNamespace,
  secrets,
  sipTrunks,
  until,
  voiceServices,
} from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { type Received, openPeer } from '../trunks/udp-peer.ts'
import { freePorts, operatorNamespace, Programs } from './processes.ts'

const statefulSets = { group: 'apps', version: 'v1', kind: 'StatefulSet', plural: 'statefulsets', namespaced: true }

/** `True`, `False` or `Unknown`; undefined when there is no such condition. */
function conditionOf(object: AnyObject | undefined, type: string) {
  const conditions = object?.status?.['conditions'] as
    | { type: string; status: string; reason: string; message: string }[]
    | undefined
  return conditions?.find((one) => one.type === type)
}

describe.skipIf(!inject('kubernetes'))('the operator on a real Kubernetes API', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let registrar: Awaited<ReturnType<typeof openPeer>>
  let controlPort = 0

  beforeAll(async () => {
    plane = await startControlPlane()
    client = clientOf(plane)
    await installDefinitions(client)
    await plane.startControllers()
    await makeNamespace(client, operatorNamespace)
    await makeNamespace(client, 'voice')
    registrar = await openPeer(answer)
    programs = new Programs(plane, client)
    const [control = 0, probe = 0] = await freePorts(2)
    controlPort = control
    programs.operator('operator-0', control, probe)
  }, longestStart)
  afterAll(async () => {
    await programs?.stop()
    registrar?.close()
    await plane?.stop()
  }, 60_000)

  const trunk = { namespace: 'voice', name: 'carrier' }

  it('brings a fleet from manifests to status True, and back to nothing', { timeout: 60_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const [sip = 0] = await freePorts(1)
    await client.create(secrets, {
      metadata: { namespace: 'voice', name: 'account' },
      data: { password: Buffer.from('x').toString('base64') },
    } as AnyObject)
    await client.create(voiceServices, {
      metadata: { namespace: 'voice', name: 'edge' },
      spec: { listeners: [{ name: 'udp', transport: 'UDP', port: sip }] },
    })
    await client.create(sipTrunks, {
      metadata: trunk,
      spec: {
        voiceServiceRef: { name: 'edge' },
        targets: [{ name: 'main', host: '127.0.0.1', port: registrar.port }],
        registration: {
          registrars: [{ name: 'main', host: '127.0.0.1', port: registrar.port }],
          accounts: [{ name: 'office', number: '100', secretRef: { name: 'account' } }],
        },
      },
    })

    const waiting = await until(client, voiceServices, { namespace: 'voice', name: 'edge' }, (service) => {
      return conditionOf(service, 'Programmed')?.reason === 'NoReplicas'
    })
    expect(conditionOf(waiting, 'Reconciling')?.status).toBe('True')
    await programs.replica('voice/edge', 'edge-0', '127.0.0.1', [controlPort])
    const service = await until(client, voiceServices, { namespace: 'voice', name: 'edge' }, (object) => {
      return conditionOf(object, 'Ready')?.status === 'True'
    })
    expect(service?.status).toMatchObject({ replicas: { desired: 1, ready: 1, programmed: 1 }, observedGeneration: 1 })
    expect(conditionOf(service, 'Reconciling')).toBeUndefined()
    const registered = await until(client, sipTrunks, trunk, (object) => {
      return ['Ready', 'Registered', 'Reachable'].every((type) => conditionOf(object, type)?.status === 'True')
    })
    expect(registered?.metadata.finalizers).toEqual(['sbcfleet.dev/unregister'])
    expect(JSON.stringify(registered)).not.toContain('eA==')

    await client.delete(sipTrunks, trunk)
    await until(client, sipTrunks, trunk, (object) => object === undefined)
    await client.delete(voiceServices, { namespace: 'voice', name: 'edge' })
    await until(client, statefulSets, { namespace: 'voice', name: 'edge' }, (object) => object === undefined)
    expect(registrar.received.some(isUnregister)).toBe(true)
  })
})

function answer({ method, text }: Received): { status: string; headers?: string[] } {
  if (method !== 'REGISTER') return { status: '200 OK' }
  const contact = /^Contact: *(.*)$/im.exec(text)?.[1] ?? ''
  return { status: '200 OK', headers: [`Contact: ${contact.replace(/;expires=\d+/, '')};expires=600`] }
}

function isUnregister({ method, text }: Received): boolean {
  return method === 'REGISTER' && (/^Expires: *0\s*$/im.test(text) || /;expires=0\b/i.test(text))
}
