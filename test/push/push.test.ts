import { afterEach, describe, expect, it } from 'vitest'
import type { Snapshot } from '#api/snapshot.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { Applier } from '../../dataplane/config/apply.ts'
import { ControlClient } from '../../dataplane/config/control-client.ts'
import { compile } from '../../operator/compile/compile.ts'
import { sharedToken } from '../../operator/push/authenticate.ts'
import { PushServer } from '../../operator/push/push-server.ts'
import type { ReplicaState } from '../../operator/push/replica-state.ts'
import { worldOf } from '../replica/manifests.ts'

const fleet = 'voice/edge'
const token = 'a token of the test'
const log = createLog({ level: 'error', name: 'test', write: () => undefined })
const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function control(epoch: number) {
  const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken(token), epoch })
  ends.push(() => server.close())
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 })
  return { server, url }
}

function replica(name: string, urls: readonly string[]) {
  const sockets = { open: (wanted: never) => Promise.resolve(wanted), reload: () => {}, close: async () => {} }
  const applier = new Applier({ fleet, addresses: ['127.0.0.1'], sockets, clock: systemClock, log })
  const client = new ControlClient({
    urls,
    token: () => Promise.resolve(token),
    fleet,
    replica: name,
    instance: `${name} of the test`,
    applier,
    report: () => ({ targets: [], registrations: [], calls: 0 }),
    onMembers: () => undefined,
    onFindings: () => undefined,
    onConnection: () => undefined,
    clock: systemClock,
    log,
    random: Math.random,
  })
  ends.push(() => client.stop())
  client.start()
  return { applier, client }
}

function until(server: PushServer, holds: (replicas: readonly ReplicaState[]) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (holds(server.replicas(fleet))) resolve()
    }
    server.onChange(look)
    look()
  })
}

function snapshotOf(calledPattern: string): Snapshot {
  return compile(worldOf({ port: 5060, pbx: 5070, carrier: 5080, calledPattern })).snapshot
}

const runs = (revision: string) => (replicas: readonly ReplicaState[]) =>
  replicas.length > 0 && replicas.every((each) => each.revision === revision && !each.pending)

describe('a compiled snapshot', () => {
  it('is run by all replicas, every version of it, and the next one after it', async () => {
    const { server, url } = await control(1)
    const replicas = ['edge-0', 'edge-1', 'edge-2'].map((name) => replica(name, [url]))
    for (const pattern of ['1.*', '2.*', '3.*']) {
      const snapshot = snapshotOf(pattern)
      server.publish(snapshot, { replicas: 3 })
      await until(server, (states) => states.length === 3 && runs(snapshot.revision)(states))
      const versions = new Map<string, string>(snapshot.resources.map(({ key, version }) => [key, version]))
      for (const state of server.replicas(fleet)) expect(state).toMatchObject({ errors: [], versions })
      for (const { applier } of replicas) {
        expect(applier.running.current?.routes.inOrder.map(({ config }) => config.match.calledPattern)).toEqual([
          pattern,
        ])
      }
    }
    await until(server, () => replicas.every(({ client }) => client.members.replicas.length === 3))
  })

  it('goes out once in the end when many are published in a burst', async () => {
    const { server, url } = await control(1)
    const { applier } = replica('edge-0', [url])
    const revisions: string[] = []
    applier.running.onChange(({ revision }) => revisions.push(revision))
    const snapshots = Array.from({ length: 50 }, (_, index) => snapshotOf(`${index}.*`))
    await until(server, (states) => states.length === 1)
    for (const snapshot of snapshots) server.publish(snapshot)
    const last = snapshots.at(-1)?.revision ?? ''
    await until(server, runs(last))
    expect(revisions).toEqual([snapshots[0]?.revision, last])
  })
})

describe('two control sides', () => {
  it('are obeyed by their epoch: a new leader takes over, and the old one is refused', async () => {
    const [old, next] = [await control(1), await control(2)]
    const { applier } = replica('edge-0', [old.url, next.url])
    const [first, second, third] = [snapshotOf('1.*'), snapshotOf('2.*'), snapshotOf('3.*')]
    old.server.publish(first)
    await until(old.server, runs(first.revision))
    await until(next.server, (states) => states.length === 1)

    next.server.publish(second)
    await until(next.server, runs(second.revision))
    expect(applier.running.current?.revision).toBe(second.revision)

    old.server.publish(third)
    await until(old.server, ([state]) => state?.refused === 'OldEpoch')
    expect(applier.running.current?.revision).toBe(second.revision)
  })

  it('agree on what runs, even when the new leader goes back to what it saw at first', async () => {
    const [old, next] = [await control(1), await control(2)]
    const [before, between] = [snapshotOf('1.*'), snapshotOf('2.*')]
    old.server.publish(before)
    const { applier } = replica('edge-0', [old.url])
    await until(old.server, runs(before.revision))
    const both = replica('edge-1', [old.url, next.url])
    await until(old.server, (states) => states.length === 2 && runs(before.revision)(states))
    await until(next.server, (states) => states.length === 1)
    old.server.publish(between)
    await until(old.server, runs(between.revision))

    next.server.publish(before)
    await until(next.server, runs(before.revision))
    expect(both.applier.running.current?.routes.inOrder[0]?.config.match.calledPattern).toBe('1.*')
    expect(applier.running.current?.revision).toBe(between.revision)
  })
})
