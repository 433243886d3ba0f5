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
import type { ControlPlane } from '../kube/control-plane.ts'
import type { Received } from '../trunks/udp-peer.ts'
import { operatorNamespace } from './processes.ts'

/** Our kinds and the two namespaces, in a control plane whose controllers run; resolves with a client of it. */
export async function prepare(plane: ControlPlane): Promise<KubeClient> {
  const client = clientOf(plane)
  await installDefinitions(client)
  await plane.startControllers()
  await makeNamespace(client, operatorNamespace)
  await makeNamespace(client, 'voice')
  return client
}

export const statefulSets = {
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  namespaced: true,
}

export interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

/** A condition of a status; undefined when there is none of that type. */
export function conditionOf(object: AnyObject | undefined, type: string): Condition | undefined {
  return (object?.status?.['conditions'] as Condition[] | undefined)?.find((one) => one.type === type)
}

/** Resolves with an object of the namespace `voice` when these conditions are True, in this generation or a later one. */
export async function untilTrue(
  client: KubeClient,
  resource: typeof sipTrunks,
  name: string,
  types: readonly string[],
  generation = 0,
): Promise<AnyObject> {
  const object = await until(client, resource, { namespace: 'voice', name }, (seen) => {
    const isSeen = Number(seen?.status?.['observedGeneration'] ?? -1) >= generation
    return isSeen && types.every((type) => conditionOf(seen, type)?.status === 'True')
  })
  if (object === undefined) throw new Error(`${name} is gone`)
  return object
}

/** Creates a VoiceService `edge` with one listener and a SipTrunk `carrier` that registers and is challenged, both in `voice`. */
export async function createFleet(client: KubeClient, ports: { listener: number; peer: number }): Promise<void> {
  await createAccount(client, 'x')
  await client.create(voiceServices, {
    metadata: { namespace: 'voice', name: 'edge' },
    spec: { listeners: [{ name: 'udp', transport: 'UDP', port: ports.listener }] },
  })
  await client.create(sipTrunks, {
    metadata: { namespace: 'voice', name: 'carrier' },
    spec: {
      voiceServiceRef: { name: 'edge' },
      targets: [{ name: 'main', host: '127.0.0.1', port: ports.peer }],
      registration: {
        registrars: [{ name: 'main', host: '127.0.0.1', port: ports.peer }],
        accounts: [{ name: 'office', number: '100', secretRef: { name: 'account' } }],
      },
      authentication: {
        inbound: { realm: 'edge.example', users: [{ name: 'peer', secretRef: { name: 'account' } }] },
      },
    },
  })
}

export async function createAccount(client: KubeClient, password: string, name = 'account'): Promise<void> {
  const data = { password: Buffer.from(password).toString('base64') }
  await client.create(secrets, { metadata: { namespace: 'voice', name }, data } as AnyObject)
}

/** A peer that is there, and takes every REGISTER. */
export function answerAll({ method, text }: Received): { status: string; headers?: string[] } {
  if (method !== 'REGISTER') return { status: '200 OK' }
  const contact = /^Contact: *(.*)$/im.exec(text)?.[1] ?? ''
  return { status: '200 OK', headers: [`Contact: ${contact.replace(/;expires=\d+/, '')};expires=600`] }
}

export function isUnregister({ method, text }: Received): boolean {
  return method === 'REGISTER' && (/^Expires: *0\s*$/im.test(text) || /;expires=0\b/i.test(text))
}
