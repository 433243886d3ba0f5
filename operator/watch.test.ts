import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { Cluster } from './cluster.ts'
import { secrets } from './control-certificate.ts'
import type { KubeObject } from './kube/resource.ts'
import type { Change } from './kube/store.ts'
import { goneIn, watchesOf } from './watch.ts'

const listener = (tls: object) => ({ name: 'tls', transport: 'TLS', port: 5061, tls })
const fleets = {
  edge: { listeners: [listener({ secretRef: { name: 'own' }, clientCaRef: { name: 'clients' } })] },
  lab: { listeners: [listener({ secretRef: { name: 'lab' }, additionalSecretRefs: [{ name: 'own' }] })] },
  plain: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
}
const trunks = {
  carrier: { voiceServiceRef: { name: 'plain' }, tls: { caRef: { name: 'carrier-ca' }, secretRef: { name: 'own' } } },
}

function cluster(): Cluster {
  const made = new Cluster([], createLog({ level: 'error', name: 'test', write: () => {} }))
  const object = (kind: string, name: string, spec: object) => ({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind,
    metadata: { name, namespace: 'voice', uid: name, resourceVersion: '1' },
    spec,
  })
  made.voiceServices.replace(Object.entries(fleets).map(([name, spec]) => object('VoiceService', name, spec)))
  made.trunks.replace(Object.entries(trunks).map(([name, spec]) => object('SipTrunk', name, spec)))
  return made
}

describe('a Secret', () => {
  it.each([
    ['own', ['voice/edge', 'voice/lab', 'voice/plain']],
    ['clients', ['voice/edge']],
    ['lab', ['voice/lab']],
    ['carrier-ca', ['voice/plain']],
    ['another', []],
  ])('%s wakes the fleets whose listeners or trunks name it', (name, expected) => {
    const watch = watchesOf(cluster()).find(({ resource }) => resource === secrets)
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'voice' } }
    expect([...(watch?.wakes(secret) ?? [])].sort()).toEqual(expected)
  })
})

describe('an object', () => {
  const object = (uid: string, resourceVersion: string) => ({ metadata: { name: 'edge', uid, resourceVersion } })
  const [first, changed, another] = [object('1', '1'), object('1', '2'), object('2', '3')]

  it.each<[string, Change<KubeObject>, KubeObject | undefined]>([
    ['there when it is new', { type: 'added', key: 'edge', object: first }, undefined],
    ['there when it has changed', { type: 'updated', key: 'edge', object: changed, old: first }, undefined],
    ['gone when it was removed', { type: 'removed', key: 'edge', old: first }, first],
    ['gone when another one has its name', { type: 'updated', key: 'edge', object: another, old: first }, first],
  ])('is %s', (_, change, gone) => {
    expect(goneIn(change)).toBe(gone)
  })
})
