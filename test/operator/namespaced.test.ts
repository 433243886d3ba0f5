import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import type { KubeObject, Resource } from '../../operator/kube/resource.ts'
import {
  type AnyObject,
  clientOf,
  initialStatus,
  installDefinitions,
  makeNamespace,
  sipTrunks,
  until,
  voiceServices,
} from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { freePorts } from '../sip/free-port.ts'
import { kubernetesVersion, provide } from '../tools/programs.ts'
import { conditionOf, createFleet, statefulSets } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

const chart = join(import.meta.dirname, '../../charts/sbcfleet')

describe.skipIf(!inject('kubernetes'))('an operator with the rights that the chart gives for one namespace', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let tools: Record<'helm' | 'kubectl', string>

  beforeAll(async () => {
    tools = await provide('helm', 'kubectl')
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = clientOf(plane)
    await installDefinitions(client)
    await plane.startControllers()
    for (const name of [operatorNamespace, 'voice', 'late', 'other', 'tight']) await makeNamespace(client, name)
    giveRights('voice')
    programs = new Programs(plane, client)
  })
  afterAll(async () => {
    await programs?.stop()
    await plane?.stop()
  })

  function giveRights(...namespaces: readonly string[]): void {
    const rights = ['service-account', 'rbac'].flatMap((name) => ['--show-only', `templates/${name}.yaml`])
    const values = ['--set', `watchNamespaces={${namespaces.join(',')}}`, '--kube-version', kubernetesVersion]
    const release = ['template', 'sbcfleet', chart, '-n', operatorNamespace]
    kubectl(['apply', '-f', '-'], execFileSync(tools.helm, [...release, ...rights, ...values], { encoding: 'utf8' }))
  }

  function kubectl(args: readonly string[], input?: string): string {
    const env = { ...process.env, KUBECONFIG: plane.kubeconfig }
    return execFileSync(tools.kubectl, args, { encoding: 'utf8', env, ...(input !== undefined && { input }) })
  }

  it('runs the fleets of that namespace, and sees no other', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const [control = 0, probe = 0, listener = 0] = await freePorts(3)
    const foreign = {
      metadata: { namespace: 'other', name: 'edge' },
      spec: { listeners: [{ name: 'a', transport: 'UDP', port: 1 }] },
    }
    await client.create(voiceServices, foreign)
    await createFleet(client, { listener, peer: 9 })
    const token = kubectl(['create', 'token', 'sbcfleet', '-n', operatorNamespace]).trim()
    const operator = programs.operator('limited', control, probe, { SBCFLEET_NAMESPACES: 'voice' }, { token })
    await until(client, voiceServices, { namespace: 'voice', name: 'edge' }, (service) => {
      return conditionOf(service, 'Programmed')?.reason === 'NoReplicas'
    })
    const trunk = await until(client, sipTrunks, { namespace: 'voice', name: 'carrier' }, (object) => {
      return conditionOf(object, 'Accepted')?.status === 'True' && object?.metadata.finalizers !== undefined
    })
    expect(conditionOf(trunk, 'ResolvedRefs')?.status).toBe('True')
    expect((await client.get(voiceServices, foreign.metadata)).status).toEqual(initialStatus)
    const metrics = await (await fetch(`http://127.0.0.1:${probe}/metrics`)).text()
    // Nothing that it asked for was more than it may.
    expect(metrics).toMatch(/rest_client_requests_total\{[^}]*code="200"/)
    expect(metrics).not.toMatch(/rest_client_requests_total\{[^}]*code="403"/)
    await operator.kill()
  })

  it('says why pods cannot be made, for as long as that is so', { timeout: 180_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const [control = 0, probe = 0] = await freePorts(2)
    giveRights('tight')
    const quota = { namespace: 'tight', name: 'none' }
    await client.create(quotas, { metadata: quota, spec: { hard: { pods: '0' } } })
    await until(client, quotas, quota, (object) => object?.status?.['hard'] !== undefined)
    const edge = { namespace: 'tight', name: 'edge' }
    await client.create(voiceServices, {
      metadata: edge,
      spec: { listeners: [{ name: 'a', transport: 'UDP', port: 5060 }] },
    })
    const token = kubectl(['create', 'token', 'sbcfleet', '-n', operatorNamespace]).trim()
    const operator = programs.operator('tight', control, probe, { SBCFLEET_NAMESPACES: 'tight' }, { token })
    const stuck = await until(client, voiceServices, edge, (service) => {
      return conditionOf(service, 'Programmed')?.reason === 'FailedCreate'
    })
    const words = /edge-0.*forbidden: exceeded quota: none, requested: pods=1/
    for (const type of ['Programmed', 'Ready', 'Reconciling']) expect(conditionOf(stuck, type)?.message).toMatch(words)
    expect(kubectl(['describe', 'vsvc', 'edge', '-n', 'tight'])).toMatch(words)

    await client.patch(quotas, quota, { spec: { hard: { pods: '1' } } })
    await until(client, voiceServices, edge, (service) => conditionOf(service, 'Programmed')?.reason === 'NoReplicas')
    const metrics = await (await fetch(`http://127.0.0.1:${probe}/metrics`)).text()
    expect(metrics).not.toMatch(/rest_client_requests_total\{[^}]*code="403"/)
    await operator.kill()
  })

  it(
    'does not wait for a namespace that is gone, and touches nothing of one until it may read all of it',
    {
      timeout: 90_000,
    },
    async () => {
      onTestFailed(() => console.error(programs.lastLines()))
      const [control = 0, probe = 0] = await freePorts(2)
      const spec = { listeners: [{ name: 'a', transport: 'UDP', port: 5060 }] }
      const late = { namespace: 'late', name: 'edge' }
      const first = { namespace: 'voice', name: 'first' }
      await client.create(voiceServices, { metadata: first, spec })
      await client.create(voiceServices, { metadata: late, spec })
      const role = { namespace: 'late', name: 'sbcfleet-fleets' }
      giveRights('voice', 'late')
      const { rules, metadata } = await client.get(roles, role)
      const fewer = rules.filter(({ resources }) => !resources.includes('siptrunks'))
      const some = { apiGroups: ['sbcfleet.dev'], resources: ['voiceservices'], verbs: ['get', 'list', 'watch'] }
      await client.replace(roles, { metadata, rules: [...fewer, some] })
      const token = kubectl(['create', 'token', 'sbcfleet', '-n', operatorNamespace]).trim()
      const environment = { SBCFLEET_NAMESPACES: 'gone,voice,late' }
      const operator = programs.operator('patient', control, probe, environment, { token })
      await until(client, statefulSets, first, (object) => object !== undefined)
      // Those of the first namespace are made after all namespaces were tried.
      await expect(client.get(statefulSets, late)).rejects.toThrow('404')
      expect((await client.get(voiceServices, late)).status).toEqual(initialStatus)
      expect((await fetch(`http://127.0.0.1:${probe}/readyz`)).status).toBe(200)
      for (const name of ['gone', 'late']) await operator.said(new RegExp(`namespace ${name} is gone or not allowed`))

      giveRights('voice', 'late')
      await until(client, voiceServices, late, (service) => conditionOf(service, 'Programmed')?.reason === 'NoReplicas')
      await operator.kill()
    },
  )
})

const quotas: Resource<AnyObject> = {
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  namespaced: true,
}

interface Role extends KubeObject {
  readonly rules: readonly { apiGroups: readonly string[]; resources: readonly string[]; verbs: readonly string[] }[]
}

const roles: Resource<Role> = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'Role',
  plural: 'roles',
  namespaced: true,
}
