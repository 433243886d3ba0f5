import { pino } from 'pino'
import { expect, it } from 'vitest'
import type { Snapshot } from '#api/snapshot.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Cluster, type OurObject } from './cluster.ts'
import { FleetStatuses } from './fleet-statuses.ts'
import { Applier } from './kube/apply.ts'
import { FleetReconciler } from './reconcile.ts'

const apiVersion = 'sbcfleet.dev/v1alpha1'

const voiceService: OurObject = {
  apiVersion,
  kind: 'VoiceService',
  metadata: { namespace: 'voice', name: 'edge', uid: 'edge', generation: 1 },
  spec: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
}

function trunk(generation: number, host: string, status: object = {}): OurObject {
  return {
    apiVersion,
    kind: 'SipTrunk',
    metadata: { namespace: 'voice', name: 'pbx', uid: 'pbx', generation },
    spec: { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'main', host }] },
    status,
  }
}

function follower() {
  const clock = new ManualClock()
  const log = pino({ level: 'silent' })
  const cluster = new Cluster([], log)
  const published: Snapshot[] = []
  const state = { leads: false }
  const refuse = () => Promise.reject(new Error('nothing is to be asked of the API server'))
  const reconciler = new FleetReconciler({
    cluster,
    api: { patch: refuse },
    applier: new Applier({ apply: refuse, get: refuse }),
    push: { publish: (snapshot) => void published.push(snapshot), forget: () => {}, replicas: () => [] },
    statuses: new FleetStatuses({
      replicas: () => [],
      writer: { write: () => {}, forget: () => {} },
      events: { record: () => {} },
      clock,
    }),
    isLeader: () => state.leads,
    isListed: () => true,
    rivals: { isRunBy: async () => false },
    podFailures: { find: async () => ({}), forget: () => {} },
    settings: () => undefined,
    nonceRoot: () => undefined,
    clock,
    log,
  })
  cluster.voiceServices.upsert(voiceService)
  let version = 0
  const see = async (object: OurObject) => {
    cluster.trunks.upsert({ ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } })
    await reconciler.reconcile('voice/edge', AbortSignal.timeout(10_000))
    return published.at(-1)?.resources.find(({ key }) => key === 'Trunk/pbx')?.origin.generation
  }
  return { see, published, state }
}

it('one that takes the lead knows what was good when it stood by, and publishes nothing before', async () => {
  const { see, published, state } = follower()
  await see(trunk(1, '192.0.2.1'))
  expect(published).toEqual([])
  state.leads = true
  expect(await see(trunk(2, '10.0.0.300'))).toBe(1)
})

it('one that takes the lead believes the status of the leader before it, which has seen more', async () => {
  const { see, state } = follower()
  await see(trunk(1, '192.0.2.1'))
  // Generations 2 and 3 came and went before it was looked at, and 3 was good.
  await see(trunk(4, '10.0.0.300'))
  const lastGood = { uid: 'pbx', generation: 3, spec: trunk(3, '192.0.2.3').spec }
  await see(trunk(4, '10.0.0.300', { lastGood }))
  state.leads = true
  expect(await see(trunk(4, '10.0.0.300', { lastGood }))).toBe(3)
})

it('one that leads believes itself alone', async () => {
  const { see, state } = follower()
  state.leads = true
  await see(trunk(1, '192.0.2.1'))
  expect(await see(trunk(4, '10.0.0.300'))).toBe(1)
  const lastGood = { uid: 'pbx', generation: 3, spec: trunk(3, '192.0.2.3').spec }
  expect(await see(trunk(5, '10.0.0.301', { lastGood }))).toBe(1)
})
