import { expect, it } from 'vitest'
import type { FakeIncoming, FakeOutgoing } from '../sip/fake-sip-port.ts'
import type { Body } from '../sip/port.ts'
import { farSdp, sdp } from './testing/scenario.ts'
import { call, expires, type Up } from './testing/timed-call.ts'

/** Mulberry32: the same seed gives the same calls. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A user agent by RFC 3261 section 14 and RFC 3264: what it has agreed on, and what it still owes. */
class Agent {
  readonly side: 'A' | 'B'
  readonly #up: Up
  readonly #describe: (port: string) => Body
  readonly #sent: { request: FakeIncoming; offer: Body | undefined; done: boolean }[] = []
  readonly #answered = new Set<FakeOutgoing>()
  #ports: number
  /** What it has said, and what it was told, in the last exchange that came to an end. */
  local: Body
  remote: string

  constructor(side: 'A' | 'B', up: Up, local: Body, remote: string) {
    this.side = side
    this.#up = up
    this.#describe = side === 'A' ? (port) => sdp(port, 2) : (port) => farSdp(port, 2)
    this.#ports = side === 'A' ? 10_000 : 20_000
    this.local = local
    this.remote = remote
  }

  get #pending(): FakeOutgoing[] {
    return this.#up.sip.sent.filter(
      (one) =>
        isOffering(one.request.method) && this.#isMine(one.dialogId) && !this.#answered.has(one) && one !== this.#up.b,
    )
  }

  get owes(): boolean {
    return this.#pending.length > 0 || this.#sent.some(({ done }) => !done)
  }

  #isMine(dialogId: string): boolean {
    return (dialogId === this.#up.b.dialogId) === (this.side === 'B')
  }

  /** Offers something new, asks for an offer, or repeats itself. */
  offer(method: 'INVITE' | 'UPDATE', kind: 'new' | 'same' | 'none'): void {
    // Section 14.1: one at a time. That one of ours crosses with it cannot be helped.
    if (this.#sent.some(({ done }) => !done)) return
    const body = kind === 'none' ? undefined : kind === 'same' ? this.local : this.#describe(String(this.#ports++))
    const options = body === undefined ? {} : { body }
    const { a, b, fromA, fromB } = this.#up
    const request = this.side === 'A' ? fromA(a, method, options) : fromB(b, method, options)
    this.#sent.push({ request, offer: body, done: false })
  }

  cancel(): void {
    for (const { request, done } of this.#sent) if (!done && request.method === 'INVITE') request.cancel()
  }

  /** Acknowledges, and takes note of answers. */
  settle(): void {
    for (const one of this.#sent) {
      const final = one.request.answers.find(({ status }) => status >= 200)
      if (one.done || final === undefined) continue
      one.done = true
      if (final.status >= 300) continue
      const told = final.body?.content
      const answer = one.offer === undefined && told !== undefined ? this.local : undefined
      if (one.request.method === 'INVITE') this.#up.ack(one.request, answer)
      if (told === undefined) continue
      this.remote = told
      this.local = one.offer ?? this.local
    }
  }

  answer(status: number): void {
    const [request] = this.#pending
    if (request === undefined) return
    this.#answered.add(request)
    // An agent whose own offer is open refuses; otherwise it says what it has said before.
    if (status === 200 && this.#sent.some(({ done, offer }) => !done && offer !== undefined))
      return request.respond(491)
    const offered = request.request.body?.content
    const described = request.request.method === 'INVITE' || offered !== undefined
    const headers = this.side === 'B' ? expires('90;refresher=uac') : []
    request.respond(status, { headers, ...(status === 200 && described && { body: this.local }) })
    if (status !== 200 || !described) return
    this.remote = offered ?? request.acks[0]?.body?.content ?? this.remote
    // The answer to an offer that was asked for comes in the ACK, when the other side has sent it.
    if (offered === undefined) this.#awaited = request
  }

  #awaited: FakeOutgoing | undefined

  /** Looks for an answer that was still on its way. */
  hear(): void {
    const told = this.#awaited?.acks[0]
    if (told === undefined) return
    this.remote = told.body?.content ?? this.remote
    this.#awaited = undefined
  }

  get requests(): readonly FakeIncoming[] {
    return this.#sent.map(({ request }) => request)
  }
}

const isOffering = (method: string) => method === 'INVITE' || method === 'UPDATE'

function play(seed: number) {
  const random = dice(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const up = call([], [...expires('90;refresher=uac'), ['Require', 'timer']], {
    timer: {
      ...{ alwaysRequest: true, minSeSeconds: 90, expiresSeconds: 90 },
      method: pick(['ReInvite', 'Update', 'Auto'] as const),
    },
  })
  const agents = [
    new Agent('A', up, sdp('4000'), up.a.lastAnswer.body?.content ?? ''),
    new Agent('B', up, farSdp('5000'), up.b.request.body?.content ?? ''),
  ]
  const act = {
    offer: (agent: Agent) => agent.offer(pick(['INVITE', 'INVITE', 'UPDATE']), pick(['new', 'new', 'same', 'none'])),
    answer: (agent: Agent) => agent.answer(pick([200, 200, 200, 200, 491, 488, 500])),
    settle: (agent: Agent) => agent.settle(),
    cancel: (agent: Agent) => agent.cancel(),
    time: () => up.clock.advance(pick([10, 500, 2_500, 4_000, 11_000])),
  }
  for (let step = 0; step < 60; step++) {
    act[pick(['offer', 'offer', 'answer', 'answer', 'answer', 'settle', 'settle', 'cancel', 'time'] as const)](
      pick(agents),
    )
    for (const agent of agents) agent.hear()
  }
  for (let round = 0; round < 20; round++) {
    for (const agent of agents) {
      agent.answer(200)
      agent.settle()
      agent.hear()
    }
    if (round % 4 === 3) up.clock.advance(3_100)
  }
  return { up, agents }
}

/** Without the `o=` line, and with what only one side is told left out. */
function media(description: string): string {
  return /^c=.*\r\n[^]*$/m.exec(description)?.[0] ?? ''
}

/** Descriptions that went out on a leg. */
function toldTo(side: 'A' | 'B', { sip, b }: Up): string[] {
  const isB = (dialogId: string | undefined) => (dialogId === b.dialogId) === (side === 'B')
  const requests = sip.sent
    .filter(({ dialogId }) => isB(dialogId))
    .flatMap(({ request, acks }) => [request.body, ...acks.map(({ body }) => body)])
  const answers = sip.received
    .filter(({ dialogId, openedDialog }) => isB(dialogId ?? openedDialog))
    .flatMap((request) => request.answers.map(({ body }) => body))
  return [...requests, ...answers].flatMap((body) => (body === undefined ? [] : [body.content]))
}

const seeds = Array.from({ length: 250 }, (_, index) => index + 1)

it('whatever crosses: every offer has one answer, every 2xx one ACK, and both sides end with the same session', () => {
  let ups = 0
  for (const seed of seeds) {
    const { up, agents } = play(seed)
    for (const { requests } of agents) {
      for (const { statuses } of requests) {
        expect(
          statuses.filter((status) => status >= 200),
          `seed ${seed}`,
        ).toHaveLength(1)
      }
    }
    for (const { acks, request } of up.sip.sent) expect(acks.length, `seed ${seed}: ${request.method}`).toBeLessThan(2)
    expect(
      up.errors.filter((one) => 'error' in one),
      `seed ${seed}`,
    ).toEqual([])
    if (up.ended.length > 0) continue
    ups++
    const [a, b] = agents
    expect(
      [a?.remote, b?.remote].map((told) => media(told ?? '')),
      `seed ${seed}`,
    ).toEqual([b?.local, a?.local].map((said) => media(said?.content ?? '')))
  }
  expect(ups).toBeGreaterThan(seeds.length / 2)
})

it('whatever crosses: the version of o= rises by one when the description changed, and only then (RFC 3264 section 8)', () => {
  for (const seed of seeds) {
    const { up } = play(seed)
    for (const side of ['A', 'B'] as const) {
      const versions = new Map<number, Set<string>>()
      for (const description of toldTo(side, up)) {
        const version = Number(/^o=- \d+ (\d+) /m.exec(description)?.[1])
        versions.set(version, (versions.get(version) ?? new Set()).add(description))
      }
      const texts = [...versions].toSorted(([one], [other]) => one - other).map(([, set]) => [...set])
      expect(
        texts.filter(({ length }) => length > 1),
        `seed ${seed}: one version for two descriptions`,
      ).toEqual([])
      const bodies = texts.map(([text = '']) => text.replace(/^o=.*$/m, ''))
      expect(
        bodies.filter((body, index) => body === bodies[index - 1]),
        `seed ${seed}: a version for nothing`,
      ).toEqual([])
    }
  }
})
