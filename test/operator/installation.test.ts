import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import {
  type CustomResourceDefinition,
  clientOf,
  definitionOf,
  definitions,
  installDefinitions,
  makeNamespace,
  until,
  voiceServices,
} from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import type { Process } from '../kube/process.ts'
import { freePorts } from '../sip/free-port.ts'
import { conditionOf } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

/** A definition in the form that an older release might have had. */
type Older = (definition: CustomResourceDefinition) => CustomResourceDefinition

describe.skipIf(!inject('kubernetes'))('an operator whose CustomResourceDefinitions are missing or old', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let operator: Process
  let probe = 0

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = clientOf(plane)
    await plane.startControllers()
    await makeNamespace(client, operatorNamespace)
    await makeNamespace(client, 'voice')
    programs = new Programs(plane, client)
    const ports = await freePorts(2)
    probe = ports[1] ?? 0
    operator = programs.operator('operator', ports[0] ?? 0, probe)
  })
  afterAll(async () => {
    await programs?.stop()
    await plane?.stop()
  })

  async function install(plural: string, older: Older): Promise<void> {
    const definition = older(definitionOf(plural))
    await client.apply(definitions, definition, { fieldManager: 'test', force: true })
    await until(client, definitions, definition.metadata, (installed) =>
      (installed?.status?.conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True'),
    )
  }

  const answers = async (path: string) =>
    (await fetch(`http://127.0.0.1:${probe}${path}`).catch(() => undefined))?.status ?? 0

  it(
    'says what is missing and what to do, lives, and starts to work when it is there',
    { timeout: 240_000 },
    async () => {
      onTestFailed(() => console.error(programs.lastLines()))
      await operator.said(/does not serve sbcfleet\.dev\/v1alpha1: apply crds\/ of this release/)
      expect([await answers('/healthz'), await answers('/readyz')]).toEqual([200, 503])

      // Of another version.
      await install('voiceservices', (definition) => ({
        ...definition,
        spec: { ...definition.spec, versions: definition.spec.versions.map((one) => ({ ...one, name: 'v1alpha0' })) },
      }))
      await client.delete(definitions, { name: 'voiceservices.sbcfleet.dev' })
      await until(client, definitions, { name: 'voiceservices.sbcfleet.dev' }, (found) => found === undefined)

      // One of two.
      await install('voiceservices', (definition) => definition)
      await operator.said(/sbcfleet\.dev\/v1alpha1 has no SipTrunk: apply crds\//)

      // Of this version, with a field of the status missing that an older release did not have.
      await install('voiceservices', withoutStatusField('calls'))
      await install('siptrunks', (definition) => definition)
      const edge = { namespace: 'voice', name: 'edge' }
      await client.create(voiceServices, {
        metadata: edge,
        spec: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
      })
      await operator.said(/the CustomResourceDefinition of VoiceService is older than this program.*apply crds\//)
      expect(operator.hasEnded).toBe(false)

      await installDefinitions(client)
      await client.patch(voiceServices, edge, { spec: { replicas: 3 } })
      const service = await until(client, voiceServices, edge, (object) => {
        return conditionOf(object, 'Programmed')?.reason === 'NoReplicas'
      })
      expect(service?.status).toMatchObject({ calls: 0, replicas: { desired: 3 } })
      expect([operator.hasEnded, await answers('/readyz')]).toEqual([false, 200])
    },
  )
})

function withoutStatusField(field: string): Older {
  return (definition) => {
    const copy = structuredClone(definition)
    for (const { schema } of copy.spec.versions) {
      const { openAPIV3Schema } = schema as {
        openAPIV3Schema: { properties: { status: { properties: Record<string, unknown> } } }
      }
      delete openAPIV3Schema.properties.status.properties[field]
    }
    return copy
  }
}
