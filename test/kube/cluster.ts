import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { systemClock } from '#lib/clock.ts'
import { createLog, type Log } from '#lib/log.ts'
import { KubeClient } from '../../operator/kube/client.ts'
import { kubeMetrics } from '../../operator/kube/metrics.ts'
import { Reflector } from '../../operator/kube/reflector.ts'
import { keyOf, type KubeObject, type ObjectName, type Resource } from '../../operator/kube/resource.ts'
import { configFromText } from '../../operator/kube/kubeconfig.ts'
import type { ControlPlane } from './control-plane.ts'

/** Any object; tests read what they need of it. */
export interface AnyObject extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

export interface CustomResourceDefinition extends KubeObject {
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string; readonly plural: string }
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: object } }[]
  }
  readonly status?: { readonly conditions?: readonly { type: string; status: string; message: string }[] }
}

export const namespaces: Resource = core('Namespace', 'namespaces', false)
export const configMaps: Resource<KubeObject & { data?: Record<string, string> }> = core('ConfigMap', 'configmaps')
export const secrets: Resource = core('Secret', 'secrets')
export const services: Resource<AnyObject> = core('Service', 'services')
export const voiceServices: Resource<AnyObject> = ours('VoiceService', 'voiceservices')
export const sipTrunks: Resource<AnyObject> = ours('SipTrunk', 'siptrunks')
export const definitions: Resource<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
}

export const silentLog: Log = createLog({ level: 'error', name: 'test', write: () => {} })

/** The CRD of a plural, as it is generated. */
export function definitionOf(plural: string): CustomResourceDefinition {
  const path = join(import.meta.dirname, '../../crds', `sbcfleet.dev_${plural}.yaml`)
  return parse(readFileSync(path, 'utf8')) as CustomResourceDefinition
}

/** An administrator's client, or that of somebody else, for another way to the server if there is one. */
export function clientOf(plane: ControlPlane, who: { as?: string; server?: string } = {}): KubeClient {
  const config = parse(plane.kubeconfigFor(who.server ?? plane.server)) as { users: { user: { as?: string } }[] }
  for (const { user } of config.users) if (who.as !== undefined) user.as = who.as
  return new KubeClient({ config: configFromText(JSON.stringify(config)), clock: systemClock })
}

/** What the API server says of an object of ours before the operator does. */
export const initialStatus = {
  conditions: [
    {
      type: 'Ready',
      status: 'Unknown',
      reason: 'Pending',
      message: 'Waiting for the operator.',
      lastTransitionTime: '1970-01-01T00:00:00Z',
    },
  ],
}

/** Installs the CRDs, and resolves when the API server serves them. */
export async function installDefinitions(client: KubeClient): Promise<void> {
  for (const plural of ['voiceservices', 'siptrunks']) {
    const definition = definitionOf(plural)
    await client.apply(definitions, definition, { fieldManager: 'test' })
    await until(client, definitions, definition.metadata, (installed) =>
      (installed?.status?.conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True'),
    )
  }
}

/** Makes a namespace with a name that begins so, and returns the name. */
export async function makeNamespace(client: KubeClient, name: string): Promise<string> {
  await client.create(namespaces, { metadata: { name } })
  return name
}

/** Resolves with an object as soon as it is as it should be; undefined stands for an object that is not there. */
export async function until<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  { namespace, name }: ObjectName,
  holds: (object: T | undefined) => boolean,
): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<T | undefined>()
  const look = (object: T | undefined) => {
    if (holds(object)) resolve(object)
  }
  const key = keyOf({ metadata: { name, ...(namespace === undefined ? {} : { namespace }) } })
  const reflector = new Reflector<T>({
    client,
    resource,
    selection: { namespace, fieldSelector: `metadata.name=${name}` },
    clock: systemClock,
    log: silentLog,
    metrics: kubeMetrics(),
    sink: {
      replace: (objects) => look(objects.find((object) => keyOf(object) === key)),
      upsert: look,
      remove: () => look(undefined),
    },
  })
  reflector.start()
  const object = await promise
  await reflector.stop()
  return object
}

function core<T extends KubeObject>(kind: string, plural: string, namespaced = true): Resource<T> {
  return { group: '', version: 'v1', kind, plural, namespaced }
}

function ours<T extends KubeObject>(kind: string, plural: string): Resource<T> {
  return { group: 'sbcfleet.dev', version: 'v1alpha1', kind, plural, namespaced: true }
}
