import { expect, it } from 'vitest'
import type { KubeObject, OwnerReference } from '../kube/resource.ts'
import { services } from './kinds.ts'
import { foreignness } from './ownership.ts'

const owner: OwnerReference = {
  apiVersion: 'sbcfleet.dev/v1alpha1',
  kind: 'VoiceService',
  name: 'edge',
  uid: 'b',
  controller: true,
}
const labels = { 'app.kubernetes.io/instance': 'edge', 'app.kubernetes.io/managed-by': 'sbcfleet' }
const metadata = { namespace: 'voice', name: 'edge', labels, ownerReferences: [owner] }
const check = (live: Partial<KubeObject['metadata']>) =>
  foreignness({ metadata: { name: 'edge', ...live } }, { resource: services, manifest: { metadata } })

it.each<[string, Partial<KubeObject['metadata']>]>([
  ['its VoiceService controls', { ownerReferences: [owner] }],
  ['its VoiceService controls, and somebody took the labels from', { ownerReferences: [owner], labels: {} }],
  ['a VoiceService of the same name controlled before', { ownerReferences: [{ ...owner, uid: 'a' }] }],
  [
    'it controlled under another version of the API',
    { ownerReferences: [{ ...owner, apiVersion: 'sbcfleet.dev/v1', uid: 'a' }] },
  ],
  ['was left without an owner', { labels: { ...labels, team: 'voice' }, ownerReferences: [] }],
])("an object is the fleet's that %s", (_what, live) => {
  expect(check(live)).toBeUndefined()
})

it.each<[string, Partial<KubeObject['metadata']>, string]>([
  ['nobody controls and that lacks our labels', { labels: { app: 'db' } }, 'nobody controls it'],
  ['was left by another fleet', { labels: { ...labels, 'app.kubernetes.io/instance': 'e' } }, 'nobody controls it'],
  ['only names us among its owners', { ownerReferences: [{ ...owner, controller: false }] }, 'nobody controls it'],
  [
    'another fleet controls, whatever its labels',
    { labels, ownerReferences: [{ ...owner, name: 'ed', uid: 'a' }] },
    'VoiceService ed controls it',
  ],
  [
    'a namesake of another group controls',
    { labels, ownerReferences: [{ ...owner, apiVersion: 'example.com/v1', uid: 'a' }] },
    'VoiceService edge controls it',
  ],
])("an object is somebody else's that %s", (_what, live, why) => {
  expect(check(live)).toBe(
    `Service edge exists and is not this fleet's (${why}); rename or delete it, or rename the VoiceService`,
  )
})
