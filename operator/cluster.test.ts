import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { Cluster, type OurObject, secretsOf } from './cluster.ts'
import { keyOf } from './kube/resource.ts'
import { ownedKinds, watchesOf, wokenBy } from './watch.ts'

const account = { name: 'main', number: '100', secretRef: { name: 'account' } }
const trunk: OurObject = {
  kind: 'SipTrunk',
  metadata: { namespace: 'voice', name: 'carrier', uid: 't', generation: 1 },
  spec: {
    voiceServiceRef: { name: 'edge' },
    targets: [{ name: 'main', host: '192.0.2.1' }],
    registration: { registrars: [{ name: 'main', host: '192.0.2.1' }], accounts: [account] },
  },
}
const service: OurObject = {
  kind: 'VoiceService',
  metadata: { namespace: 'voice', name: 'edge', uid: 's', generation: 1 },
  spec: {
    listeners: [
      {
        name: 'tls',
        transport: 'TLS',
        port: 5061,
        tls: { secretRef: { name: 'one' }, clientCaRef: { name: 'authority' } },
      },
    ],
  },
}

function setUp() {
  const cluster = new Cluster(ownedKinds, createLog({ level: 'error', name: 'test', write: () => undefined }))
  cluster.voiceServices.upsert(service)
  cluster.trunks.upsert(trunk)
  return cluster
}

describe('Secrets', () => {
  it('are found wherever a spec names them', () => {
    expect(secretsOf(trunk)).toEqual(['voice/account'])
    expect(secretsOf(service)).toEqual(['voice/one', 'voice/authority'])
    const several = { additionalSecretRefs: [{ name: 'a' }, { name: 'b' }], tls: { caRef: { name: 'c' } } }
    expect(secretsOf({ ...trunk, spec: several })).toEqual(['voice/a', 'voice/b', 'voice/c'])
  })

  it.each(['account', 'one', 'authority'])('wake the fleet that names %s', (name) => {
    const watch = watchesOf(setUp()).find(({ resource }) => resource.kind === 'Secret')
    const secret = { metadata: { namespace: 'voice', name } }
    if (watch === undefined) throw new Error('Secrets are not watched')
    expect([...wokenBy(watch, { type: 'removed', key: keyOf(secret), old: secret })]).toEqual(['voice/edge'])
  })

  it('of a fleet are those that it names, and no others', () => {
    const cluster = setUp()
    for (const name of ['account', 'one', 'stray']) {
      cluster.secrets.upsert({ metadata: { namespace: 'voice', name }, data: {} })
    }
    const { secrets } = cluster.fleet('voice/edge')
    expect(secrets.map(({ metadata }) => metadata.name).toSorted()).toEqual(['account', 'one'])
  })
})

describe('an object that this release does not understand', () => {
  it('is there with the field and the cause, and hides no other', () => {
    const cluster = setUp()
    cluster.trunks.upsert({
      ...trunk,
      metadata: { ...trunk.metadata, name: 'odd', uid: 'o' },
      spec: { ...(trunk.spec as object), magic: 1 },
    })
    const read = cluster.fleet('voice/edge').trunks
    expect(read.map(({ object, value }) => [object.metadata.name, value !== undefined])).toEqual([
      ['carrier', true],
      ['odd', false],
    ])
    expect(read[1]?.problem).toMatch(/^spec.*magic.*one release/s)
  })
})
