import { expect, it, onTestFinished } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { sharedToken } from './authenticate.ts'
import { PushServer } from './push-server.ts'
import type { ReplicaState } from './replica-state.ts'
import { ReplicaSocket } from './testing/replica-socket.ts'
import { snapshotOf } from './testing/snapshots.ts'

it('comes to everybody, though only a few are sent at a time', async () => {
  const log = createLog({ level: 'error', name: 'test', write: () => undefined })
  const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken('token'), epoch: 1 })
  onTestFinished(() => server.close())
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 })
  const until = (holds: (states: readonly ReplicaState[]) => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => holds(server.replicas('voice/edge')) && resolve()
      server.onChange(look)
      look()
    })

  const snapshot = snapshotOf(Object.fromEntries(Array.from({ length: 400 }, (_, port) => [`l${port}`, port])))
  const replicas = await Promise.all(Array.from({ length: 40 }, () => ReplicaSocket.connect(url, 'token')))
  for (const [index, replica] of replicas.entries()) replica.hello({ replica: `edge-${index}` })
  // What one said first is void; it gets what it needs by its last word.
  const last = replicas.at(-1)
  last?.hello({ replica: 'edge-39', known: { 'Listener/l0': snapshot.resources[0]?.version ?? '' } })
  await last?.roundTrip()
  await until((states) => states.length === 40)
  // What is the same in all their hellos is kept once.
  expect(new Set(server.replicas('voice/edge').map(({ versions }) => versions)).size).toBe(2)
  server.publish(snapshot)
  for (const [index, replica] of replicas.entries()) {
    const delta = await replica.next('delta')
    expect(delta.upserts).toHaveLength(index === 39 ? 399 : 400)
    replica.ack(delta)
  }
  await until((states) => states.every(({ revision }) => revision === snapshot.revision))
})
