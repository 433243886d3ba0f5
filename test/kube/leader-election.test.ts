import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { leases } from '../../operator/kube/leader-election.ts'
import { Arrivals } from '../../operator/kube/testing/arrivals.ts'
import { clientOf, makeNamespace } from './cluster.ts'
import { longestStart, startControlPlane, type ControlPlane } from './control-plane.ts'
import { Relay } from './relay.ts'

describe.skipIf(!inject('kubernetes'))('leader election between processes on a real API server', () => {
  let plane: ControlPlane
  let client: KubeClient
  let namespace: string
  let news: Arrivals<string>
  let children: ChildProcess[]
  let tests = 0

  beforeAll(async () => {
    plane = await startControlPlane()
    client = clientOf(plane)
  }, longestStart)
  afterAll(async () => {
    client?.close()
    await plane?.stop()
  })
  beforeEach(async () => {
    namespace = await makeNamespace(client, `test-${++tests}`)
    news = new Arrivals()
    children = []
  })
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL')
  })

  function compete(identity: string, server = plane.server): ChildProcess {
    const script = join(import.meta.dirname, 'candidate.ts')
    const child = spawn(process.execPath, [script, identity, namespace], { stdio: ['pipe', 'pipe', 'inherit'] })
    children.push(child)
    child.stdin.end(plane.kubeconfigFor(server))
    createInterface(child.stdout).on('line', (line) => news.add(`${identity} ${line}`))
    return child
  }
  const lease = async () => (await client.get(leases, { namespace, name: 'operator' })).spec

  it('passes to the next one, under the next epoch, when the leader is killed', async () => {
    const a = compete('a')
    expect(await news.next()).toBe('a elected 0')
    expect(await lease()).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 16, leaseTransitions: 0 })
    compete('b')
    a.kill('SIGKILL')
    expect(await news.next()).toBe('b elected 1')
    expect(await lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 })
  })

  it('passes on at once when the leader is asked to end', async () => {
    const a = compete('a')
    expect(await news.next()).toBe('a elected 0')
    a.kill('SIGTERM')
    expect(await once(a, 'exit')).toEqual([0, null])
    expect(await lease()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 })
    compete('b')
    expect(await news.next()).toBe('b elected 1')
  })

  it('never has two leaders, when one can no longer reach the API server', async () => {
    const relay = await Relay.start(plane.server)
    compete('a', relay.address)
    expect(await news.next()).toBe('a elected 0')
    compete('b')
    relay.cut()
    expect([await news.next(), await news.next()]).toEqual(['a lost', 'b elected 1'])
    relay.restore()
    await relay.stop()
  })
})
