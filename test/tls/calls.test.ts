import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { stringify } from 'yaml'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { answerWith, requestText, sdp, SipPeer, type Arrival } from '../engine/sip-peer.ts'
import { type Fleet, isTrue, startFleet } from '../sip/fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { Authority, expired, writePems } from './certificates.ts'

const authority = new Authority()
const stranger = new Authority()
const callerAddress = '127.0.0.2'
const calledAddress = '127.0.0.3'
const watchedAddress = '127.0.0.4'

function secret(name: string, data: Record<string, string>): string {
  return stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'voice' }, stringData: data })
}

function certificateSecret(name: string, { certificate, key }: { certificate: string; key: string }): string {
  return secret(name, { 'tls.crt': certificate, 'tls.key': key })
}

function manifests(ports: {
  listener: number
  openPort: number
  callerPort: number
  calledPort: number
}): Record<string, string> {
  const probed = { upIntervalSeconds: 5, downIntervalSeconds: 5, failureThreshold: 1 }
  const trunk = (name: string, address: string, port: number, keepalive: object = { enabled: false }) => ({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'SipTrunk',
    metadata: { name, namespace: 'voice' },
    spec: {
      voiceServiceRef: { name: 'edge' },
      keepalive,
      targets: [{ name: 'a', host: address, port, transport: 'TLS' }],
      tls: { caRef: { name: 'authority' }, serverName: `${name}.example` },
    },
  })
  const service = {
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'VoiceService',
    metadata: { name: 'edge', namespace: 'voice' },
    spec: {
      listeners: [
        {
          name: 'tls',
          transport: 'TLS',
          port: ports.listener,
          tls: { secretRef: { name: 'own' }, clientCaRef: { name: 'authority' } },
        },
        { name: 'open', transport: 'TLS', port: ports.openPort, tls: { secretRef: { name: 'own' } } },
      ],
      routes: [{ name: 'through', match: { trunks: ['caller'] }, targets: [{ trunkRef: { name: 'called' } }] }],
    },
  }
  return {
    'fleet.yaml': stringify(service),
    'caller.yaml': stringify(trunk('caller', callerAddress, ports.callerPort)),
    'called.yaml': stringify(trunk('called', calledAddress, ports.calledPort)),
    'scanner.yaml': stringify(trunk('scanner', '127.0.0.1', 5061)),
    'watched.yaml': stringify(trunk('watched', watchedAddress, ports.calledPort, probed)),
    'authority.yaml': secret('authority', { 'ca.crt': authority.certificate }),
    'own.yaml': certificateSecret('own', authority.issue({ dns: ['sbc.example'] })),
  }
}

describe('calls over TLS, from Secrets to sockets', () => {
  let fleet: Fleet
  let listener: number
  let openPort: number
  let ports: { callerPort: number; calledPort: number }
  const closing: (() => Promise<unknown> | void)[] = []

  beforeAll(async () => {
    const [first = 0, second = 0, callerPort = 0, calledPort = 0] = await freePorts(4)
    listener = first
    openPort = second
    ports = { callerPort, calledPort }
    fleet = await startFleet(manifests({ listener, openPort, ...ports }))
  })

  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })
  afterAll(() => fleet?.stop())

  async function peer(name: string, address: string, port: number, shown = authority.issue({ dns: [name] })) {
    const material = { cert: shown.certificate, key: shown.key, ca: authority.certificate }
    const opened = await SipPeer.tls(
      { ...material, requestCert: true, rejectUnauthorized: true },
      { ...material, host: '127.0.0.1', localAddress: address, servername: 'sbc.example' },
      address,
      undefined,
      port,
    )
    closing.push(() => opened.close())
    return opened
  }

  const caller = () => peer('caller.example', callerAddress, ports.callerPort)
  const called = (shown?: Parameters<typeof peer>[3]) =>
    peer('called.example', calledAddress, ports.calledPort, ...(shown === undefined ? [] : [shown]))

  function replicaLog(): string {
    const folder = join(fleet.statusDir, 'log')
    return readdirSync(folder)
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join('')
  }

  /** The subjectAltName of the certificate that a new connection sees. */
  async function shownName(): Promise<string | undefined> {
    const { certificate, key } = authority.issue({ dns: ['caller.example'] })
    const socket = connectTls({
      ...{ host: '127.0.0.1', port: listener, localAddress: callerAddress, servername: 'sbc.example' },
      ...{ ca: authority.certificate, cert: certificate, key },
    })
    await once(socket, 'secureConnect')
    const { subjectaltname } = socket.getPeerCertificate()
    socket.destroy()
    return subjectaltname
  }

  async function setUp(alice: SipPeer, bob: SipPeer, callId: string) {
    const uri = 'sip:+15550100@sbc.example'
    alice.send(requestText(alice, { method: 'INVITE', uri, callId, transport: 'TLS', body: sdp }), listener)
    const invite = await bob.request('INVITE')
    const headers: [string, string][] = [
      ['Contact', `<sip:bob@${bob.hostPort};transport=tls>`],
      ['Content-Type', 'application/sdp'],
    ]
    answerWith(invite, { status: 200, toTag: `b-${callId}`, headers, body: Buffer.from(sdp) })
    // A 200 whose ACK is late comes again, between those of later calls.
    const { message } = await alice.next(
      (one) => one.status === 200 && one.method === 'INVITE' && one.callId === callId,
    )
    const { toTag } = message
    alice.send(requestText(alice, { method: 'ACK', uri, callId, toTag, transport: 'TLS' }), listener)
    await bob.request('ACK')
    return { callId, uri, toTag, invite }
  }

  async function hangUpFromBob(bob: SipPeer, alice: SipPeer, { message, answer }: Arrival, toTag: string) {
    const from = message.get('From') ?? ''
    const contact = /<([^>]+)>/.exec(message.get('Contact') ?? '')?.[1] ?? ''
    const lines = [
      `BYE ${contact} SIP/2.0`,
      `Via: SIP/2.0/TLS ${bob.hostPort};branch=z9hG4bK-${message.callId}`,
      'Max-Forwards: 70',
      `From: ${message.get('To')};tag=${toTag}`,
      `To: ${from}`,
      `Call-ID: ${message.callId}`,
      'CSeq: 1 BYE',
      'Content-Length: 0',
    ]
    answer(`${lines.join('\r\n')}\r\n\r\n`)
    answerWith(await alice.request('BYE'), { status: 200 })
    await bob.response(200, 'BYE')
  }

  it('a new certificate is taken over while 20 calls are up: none is lost, and no connection closed', async () => {
    const alice = await caller()
    const bob = await called()
    const calls = []
    for (let number = 0; number < 20; number++) calls.push(await setUp(alice, bob, `reload-${number}`))
    expect(await shownName()).not.toContain('renewed')
    const renewed = authority.issue({ dns: ['sbc.example', 'renewed.example'] })
    writeFileSync(join(fleet.manifests, 'own.yaml'), certificateSecret('own', renewed))
    await expect.poll(shownName).toContain('renewed.example')
    for (const [index, { callId, uri, toTag, invite }] of calls.entries()) {
      if (index % 2 === 0) {
        alice.send(requestText(alice, { method: 'BYE', uri, callId, toTag, cseq: 2, transport: 'TLS' }), listener)
        answerWith(await bob.request('BYE'), { status: 200 })
        await alice.response(200, 'BYE')
      } else await hangUpFromBob(bob, alice, invite, `b-${callId}`)
    }
    expect(replicaLog()).toContain('has other certificates')
    await fleet.until('all is well', (statuses) => statuses.every(isTrue('Ready')))
  })

  it('a Secret that cannot be used is said in the status, and the listener stays as it was', async () => {
    const before = await shownName()
    const good = certificateSecret('own', authority.issue({ dns: ['sbc.example', 'good.example'] }))
    const mixed = { ...authority.issue({ dns: ['sbc.example'] }), key: stranger.pair.key }
    writeFileSync(join(fleet.manifests, 'own.yaml'), certificateSecret('own', mixed))
    await fleet.until('the Secret is refused', (statuses) =>
      statuses.some(({ status }) => status.conditions?.some(({ reason }) => reason === 'SecretInvalid') === true),
    )
    expect(await shownName()).toBe(before)
    writeFileSync(join(fleet.manifests, 'own.yaml'), good)
    await expect.poll(shownName).toContain('good.example')
    await fleet.until('all is well again', (statuses) => statuses.every(isTrue('Ready')))
  })

  it.each([
    ['one for another domain', authority.issue({ dns: ['mallory.example'] })],
    ['one that has expired', authority.issue({ dns: ['called.example'] }, expired)],
    ['one of an unknown authority', stranger.issue({ dns: ['called.example'] })],
  ])('no call goes to a peer that shows %s: the caller gets 503', async (what, shown) => {
    const alice = await caller()
    const bob = await called(shown)
    const callId = `refused ${what}`.replaceAll(' ', '-')
    const uri = 'sip:+15550100@sbc.example'
    alice.send(requestText(alice, { method: 'INVITE', uri, callId, transport: 'TLS', body: sdp }), listener)
    await alice.response(503, 'INVITE')
    expect(bob.arrived).toEqual([])
  })

  it('the status says what is wrong with the certificate of a target', async () => {
    await peer(
      'watched.example',
      watchedAddress,
      ports.calledPort,
      authority.issue({ dns: ['watched.example'] }, expired),
    )
    await fleet.until('the certificate is said to have expired', (statuses) =>
      statuses.some(({ metadata, status }) => {
        const reachable = status.conditions?.find(({ type }) => type === 'Reachable')
        return metadata.name === 'watched' && reachable?.message.includes('certificate has expired') === true
      }),
    )
  })

  it('a caller with a certificate for another trunk gets no answer (RFC 5922 section 7.4)', async () => {
    const mallory = await peer('called.example', callerAddress, ports.callerPort)
    const ignored = { method: 'OPTIONS', uri: 'sip:sbc.example', callId: 'ignored', transport: 'TLS' } as const
    mallory.send(requestText(mallory, ignored), listener)
    await expect.poll(replicaLog).toContain('A request of an unknown source got no answer.')
    expect(mallory.arrived).toEqual([])
  })

  const sipsak = spawnSync('sipsak', ['--help']).error === undefined
  // It takes the port for a part of the name that it looks for in the certificate.
  it.skipIf(!sipsak)('sipsak, which has GnuTLS, gets its OPTIONS answered', () => {
    // It takes the session tickets that come first with TLS 1.3 for an answer, and gives up.
    const files = writePems({ 'ca.pem': authority.certificate, gnutls: '[overrides]\ndisabled-version = tls1.3\n' })
    closing.push(() => files.remove())
    const run = spawnSync(
      'sipsak',
      [
        ...['-s', `sip:sbc@127.0.0.1:${openPort}`, '--transport=tls', '-vvv'],
        ...[`--tls-ca-cert=${files.path('ca.pem')}`, '--tls-ignore-cert-failure'],
      ],
      { env: { ...process.env, GNUTLS_SYSTEM_PRIORITY_FILE: files.path('gnutls') } },
    )
    expect(run.status, String(run.stdout) + String(run.stderr)).toBe(0)
  })
})
