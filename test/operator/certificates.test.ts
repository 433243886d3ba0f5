import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFailed } from 'vitest'
import { issueAuthority, issueServer, type KeyPair } from '../../operator/certificates/issue.ts'
import { type CertificateSet, renewed } from '../../operator/certificates/plan.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import {
  clientOf,
  configMaps,
  installDefinitions,
  makeNamespace,
  secrets,
  sipTrunks,
  until,
  voiceServices,
} from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { freePorts } from '../sip/free-port.ts'
import { openPeer } from '../trunks/udp-peer.ts'
import { answerAll, createFleet, untilTrue } from './fleet.ts'
import { Programs } from './processes.ts'

const day = 86_400_000
const service = 'sbcfleet-control.sbcfleet.svc'
const dnsNames = [service, `${service}.cluster.local`]
const secretName = { namespace: 'sbcfleet', name: 'sbcfleet-control-tls' }
const validity = { from: Date.now() - day, to: Date.now() + 30 * day }

describe.skipIf(!inject('kubernetes'))('the certificate that replicas see', () => {
  let plane: ControlPlane
  let client: KubeClient
  let programs: Programs
  let peer: Awaited<ReturnType<typeof openPeer>>
  let listener: number
  let control: number
  let probe: number

  beforeAll(async () => {
    plane = await startControlPlane()
  }, longestStart)
  beforeAll(async () => {
    client = clientOf(plane)
    await installDefinitions(client)
    await plane.startControllers()
    await makeNamespace(client, 'sbcfleet')
    await makeNamespace(client, 'voice')
    peer = await openPeer(answerAll)
  })
  beforeEach(async () => {
    ;[listener = 0, control = 0, probe = 0] = await freePorts(3)
    programs = new Programs(plane, client)
    return async () => {
      await programs.stop()
      for (const kind of [sipTrunks, voiceServices, secrets] as const) {
        for (const namespace of ['voice', 'sbcfleet']) {
          for (const { metadata } of (await client.list(kind, { namespace })).items) {
            if (kind === sipTrunks) await client.patch(kind, metadata, { metadata: { finalizers: [] } })
            await client.delete(kind, metadata)
            await until(client, kind, metadata, (object) => object === undefined)
          }
        }
      }
    }
  })
  afterAll(async () => {
    peer?.close()
    await plane?.stop()
  })

  /** Writes the Secret as cert-manager does, or as the operator. */
  async function write(data: Record<string, string>): Promise<void> {
    const encoded = Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    )
    const annotations = {
      'cert-manager.io/certificate-name': 'sbcfleet-control',
      'cert-manager.io/issuer-kind': 'Issuer',
    }
    const wanted = { metadata: { ...secretName, annotations }, type: 'kubernetes.io/tls', data: encoded }
    await client.apply(secrets, wanted, { fieldManager: 'cert-manager', force: true })
  }

  function issued(authority: KeyPair, authorities: string): Record<string, string> {
    const { certificate, key } = issueServer(authority, dnsNames, validity)
    return { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': authorities }
  }

  function open(authorities: string): TLSSocket {
    return connect({ host: '127.0.0.1', port: control, ca: authorities, servername: service })
  }

  /** Connects until the certificate is this one. */
  async function untilServed(certificate: string, authorities: string): Promise<void> {
    const { fingerprint256 } = new X509Certificate(certificate)
    for (;;) {
      const socket = open(authorities)
      const found = await new Promise<string | undefined>((resolve) => {
        socket.once('secureConnect', () => resolve(socket.getPeerX509Certificate()?.fingerprint256))
        socket.once('error', () => resolve(undefined))
      })
      socket.destroy()
      if (found === fingerprint256) return
    }
  }

  async function change(upIntervalSeconds: number): Promise<void> {
    const spec = { keepalive: { upIntervalSeconds } }
    const { metadata } = await client.patch(sipTrunks, { namespace: 'voice', name: 'carrier' }, { spec })
    await untilTrue(client, sipTrunks, 'carrier', ['Programmed'], metadata.generation)
  }

  const authoritiesTold = (holds: (text: string) => boolean) =>
    until(client, configMaps, { namespace: 'voice', name: 'edge-control' }, (config) =>
      holds(config?.data?.['ca.crt'] ?? ''),
    )

  it('comes from cert-manager, and its renewals cut nobody off, another authority included', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const authority = issueAuthority('first', validity)
    const first = issued(authority, authority.certificate)
    const operator = programs.operator('first', control, probe, { SBCFLEET_TLS_ISSUER: 'Other' })
    await createFleet(client, { listener, peer: peer.port })
    await write(first)
    const replica = await programs.replica('voice/edge', 'edge-0', '127.0.0.1', [control])
    await untilTrue(client, sipTrunks, 'carrier', ['Programmed'])

    const second = issued(authority, authority.certificate)
    await write(second)
    await untilServed(second['tls.crt'] ?? '', authority.certificate)
    await change(61)

    // Another authority: first it is accepted beside the one before, then it signs.
    const other = issueAuthority('second', validity)
    const both = other.certificate + authority.certificate
    await write({ ...second, 'ca.crt': both })
    await authoritiesTold((text) => text === both)
    await programs.mount('voice/edge', 'edge-0')
    const third = issued(other, both)
    await write(third)
    await untilServed(third['tls.crt'] ?? '', other.certificate)
    await change(62)
    expect(replica.output.match(/connected to the control side/g)).toHaveLength(1)

    await operator.kill()
    programs.operator('second', control, probe, { SBCFLEET_TLS_ISSUER: 'Other' })
    await change(63)
    expect(replica.hasEnded).toBe(false)
  })

  it('is kept when the Secret holds what cannot be used', async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const authority = issueAuthority('first', validity)
    const good = issued(authority, authority.certificate)
    await write(good)
    programs.operator('first', control, probe, { SBCFLEET_TLS_ISSUER: 'Other' })
    await untilServed(good['tls.crt'] ?? '', authority.certificate)
    await write({ ...good, 'tls.key': issueServer(authority, dnsNames, validity).key })
    const better = issued(authority, authority.certificate)
    const socket = open(authority.certificate)
    await once(socket, 'secureConnect')
    socket.destroy()
    await write(better)
    await untilServed(better['tls.crt'] ?? '', authority.certificate)
  })

  it("is signed by the operator's next authority when replicas have it, and not before", async () => {
    onTestFailed(() => console.error(programs.lastLines()))
    const issue = (present: CertificateSet | undefined, now: number) => renewed(present, { dnsNames, now })
    const old = issue(undefined, Date.now() - 2500 * day)
    await write(dataOf(old))
    const operator = programs.operator('first', control, probe)
    await createFleet(client, { listener, peer: peer.port })
    const ours = old?.authority?.certificate ?? ''
    await authoritiesTold((text) => text.startsWith(ours) && text.length > ours.length)
    await programs.replica('voice/edge', 'edge-0', '127.0.0.1', [control])
    await untilTrue(client, sipTrunks, 'carrier', ['Programmed'])
    await operator.kill()

    // The same a day later.
    const announced = issue(old, Date.now() - 2 * day)
    await write(dataOf(announced))
    programs.operator('second', control, probe)
    const next = announced?.next?.certificate ?? ''
    await until(client, secrets as typeof configMaps, secretName, (secret) => {
      return Buffer.from(secret?.data?.['authority.crt'] ?? '', 'base64').toString() === next
    })
    await authoritiesTold((text) => text === next + ours)
  })
})

function dataOf(set: CertificateSet | undefined): Record<string, string> {
  return {
    'tls.crt': set?.server.certificate ?? '',
    'tls.key': set?.server.key ?? '',
    'ca.crt': set?.authorities ?? '',
    'authority.crt': set?.authority?.certificate ?? '',
    'authority.key': set?.authority?.key ?? '',
    ...(set?.next && { 'next-authority.crt': set.next.certificate, 'next-authority.key': set.next.key }),
  }
}
