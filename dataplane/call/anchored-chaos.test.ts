import { afterAll, beforeAll, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { EnginePool } from '../media/engine-pool.ts'
import { NgServer, type NgRequest } from '../media/testing/ng-server.ts'
import type { FakeIncoming } from '../sip/fake-sip-port.ts'
import { createScenario, far, farSdp, near, sdp, type Scenario } from './testing/scenario.ts'

const media = '203.0.113.200'

let engine: NgServer
let pool: EnginePool

beforeAll(async () => {
  engine = await NgServer.start()
  const log = createLog({ level: 'error', name: 'test', write: () => {} })
  pool = new EnginePool({ clock: new ManualClock(), log, cookiePrefix: 'test_' })
  pool.configure([{ type: 'MediaEngine', name: 'one', host: '127.0.0.1', port: engine.port, weight: 1 }])
})

afterAll(async () => {
  pool.stop()
  await engine.close()
})

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

/** Answers what is asked, mostly, and now and then with an error. */
function carry(request: NgRequest, random: () => number): void {
  const { command } = request.fields
  if (command !== 'offer' && command !== 'answer') return request.answer({ result: 'ok' })
  if (random() < 0.1) return request.answer({ result: 'error', 'error-reason': 'Ran out of ports' })
  const carried = `v=0\r\no=e 1 1 IN IP4 ${media}\r\ns=-\r\nc=IN IP4 ${media}\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n`
  request.answer({ result: 'ok', sdp: carried })
}

/** One thing that a peer may do, at any time. */
function happen(scenario: Scenario, call: FakeIncoming, random: () => number): void {
  const { sip, fromA, fromB, ack } = scenario
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)]
  const act = pick(['answer', 'answer', 'answer', 'ack', 'ack', 'A', 'B', 'update', 'cancel', 'bye'] as const) ?? 'bye'
  const port = String(4_000 + Math.floor(random() * 1_000))
  const b = sip.all('INVITE').find(({ request }) => request.dialogId === undefined)
  const status = pick([180, 183, 200, 200, 200, 486, 491, 503]) ?? 200
  const withOffer = random() < 0.8 ? { body: sdp(port, 2) } : {}
  switch (act) {
    case 'answer':
      return pick(sip.sent)?.respond(status, status < 300 && status > 180 ? { body: farSdp(port) } : {})
    case 'ack':
      return ack(
        pick(sip.received.filter(({ method }) => method === 'INVITE')) ?? call,
        random() < 0.3 ? sdp(port) : undefined,
      )
    case 'A':
      return void fromA(call, 'INVITE', withOffer)
    case 'B':
      return void (b && fromB(b, 'INVITE', withOffer))
    case 'update':
      return void (b && fromB(b, 'UPDATE', { body: farSdp(port, 2) }))
    case 'cancel':
      return random() < 0.3 ? pick(sip.received.filter(({ method }) => method === 'INVITE'))?.cancel() : undefined
    case 'bye':
      return void (random() < 0.2 && (random() < 0.5 || b === undefined ? fromA(call, 'BYE') : fromB(b, 'BYE')))
  }
}

async function play(seed: number): Promise<{ scenario: Scenario; asked: NgRequest[] }> {
  const random = dice(seed)
  const scenario = createScenario({
    targets: 2,
    engines: pool,
    sip: {
      ...builtInBehaviour,
      media: { mode: 'Anchor' },
      midcall: { mode: random() < 0.3 ? 'Block' : 'PassThrough' },
    },
  })
  const asked: NgRequest[] = []
  const before = engine.requests.length
  let seen = before
  const answerSome = async (all: boolean) => {
    await new Promise((resolve) => setImmediate(resolve))
    while (seen < engine.requests.length && (all || random() < 0.6)) {
      const request = engine.requests[seen++]
      if (request === undefined || request.fields['command'] === 'ping') continue
      asked.push(request)
      carry(request, random)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const call = scenario.invite()
  for (let step = 0; step < 30; step++) {
    happen(scenario, call, random)
    await answerSome(false)
  }
  void scenario.calls.endAll('the test is over')
  scenario.ack(call)
  for (let round = 0; round < 20 || scenario.calls.count > 0; round++) {
    if (round > 200) throw new Error(`seed ${seed}: the call stays`)
    for (const one of scenario.sip.sent) one.respond(one.request.method === 'INVITE' ? 487 : 200)
    if (call.openedDialog !== undefined) scenario.sip.loseDialog(call.openedDialog)
    await answerSome(true)
  }
  await until(
    () => asked.some(isDelete) || asked.length === 0,
    () => answerSome(true),
  )
  return { scenario, asked }
}

const isDelete = ({ fields }: NgRequest) => fields['command'] === 'delete'

async function until(holds: () => boolean, turn: () => Promise<void>): Promise<void> {
  while (!holds()) await turn()
}

it('whatever happens: calls end, sessions are deleted, and no address of a peer is told', async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const { scenario, asked } = await play(seed)
    expect(
      scenario.errors.filter((one) => 'error' in one),
      `seed ${seed}`,
    ).toEqual([])
    const sessions = new Set(
      asked.filter(({ fields }) => fields['command'] === 'offer').map(({ fields }) => fields['call-id']),
    )
    const deleted = new Set(asked.filter(isDelete).map(({ fields }) => fields['call-id']))
    expect(
      [...sessions].filter((session) => !deleted.has(session)),
      `seed ${seed}`,
    ).toEqual([])
    const { sent, received } = scenario.sip
    const told = [
      ...sent.flatMap(({ request, acks }) => [request.body, ...acks.map(({ body }) => body)]),
      ...received.flatMap(({ answers }) => answers.map(({ body }) => body)),
    ].map((body) => body?.content ?? '')
    for (const one of told) {
      for (const hidden of [near.media, near.signalling, far.media, '203.0.113.1 '])
        expect(one, `seed ${seed}`).not.toContain(hidden)
    }
  }
})
