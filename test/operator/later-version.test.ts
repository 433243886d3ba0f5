import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed, vi } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import {
  type CustomResourceDefinition,
  clientOf,
  definitionOf,
  definitions,
  makeNamespace,
  sipTrunks,
  until,
  voiceServices,
} from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { conditionOf } from './fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { operatorNamespace, Programs } from './processes.ts'

type Version = CustomResourceDefinition['spec']['versions'][number]

const later = 'v1alpha2'

/** As a later release might have it: its own version is what is stored, and takes what ours does not know. */
function laterVersion(version: Version): Version {
  // Selectable fields are those that the schema has.
  const { selectableFields: _, ...copy } = structuredClone(version) as Version & { selectableFields?: unknown }
  const { openAPIV3Schema } = copy.schema as { openAPIV3Schema: { properties: Record<string, object> } }
  openAPIV3Schema.properties['spec'] = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  return { ...copy, name: later }
}

describe.skipIf(!inject('kubernetes'))('an operator whose CustomResourceDefinitions are of a later release', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = clientOf(plane)
    await plane.startControllers()
    await makeNamespace(client, operatorNamespace)
    await makeNamespace(client, 'voice')
    programs = new Programs(plane, client)
  }, 60_000)
  afterAll(async () => {
    await programs?.stop()
    await plane?.stop()
  }, 60_000)

  /** Installs both definitions with these versions made of ours. */
  async function install(versionsOf: (ours: Version) => Version[]): Promise<void> {
    for (const plural of ['voiceservices', 'siptrunks']) {
      const definition = definitionOf(plural)
      const versions = definition.spec.versions.flatMap(versionsOf)
      const { metadata } = await client.apply(
        definitions,
        { ...definition, spec: { ...definition.spec, versions } } as CustomResourceDefinition,
        { fieldManager: 'test', force: true },
      )
      await until(client, definitions, metadata, (installed) =>
        (installed?.status?.conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True'),
      )
    }
  }

  const both = (ours: Version) => [laterVersion(ours), { ...ours, storage: false }]

  it(
    'says what is served, works when its own version is served beside it, and outlives that it goes away',
    { timeout: 300_000 },
    async () => {
      onTestFailed(() => console.error(programs.lastLines()))
      await install((ours) => [laterVersion(ours)])
      const [control = 0, probe = 0] = await freePorts(2)
      const operator = programs.operator('operator', control, probe)
      const answers = async (path: string) =>
        (await fetch(`http://127.0.0.1:${probe}${path}`).catch(() => undefined))?.status ?? 0
      await operator.said(/serves sbcfleet\.dev as v1alpha2, and this release only knows v1alpha1: run the release/)
      expect([await answers('/healthz'), await answers('/readyz')]).toEqual([200, 503])

      await install(both)
      const as = <T extends object>(resource: T) => ({ ...resource, version: later })
      const edge = { namespace: 'voice', name: 'edge' }
      const listeners = [{ name: 'udp', transport: 'UDP', port: 5060 }]
      await client.create(as(voiceServices), { metadata: edge, spec: { replicas: 1, listeners } })
      const trunk = (name: string, spec: object) =>
        client.create(as(sipTrunks), {
          metadata: { namespace: 'voice', name },
          spec: { voiceServiceRef: { name: 'edge' }, ...spec },
        })
      await trunk('carrier', { targets: [{ name: 'main', host: '192.0.2.1' }], colour: 'unknown to us' })
      await trunk('renamed', { peers: [{ name: 'main', host: '192.0.2.2' }] })
      const carrier = { namespace: 'voice', name: 'carrier' }
      await until(client, sipTrunks, carrier, (object) => conditionOf(object, 'Accepted')?.status === 'True')
      const unreadable = await until(client, sipTrunks, { namespace: 'voice', name: 'renamed' }, (object) => {
        return conditionOf(object, 'Accepted')?.status === 'False'
      })
      expect(conditionOf(unreadable, 'Accepted')).toMatchObject({
        reason: 'Invalid',
        message: expect.stringMatching(/spec\.targets.*are operator and CustomResourceDefinitions of one release/),
      })
      expect([operator.hasEnded, await answers('/readyz')]).toEqual([false, 200])

      await install((ours) => [laterVersion(ours), { ...ours, storage: false, served: false }])
      await operator.said(/is the CRD siptrunks\.sbcfleet\.dev installed, and does it have v1alpha1\?/)
      expect([operator.hasEnded, await answers('/healthz')]).toEqual([false, 200])

      await install(both)
      // The definitions were established all the while; the API server serves a version again a moment after it was told.
      await vi.waitFor(() => client.get(sipTrunks, carrier), { timeout: 60_000, interval: 100 })
      const { metadata } = await client.patch(sipTrunks, carrier, { spec: { keepalive: { upIntervalSeconds: 99 } } })
      await until(client, sipTrunks, carrier, (object) => {
        return Number(object?.status?.['observedGeneration'] ?? 0) >= (metadata.generation ?? 0)
      })
      expect(operator.hasEnded).toBe(false)
    },
  )
})
