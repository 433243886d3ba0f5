import { afterEach, describe, expect, inject, it, onTestFailed } from 'vitest'
import { Secret } from '#lib/secret.ts'
import { DigestSession, parseChallenges } from '../../dataplane/digest/digest.ts'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { Baresip } from '../tls/baresip.ts'
import { kamailioPassword, startKamailioProxy } from '../trunks/kamailio.ts'
import { callThroughManifests, type Fleet, startFleet } from './fleet.ts'
import { freePorts } from './free-port.ts'
import { type SippRun, startSipp } from './sipp.ts'

const { sipp, kamailio, baresip } = inject('peers')
const calls = 10
const password = new Secret('Circle of Life')
const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const secret = (username: string, text = password.reveal()) =>
  `---\napiVersion: v1\nkind: Secret\nmetadata: { name: ${username}, namespace: voice }\n` +
  `stringData: { password: "${text}" }\n`

const inbound = (algorithms: string) =>
  `  authentication:\n    inbound:\n      realm: edge.example\n      algorithms: [${algorithms}]\n` +
  `      users: [{ name: pbx, secretRef: { name: pbx } }]\n${secret('pbx')}`

const outbound = (realm: string, text?: string) =>
  `  authentication:\n    outbound:\n      credentials: [{ name: edge, realm: ${realm}, secretRef: { name: edge } }]\n${secret('edge', text)}`

/** A fleet between two peers; each trunk has what is put behind its targets. */
async function open(options: {
  caller?: string
  called?: string
  replicas?: number
  ports: readonly number[]
  through?: number
  callerAddress?: string
  calledAddress?: string
}): Promise<Fleet> {
  const [listener = 0, caller = 0, called = 0] = options.ports
  const manifests = callThroughManifests({
    listener,
    caller: [{ address: options.callerAddress ?? '127.0.0.1', port: caller }],
    called: [{ address: options.calledAddress ?? '127.0.0.1', port: options.through ?? called }],
    replicas: options.replicas ?? 1,
  })
  manifests['caller.yaml'] += options.caller ?? ''
  manifests['called.yaml'] += options.called ?? ''
  const fleet = await startFleet(manifests)
  closers.push(() => fleet.stop())
  return fleet
}

async function succeed(...runs: SippRun[]): Promise<void> {
  for (const result of await Promise.all(runs.map(({ done }) => done))) {
    expect(result, result.errors).toMatchObject({ exitCode: 0, successful: calls, failed: 0 })
  }
}

function uac(scenario: string, ports: readonly number[], more: readonly string[] = []): SippRun {
  const [listener = 0, caller = 0] = ports
  return startSipp({
    ...{
      scenario,
      local: { address: '127.0.0.1', port: caller },
      remote: `127.0.0.1:${listener}`,
      number: '+15550100',
    },
    ...{ calls, callsPerSecond: 20, holdMilliseconds: 100, more },
  })
}

/** Resolves when it can be called. */
async function uas(scenario: string, [, , called = 0]: readonly number[]): Promise<SippRun> {
  const local = { address: '127.0.0.1', port: called }
  const run = startSipp({ scenario, local, calls, holdMilliseconds: 100 })
  await run.listening
  return run
}

const credentials = (secretText: string, listener: number) => [
  ...['-au', 'pbx', '-ap', secretText],
  // What SIPp puts into `uri` unless told otherwise names no user.
  ...['-auth_uri', `+15550100@127.0.0.1:${listener}`],
]

describe.skipIf(!sipp)('a fleet that wants passwords of SIPp', () => {
  it('takes calls with the right one, and challenges nothing inside them', async () => {
    const ports = await freePorts(3)
    const fleet = await open({ ports, caller: inbound('MD5') })
    await succeed(
      await uas('uas-answers', ports),
      uac('uac-with-password-expect-200', ports, credentials(password.reveal(), ports[0] ?? 0)),
    )
    expect(fleet.output()).not.toContain(password.reveal())
  })

  it('challenges those with a wrong one again', async () => {
    const ports = await freePorts(3)
    await open({ ports, caller: inbound('MD5') })
    await succeed(uac('uac-with-wrong-password-expect-401', ports, credentials('wrong', ports[0] ?? 0)))
  })

  it('answers a callee that wants them for INVITE and BYE; the ACK has those of its INVITE', async () => {
    const ports = await freePorts(3)
    await open({ ports, called: outbound('sipp') })
    await succeed(await uas('uas-challenges-invite-and-bye', ports), uac('uac', ports))
  })
})

describe.skipIf(!sipp || !kamailio)('a fleet before a Kamailio that challenges everything', () => {
  it('sets up, refreshes and ends calls', async () => {
    const ports = await freePorts(3)
    const [fleet = 0, , peer = 0] = ports
    const proxy = await startKamailioProxy({ fleet, peer, realm: 'kamailio.example' })
    closers.push(() => proxy.close())
    await open({ ports, through: proxy.port, called: outbound('kamailio.example', kamailioPassword) })
    await succeed(
      await uas('uas-reinvite-with-session-timer', ports),
      uac('uac-reinvite-with-session-timer-expect-200', ports),
    )
    expect(['INVITE', 'BYE'].map((method) => proxy.challenged(method))).toEqual([2 * calls, calls])
  })
})

describe.skipIf(!baresip)('a fleet that wants passwords of a phone', () => {
  // The baresip of Debian 12 gives up at a challenge with SHA-256, wherever it stands.
  it('takes its call, offering MD5', async () => {
    const ports = await freePorts(3)
    const [listener = 0, caller = 0, called = 0] = ports
    // A phone listens one port above its own, too, where the other may be.
    const calledAddress = '127.0.0.7'
    const fleet = await open({ ports, caller: inbound('MD5'), calledAddress })
    const callee = new Baresip({ user: '2000', address: calledAddress, port: called })
    closers.push(() => callee.stop())
    await callee.wrote(/baresip is ready/)
    const phone = new Baresip({
      ...{ user: '1000', address: '127.0.0.1', port: caller, calls: `sip:2000@127.0.0.1:${listener}` },
      credentials: { username: 'pbx', password: password.reveal() },
    })
    closers.push(() => phone.stop())
    onTestFailed(() => console.error(phone.output, callee.output, fleet.output()))
    await Promise.all([phone.wrote(/Call established/), callee.wrote(/Call established/)])
    expect(callee.output).not.toMatch(/^Authorization:/m)
    expect(fleet.output()).not.toContain(password.reveal())
    await phone.stop()
    await callee.wrote(/session closed/i)
  })
})

describe('replicas that challenge', () => {
  it('take the nonces of one another, each count once', async () => {
    const ports = await freePorts(3)
    const [listener = 0] = ports
    await open({ ports, replicas: 2, caller: inbound('SHA-256'), callerAddress: '127.0.0.9' })
    const [one, other] = [await SipPeer.udp('127.0.0.9', '127.0.0.1'), await SipPeer.udp('127.0.0.9', '127.0.0.2')]
    closers.push(
      () => one.close(),
      () => other.close(),
    )
    const uri = 'sip:+15550100@voice.example'
    const invite = async (peer: SipPeer, callId: string, headers: readonly string[] = []) => {
      peer.send(requestText(peer, { method: 'INVITE', uri, callId, headers }), listener)
      return (await peer.next((message) => message.callId === callId && message.status > 100)).message
    }
    const refused = await invite(one, 'first')
    expect(refused.status).toBe(401)
    const [challenge] = parseChallenges(refused.lines('WWW-Authenticate'))
    if (challenge === undefined) throw new Error('no challenge')
    const session = new DigestSession(challenge, 'cnonce')
    const user = { username: 'pbx', password: password.reveal() }
    const value = `Authorization: ${session.authorize(user, { method: 'INVITE', uri })}`
    // Nobody takes calls behind the fleet: what has proved itself gets further, to an error of that side.
    const taken = [await invite(other, 'second', [value]), await invite(other, 'third', [value])]
    expect([408, 503]).toContain(taken[0]?.status)
    expect(taken[1]?.status).toBe(401)
    expect(taken[1]?.get('WWW-Authenticate')).toContain('stale=true')
  })
})
