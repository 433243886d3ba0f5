import { describe, expect, it, onTestFinished } from 'vitest'
import { type StatusFile, startFleet } from '../sip/fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { headerOf, openPeer, type Received } from './udp-peer.ts'

interface Target {
  readonly name: string
  readonly state: string
  readonly lastCode?: number
}

describe('the status of a trunk', () => {
  it('follows targets: Up, Down with the code, Up again (item 9, check 8)', async () => {
    const { fleet, answerFirst } = await open('200 OK')
    await fleet.until('both targets are up', (all) => states(all) === 'Up Up')
    answerFirst('503 Service Unavailable')
    await fleet.until('the first is down', (all) => states(all) === 'Down Up')
    expect(targetsOf(fleet.statuses())).toMatchObject([
      { name: 'first', lastCode: 503 },
      { name: 'second', lastCode: 200 },
    ])
    expect(conditionOf(fleet.statuses(), 'Reachable')).toMatchObject({ status: 'True', reason: 'PartiallyUp' })
    answerFirst('200 OK')
    await fleet.until('the first is up again', (all) => states(all) === 'Up Up')
    expect(conditionOf(fleet.statuses(), 'Reachable')).toMatchObject({ status: 'True', reason: 'AllTargetsUp' })
  })

  it('is Registered and Partial while one registrar of two answers 503 (item 24, check 2)', async () => {
    const { fleet, first, second } = await open('503 Service Unavailable')
    await fleet.until('it is registered with one', (all) => conditionOf(all, 'Registered')?.reason === 'Partial')
    expect(conditionOf(fleet.statuses(), 'Registered')).toMatchObject({ status: 'True' })
    for (const { received } of [first, second]) expect(received.map(({ method }) => method)).toContain('REGISTER')
  })
})

/** A fleet with a trunk of two targets that are registrars, too; the first answers everything as it is told. */
async function open(answer: string) {
  let firstAnswers = answer
  const first = await openPeer((request) => (firstAnswers === '200 OK' ? accept(request) : { status: firstAnswers }))
  const second = await openPeer(accept)
  const [port = 0] = await freePorts(1)
  const fleet = await startFleet(manifests(port, [first.port, second.port]))
  onTestFinished(async () => {
    await fleet.stop()
    first.close()
    second.close()
  })
  return { fleet, first, second, answerFirst: (status: string) => void (firstAnswers = status) }
}

function accept(request: Received): { status: string; headers?: string[] } {
  const [contact] = request.method === 'REGISTER' ? headerOf(request, 'Contact') : []
  if (contact === undefined) return { status: '200 OK' }
  return { status: '200 OK', headers: [`Contact: ${contact.replace(/;expires=\d+/, '')};expires=600`] }
}

function trunkOf(statuses: StatusFile[]): StatusFile | undefined {
  return statuses.find(({ kind }) => kind === 'SipTrunk')
}

function targetsOf(statuses: StatusFile[]): Target[] {
  return (trunkOf(statuses)?.status['targets'] ?? []) as Target[]
}

function states(statuses: StatusFile[]): string {
  return targetsOf(statuses)
    .map(({ state }) => state)
    .join(' ')
}

function conditionOf(statuses: StatusFile[], type: string) {
  return trunkOf(statuses)?.status.conditions?.find((condition) => condition.type === type)
}

function manifests(port: number, [first, second]: readonly number[]): Record<string, string> {
  return {
    'fleet.yaml': `apiVersion: sbcfleet.dev/v1alpha1
kind: VoiceService
metadata: { name: edge, namespace: voice }
spec:
  replicas: 1
  listeners:
    - { name: sip, transport: UDP, port: ${port} }
`,
    'carrier.yaml': `apiVersion: sbcfleet.dev/v1alpha1
kind: SipTrunk
metadata: { name: carrier, namespace: voice }
spec:
  voiceServiceRef: { name: edge }
  keepalive: { upIntervalSeconds: 5, downIntervalSeconds: 5, timeoutSeconds: 4, failureThreshold: 1 }
  targets:
    - { name: first, host: 127.0.0.1, port: ${first} }
    - { name: second, host: 127.0.0.1, port: ${second} }
  registration:
    registrars:
      - { name: first, host: 127.0.0.1, port: ${first}, expiresSeconds: 60 }
      - { name: second, host: 127.0.0.1, port: ${second}, expiresSeconds: 60 }
    accounts:
      - { name: office, number: "100", secretRef: { name: account } }
---
apiVersion: v1
kind: Secret
metadata: { name: account, namespace: voice }
stringData: { password: of the test }
`,
  }
}
