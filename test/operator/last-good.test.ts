import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed, vi } from 'vitest'
import type { KubeClient } from '../../operator/kube/client.ts'
import { leases } from '../../operator/kube/leader-election.ts'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { type AnyObject, sipTrunks, until, voiceServices } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import type { Process } from '../kube/process.ts'
import { freePorts } from '../sip/free-port.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { answerAll, conditionOf, createFleet, prepare, untilTrue } from './fleet.ts'
import { operatorNamespace, Programs } from './processes.ts'

const edge = { namespace: 'voice', name: 'edge' }
const carrier = { namespace: 'voice', name: 'carrier' }

describe.skipIf(!inject('kubernetes'))('what turns invalid, and an operator that ends', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let peer: Awaited<ReturnType<typeof openPeer>>
  let listener: number
  let control: number
  let probe: number
  let operator: Process

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = await prepare(plane)
    peer = await openPeer(answerAll)
    programs = new Programs(plane, client)
    ;[listener = 0, control = 0, probe = 0] = await freePorts(3)
    operator = programs.operator('operator-0', control, probe)
  })
  afterAll(async () => {
    await programs?.stop()
    peer?.close()
    await plane?.stop()
  })

  /** The Lease of a process that was killed would hold up the next one for its whole duration. */
  async function bury(): Promise<void> {
    await client.delete(leases, { namespace: operatorNamespace, name: 'sbcfleet' })
  }

  /** Whether an operator has looked at each fleet there is. */
  async function hasLookedAtAll(probePort: number): Promise<boolean> {
    const { items } = await client.list(voiceServices, { namespace: 'voice' })
    const text = await fetch(`http://127.0.0.1:${probePort}/metrics`).then((answer) => answer.text(), String)
    const sum = (metric: string, label: string) =>
      [...text.matchAll(new RegExp(`^${metric}\\{[^}]*${label}="fleet"[^}]*\\} (\\d+)$`, 'gm'))]
        .map(([, count]) => Number(count))
        .reduce((total, count) => total + count, 0)
    const isIdle = sum('workqueue_depth', 'name') + sum('controller_runtime_active_workers', 'controller') === 0
    return isIdle && sum('controller_runtime_reconcile_total', 'controller') >= items.length
  }

  function setTarget(host: string): Promise<AnyObject> {
    return client.patch(sipTrunks, carrier, { spec: { targets: [{ name: 'main', host, port: peer.port }] } })
  }

  function setRoute(calledPattern: string): Promise<AnyObject> {
    const route = { name: 'numbers', match: { calledPattern }, targets: [{ trunkRef: { name: 'carrier' } }] }
    return client.patch(voiceServices, edge, { spec: { routes: [route] } })
  }

  it('goes on under the next one, and leaves no trace when it is mended', { timeout: 180_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    await createFleet(client, { listener, peer: peer.port })
    await setRoute('[0-9]+')
    await programs.replica('voice/edge', 'edge-0', '127.0.0.1', [control])
    const { status: whileGood } = await untilTrue(client, sipTrunks, 'carrier', ['Ready', 'Registered', 'Reachable'])
    expect(whileGood?.['lastGood']).toBeUndefined()

    const stalled = (object: AnyObject | undefined) => conditionOf(object, 'Stalled') !== undefined
    await setTarget('10.0.0.300')
    const trunk = await until(client, sipTrunks, carrier, stalled)
    expect(trunk?.status?.['lastGood']).toMatchObject({
      uid: trunk?.metadata.uid,
      generation: 1,
      spec: { targets: [{ host: '127.0.0.1' }] },
    })
    expect(JSON.stringify(trunk)).not.toContain('password')
    await setRoute('(')
    const service = await until(client, voiceServices, edge, stalled)
    expect(service?.status?.['lastGood']).toMatchObject({
      routes: [{ generation: 2, route: { match: { calledPattern: '[0-9]+' } } }],
    })

    await operator.kill()
    await bury()
    operator = programs.operator('operator-1', control, probe)
    // A change that reaches the replica shows that the second one has compiled all of it, and pushed it.
    const changed = await client.patch(voiceServices, edge, { spec: { admission: { maxCalls: 77 } } })
    const programmed = await until(client, voiceServices, edge, (object) => {
      const seen = Number(object?.status?.['observedGeneration'] ?? 0)
      return seen === changed.metadata.generation && conditionOf(object, 'Programmed')?.status === 'True'
    })
    expect(programmed?.status).toMatchObject({ trunks: 1, lastGood: { routes: [{ generation: 2 }] } })
    // The trunk asks for credentials. A source of no trunk would get no answer.
    expect(await answerToCall(listener)).toMatchObject({ status: 401 })
    const still = await until(client, sipTrunks, carrier, stalled)
    expect(conditionOf(still, 'Accepted')?.message).toMatch(/of generation 1, goes on/)
    expect(still?.status?.['lastGood']).toEqual(trunk?.status?.['lastGood'])

    const mended = await setTarget('127.0.0.1')
    const clean = await untilTrue(client, sipTrunks, 'carrier', ['Ready', 'Reachable'], mended.metadata.generation)
    expect(clean.status?.['lastGood']).toBeUndefined()
    const { metadata } = await setRoute('[0-9]+')
    const whole = await untilTrue(client, voiceServices, 'edge', ['Ready'], metadata.generation)
    expect(whole.status?.['lastGood']).toBeUndefined()
  })

  it('goes on under one that stood by, though it turned invalid while nobody led', { timeout: 180_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const named = { namespace: 'voice', name: 'watched' }
    await client.create(voiceServices, {
      metadata: named,
      spec: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
    })
    await client.create(sipTrunks, {
      metadata: named,
      spec: { voiceServiceRef: { name: 'watched' }, targets: [{ name: 'main', host: '192.0.2.1' }] },
    })
    await until(client, sipTrunks, named, (object) => conditionOf(object, 'Accepted')?.status === 'True')
    const [otherControl = 0, otherProbe = 0] = await freePorts(2)
    const other = programs.operator('operator-2', otherControl, otherProbe)
    await vi.waitUntil(() => hasLookedAtAll(otherProbe), { timeout: 60_000, interval: 100 })

    await operator.kill()
    await client.patch(sipTrunks, named, { spec: { targets: [{ name: 'main', host: '10.0.0.300' }] } })
    await bury()
    operator = other
    control = otherControl
    probe = otherProbe
    const trunk = await until(client, sipTrunks, named, (object) => conditionOf(object, 'Stalled') !== undefined)
    expect(conditionOf(trunk, 'Accepted')?.message).toMatch(/of generation 1, goes on/)
    expect(trunk?.status?.['lastGood']).toMatchObject({ generation: 1, spec: { targets: [{ host: '192.0.2.1' }] } })
  })

  it('fits into the status, were it a whole dial plan', { timeout: 120_000 }, async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const wide = { namespace: 'voice', name: 'wide' }
    const routes = (pattern: (index: number) => string) =>
      Array.from({ length: 1_000 }, (_, index) => ({
        name: `route-${index}`,
        match: { calledPattern: pattern(index) },
        targets: [{ trunkRef: { name: 'wide' } }],
      }))
    await client.create(voiceServices, {
      metadata: wide,
      spec: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }], routes: routes(String) },
    })
    await client.create(sipTrunks, {
      metadata: wide,
      spec: { voiceServiceRef: { name: 'wide' }, targets: [{ name: 'main', host: '192.0.2.1' }] },
    })
    await until(client, voiceServices, wide, (object) => conditionOf(object, 'ResolvedRefs')?.status === 'True')
    await client.patch(voiceServices, wide, { spec: { routes: routes(() => '(') } })
    const object = await until(client, voiceServices, wide, (seen) => conditionOf(seen, 'Stalled') !== undefined)
    const kept = object?.status?.['lastGood'] as { routes: { generation: number }[] } | undefined
    expect(kept?.routes).toHaveLength(1_000)
    expect(new Set(kept?.routes.map(({ generation }) => generation))).toEqual(new Set([1]))
  })
})

/** What a call from the carrier's address gets. */
async function answerToCall(port: number) {
  const caller = await SipPeer.udp()
  caller.send(requestText(caller, { method: 'INVITE', uri: `sip:100@127.0.0.1:${port}`, callId: 'call' }), port)
  const { message } = await caller.next(({ status }) => status > 100)
  await caller.close()
  return message
}
