import { platform } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { answer, Party } from '../call/bridge.ts'
import { type Arrival, SipPeer } from '../engine/sip-peer.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { freePorts } from './free-port.ts'

const fleetAddress = '127.0.0.1'

/** One side of the fleet. Everything it sends says its name, its address or its port wherever a message has room for it. */
interface Side {
  readonly word: 'nearside' | 'farside'
  readonly peer: SipPeer
  /** Port of the fleet on this side. */
  readonly port: number
  /** Number of its SDP session, and its port of media. */
  readonly session: string
  readonly media: number
}

/** What must not be found on the other side: the word is in every name, tag, Call-ID and branch. */
function tokensOf({ word, peer, port, session }: Side): RegExp {
  return new RegExp(
    [word, peer.address, `:${peer.port}\\b`, `:${port}\\b`, session].join('|').replaceAll('.', '\\.'),
    'i',
  )
}

/** Header fields that name whoever sends them. */
function telling({ word, peer }: Side): [name: string, value: string][] {
  const host = `pbx.${word}.example`
  return [
    ['Alert-Info', `<http://${host}/ring.wav>;info=internal`],
    ['Alert-Info', `<sip:ring@${peer.hostPort}>`],
    ['Call-Info', `<http://${host}/card>;purpose=card`],
    ['Error-Info', `<sip:sorry@${host}>`],
    ['Warning', `399 ${host} "at ${peer.address}"`],
    ['Server', `Server of ${word}`],
    ['User-Agent', `Phone of ${word}`],
    ['Organization', host],
    ['Reply-To', `<sip:alice@${host}>`],
    ['Diversion', `<sip:3000@${host}>;reason=unconditional`],
    ['History-Info', `<sip:3000@${host}>;index=1`],
    ['Remote-Party-ID', `<sip:3000@${peer.hostPort}>;party=calling`],
    ['P-Asserted-Identity', `"Alice" <sip:+15550100@${peer.hostPort}>`],
    ['P-Charging-Vector', `icid-value=1;orig-ioi=${host}`],
    ['P-Access-Network-Info', `IEEE-802.11;i-wlan-node-id=${word}`],
    ['Session-ID', `${word}0123456789abcdef`],
    ['Path', `<sip:${peer.hostPort};lr>`],
    ['Service-Route', `<sip:${peer.hostPort};lr>`],
    ['Record-Route', `<sip:${peer.hostPort};lr>`],
    ['In-Reply-To', `${word}@${host}`],
    ['Reason', `Q.850;cause=16;text="released by ${host}"`],
    ['Retry-After', `5 (${host})`],
    ['WWW-Authenticate', `Digest realm="${host}", nonce="1"`],
    ['Proxy-Authenticate', `Digest realm="${host}", nonce="1"`],
    ['Authorization', `Digest username="alice", realm="${host}", nonce="1", uri="sip:${host}", response="1"`],
    ['X-Anything', host],
  ]
}

/** The same for a request, which has passed another element before. */
function tellingLines(side: Side): string[] {
  const fields = telling(side).map(([name, value]) => `${name}: ${value}`)
  return [...fields, `Via: SIP/2.0/UDP phone.${side.word}.example;branch=z9hG4bK-${side.word}`]
}

function description({ word, peer, session, media }: Side, version: number): string {
  return [
    'v=0',
    `o=${word} ${session} ${version} IN IP4 ${peer.address}`,
    `s=call of ${word}`,
    `u=http://pbx.${word}.example`,
    `e=alice@${word}.example`,
    `c=IN IP4 ${peer.address}`,
    't=0 0',
    `m=audio ${media} RTP/AVP 0`,
    'a=rtpmap:0 PCMU/8000',
    '',
  ].join('\r\n')
}

/** Media goes around the fleet (docs/decisions/0005), so these lines say where it goes. */
const mediaLines = /^[cma]=.*$/gm

/** Answers as the side does, with everything it can tell. */
function reply(arrival: Arrival, side: Side, status: number, body = ''): void {
  answer(arrival, side.peer, status, { tag: `${side.word}-tag`, body, headers: telling(side) })
}

let calls = 0

function begin(caller: Side, callee: Side, options: { body: string }): Party {
  const { word, peer, port } = caller
  const party = new Party({
    ...{ peer, port, localTag: `${word}-tag`, callId: `${word}-${calls++}@${peer.address}` },
    target: `sip:+15550199;tgrp=${word};trunk-context=${word}.example@${fleetAddress}:${port}`,
  })
  party.invite({ body: options.body, headers: tellingLines(caller), branch: `z9hG4bK-${word}-${calls}` })
  return party
}

/** An INVITE that has not been seen yet: on a busy machine the fleet sends one again. */
async function newInvite({ peer }: Side): Promise<Arrival> {
  const key = ({ callId, cseq }: SipMessage) => `${callId} ${cseq}`
  const arrival = await peer.next((one) => one.kind === 'request' && one.method === 'INVITE' && !seen.has(key(one)))
  seen.add(key(arrival.message))
  return arrival
}

const seen = new Set<string>()

/** The next final answer to the method in the call of the party; others of its calls are still repeated. */
function final(method: string, { peer, callId }: Party): Promise<Arrival> {
  return peer.next((one) => one.status >= 200 && one.method === method && one.callId === callId)
}

/** The next request of that method in the call of the party. */
function requestTo({ peer, callId }: Party, method: string): Promise<Arrival> {
  return peer.next((one) => one.kind === 'request' && one.method === method && one.callId === callId)
}

/** A call that is up: the caller's end and the callee's. */
async function connect(caller: Side, callee: Side): Promise<{ a: Party; b: Party }> {
  const a = begin(caller, callee, { body: description(caller, 1) })
  const invite = await newInvite(callee)
  const b = Party.called(invite, callee.peer, callee.port, `${callee.word}-tag`)
  reply(invite, callee, 183, description(callee, 1))
  a.learn(await caller.peer.next(({ status, callId }) => status === 183 && callId === a.callId))
  reply(invite, callee, 200, description(callee, 1))
  a.learn(await final('INVITE', a))
  a.send('ACK', { headers: tellingLines(caller) })
  await requestTo(b, 'ACK')
  return { a, b }
}

/** A request of one end inside the call, and what is said to it. */
async function exchange(method: string, from: Side, sender: Party, to: Side, taker: Party, status: number) {
  const body = method === 'OPTIONS' || method === 'INFO' ? '' : description(from, 2)
  sender.send(method, { body, headers: tellingLines(from) })
  const success = status < 300 && body !== ''
  reply(await requestTo(taker, method), to, status, success ? description(to, 2) : '')
  const { message } = await final(method, sender)
  if (method !== 'INVITE' || message.status >= 300) return
  sender.send('ACK', { headers: tellingLines(from) })
  await requestTo(taker, 'ACK')
}

const midCall = ['INVITE', 'UPDATE', 'INFO', 'OPTIONS'] as const

/** Ways a call can go, each to its end. Not 503: a target that says it is left alone for a while. */
const courses: Readonly<Record<string, (caller: Side, callee: Side) => Promise<void>>> = {
  async 'answered, changed by both sides, released by the caller'(caller, callee) {
    const { a, b } = await connect(caller, callee)
    for (const method of midCall) await exchange(method, caller, a, callee, b, 200)
    for (const method of midCall) await exchange(method, callee, b, caller, a, 200)
    await exchange('BYE', caller, a, callee, b, 200)
  },
  async 'answered, every change refused, released by the callee'(caller, callee) {
    const { a, b } = await connect(caller, callee)
    for (const method of midCall) await exchange(method, caller, a, callee, b, 488)
    for (const method of midCall) await exchange(method, callee, b, caller, a, 500)
    await exchange('BYE', callee, b, caller, a, 200)
  },
  async 'answered, and lost by the callee'(caller, callee) {
    const { a, b } = await connect(caller, callee)
    a.send('INFO', { headers: tellingLines(caller) })
    reply(await requestTo(b, 'INFO'), callee, 481)
    reply(await requestTo(a, 'BYE'), caller, 200)
  },
  async 'a late offer'(caller, callee) {
    const a = begin(caller, callee, { body: '' })
    const invite = await newInvite(callee)
    const b = Party.called(invite, callee.peer, callee.port, `${callee.word}-tag`)
    reply(invite, callee, 200, description(callee, 1))
    a.learn(await final('INVITE', a))
    a.send('ACK', { body: description(caller, 1), headers: tellingLines(caller) })
    await requestTo(b, 'ACK')
    await exchange('BYE', caller, a, callee, b, 200)
  },
  async 'cancelled while it rings'(caller, callee) {
    const branch = `z9hG4bK-${caller.word}-${calls + 1}`
    const a = begin(caller, callee, { body: description(caller, 1) })
    const invite = await newInvite(callee)
    reply(invite, callee, 180)
    await caller.peer.next(({ status, callId }) => status === 180 && callId === a.callId)
    a.send('CANCEL', { branch, headers: telling(caller).map(([name, value]) => `${name}: ${value}`) })
    reply(await callee.peer.request('CANCEL'), callee, 200)
    reply(invite, callee, 487)
    await final('INVITE', a)
  },
  async 'redirected to the Contact of the callee, and refused there'(caller, callee) {
    const a = begin(caller, callee, { body: description(caller, 1) })
    for (const status of [302, 486]) reply(await newInvite(callee), callee, status)
    await final('INVITE', a)
  },
  async 'challenged, and not let in with credentials'(caller, callee) {
    const a = begin(caller, callee, { body: description(caller, 1) })
    for (const status of [407, 403]) reply(await newInvite(callee), callee, status)
    await final('INVITE', a)
  },
  ...Object.fromEntries(
    [400, 404, 420, 422, 484, 486, 488, 500, 504, 600, 606].map((status) => [
      `refused with ${status}`,
      async (caller: Side, callee: Side) => {
        const a = begin(caller, callee, { body: description(caller, 1) })
        reply(await newInvite(callee), callee, status)
        await final('INVITE', a)
      },
    ]),
  ),
}

describe.skipIf(platform() !== 'linux')('everything a fleet sends on the wire', () => {
  let fleet: Fleet
  let near: Side
  let far: Side

  beforeAll(async () => {
    const [inside = 0, outside = 0] = await freePorts(2)
    near = {
      ...{ word: 'nearside', port: inside, session: '6660000666', media: 46_600 },
      peer: await SipPeer.udp('127.0.66.1', fleetAddress),
    }
    far = {
      ...{ word: 'farside', port: outside, session: '9990000999', media: 49_900 },
      peer: await SipPeer.udp('127.0.99.1', fleetAddress),
    }
    fleet = await startFleet(manifests(near, far))
  })

  afterAll(async () => {
    await fleet?.stop()
    await near?.peer.close()
    await far?.peer.close()
  })

  for (const [name, course] of Object.entries(courses)) {
    it(`shows neither side anything of the other: a call of the near side, ${name}`, () => run(course, near, far))
    it(`shows neither side anything of the other: a call of the far side, ${name}`, () => run(course, far, near))
  }

  it('shows nothing in keepalives and registrations', async () => {
    await far.peer.next(({ method }) => method === 'OPTIONS')
    await near.peer.next(({ method }) => method === 'REGISTER')
    check(far, near)
    check(near, far)
  })

  async function run(course: (typeof courses)[string], caller: Side, callee: Side): Promise<void> {
    const seen = [near, far].map(({ peer }) => peer.arrived.length)
    await course(caller, callee)
    expect([near, far].map(({ peer }, index) => peer.arrived.length > (seen[index] ?? 0))).toEqual([true, true])
    check(far, near)
    check(near, far)
  }
})

/** Nothing that came to one side may have a word of the other in it. */
function check(side: Side, other: Side): void {
  const tokens = tokensOf(other)
  const telltale = side.peer.arrived.flatMap(({ message }) =>
    message.text
      .replace(mediaLines, '')
      .split('\r\n')
      .filter((line) => tokens.test(line)),
  )
  expect(telltale).toEqual([])
}

function manifests(near: Side, far: Side): Record<string, string> {
  const trunk = (side: Side, listener: string) => `apiVersion: sbcfleet.dev/v1alpha1
kind: SipTrunk
metadata: { name: ${side.word}, namespace: voice }
spec:
  voiceServiceRef: { name: edge }
  listeners: [${listener}]
  targets: [{ name: a, host: ${side.peer.address}, port: ${side.peer.port} }]
  keepalive: { upIntervalSeconds: 60, failureThreshold: 10 }
  registration:
    registrars: [{ name: a, host: ${side.peer.address}, port: ${side.peer.port} }]
    accounts: [{ name: a, number: '+15550100', secretRef: { name: account } }]
`
  return {
    'near.yaml': trunk(near, 'inside'),
    'far.yaml': trunk(far, 'outside'),
    'fleet.yaml': `apiVersion: sbcfleet.dev/v1alpha1
kind: VoiceService
metadata: { name: edge, namespace: voice }
spec:
  replicas: 1
  listeners:
    - { name: inside, transport: UDP, port: ${near.port} }
    - { name: outside, transport: UDP, port: ${far.port} }
  routes:
    - { name: out, match: { trunks: [nearside] }, targets: [{ trunkRef: { name: farside } }] }
    - { name: in, match: { trunks: [farside] }, targets: [{ trunkRef: { name: nearside } }] }
---
apiVersion: v1
kind: Secret
metadata: { name: account, namespace: voice }
stringData: { password: of the test }
`,
  }
}
