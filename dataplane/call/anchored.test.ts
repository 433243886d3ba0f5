import { afterEach, describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { EnginePool } from '../media/engine-pool.ts'
import { NgServer, type NgRequest } from '../media/testing/ng-server.ts'
import { registration } from '../trunks/trunks-fixture.ts'
import { createScenario, far, farSdp, near, sdp } from './testing/scenario.ts'

/** Races between SIP and the engine: here the test alone says when the engine answers. */
const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

const media = '203.0.113.200'

/** What an engine makes of any description: its own address, and ports for the side that is told. */
function carry(request: NgRequest): void {
  const port = request.fields['command'] === 'offer' ? 30_000 : 40_000
  const carried = `v=0\r\no=engine 1 1 IN IP4 ${media}\r\ns=-\r\nc=IN IP4 ${media}\r\nt=0 0\r\nm=audio ${port} RTP/AVP 0\r\n`
  request.answer({ result: 'ok', sdp: carried })
}

async function begin(options: { targets?: number; anchored?: 'A' | 'B' | 'both' } = {}) {
  const engine = await NgServer.start()
  const clock = new ManualClock()
  const log = createLog({ level: 'error', name: 'test', write: () => {} })
  const pool = new EnginePool({ clock, log, cookiePrefix: 'test_' })
  pool.configure([{ type: 'MediaEngine', name: 'one', host: '127.0.0.1', port: engine.port, weight: 1 }])
  ends.push(
    () => pool.stop(),
    () => engine.close(),
  )
  const anchor = { ...builtInBehaviour, media: { mode: 'Anchor' as const } }
  const { anchored = 'both', targets = 1 } = options
  const scenario = createScenario({
    targets,
    engines: pool,
    accounts: { carrier: [registration({ realm: 'r' })] },
    ...(anchored === 'A' ? {} : { sip: anchor }),
    ...(anchored === 'B' ? { inbound: builtInBehaviour } : anchored === 'A' ? { inbound: anchor } : {}),
  })
  return { ...scenario, engine, pool, engineClock: clock }
}

/** Resolves when the condition holds, which the engine's answers on the wire bring about. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

describe.each(['A', 'B', 'both'] as const)('where %s has anchored media', (anchored) => {
  it('anchors the media of both legs', async () => {
    const { sip, engine, invite, ack } = await begin({ anchored })
    const call = invite()
    expect(sip.all('INVITE')).toHaveLength(0)
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 1)
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    carry(await engine.next('answer'))
    await until(() => call.answers.length === 1)
    ack(call)
    const told = [b.request.body?.content ?? '', call.answers[0]?.body?.content ?? '']
    for (const one of told) {
      expect(one).toContain(`c=IN IP4 ${media}`)
      expect(one).toMatch(new RegExp(`^o=- \\d+ 1 IN IP4 ${media}\\r\\n`, 'm'))
      for (const hidden of [near.media, near.signalling, far.media, '203.0.113.1\r']) expect(one).not.toContain(hidden)
    }
  })
})

describe('while the engine is asked', () => {
  it('sends nothing to leg B when the caller cancels, and leaves nothing behind', async () => {
    const { sip, engine, invite, calls, ended } = await begin()
    const call = invite()
    const offer = await engine.next('offer')
    call.cancel()
    expect(ended).toEqual([{ kind: 'Cancelled' }])
    carry(offer)
    const deleted = await engine.next('delete')
    expect(deleted.fields['call-id']).toBe(offer.fields['call-id'])
    await until(() => calls.count === 0)
    expect(sip.sent).toEqual([])
  })

  it('lets no answer overtake another', async () => {
    const { sip, engine, invite } = await begin()
    const call = invite()
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 1)
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000') })
    b.respond(180)
    b.respond(200, { body: farSdp('5000') })
    const early = await engine.next('answer')
    expect(call.answers).toEqual([])
    carry(early)
    await until(() => call.answers.length === 3)
    expect(call.answers.map(({ status }) => status)).toEqual([183, 180, 200])
    expect(call.answers[2]?.body).toEqual(call.answers[0]?.body)
  })

  it('acknowledges and releases a callee who answers a call that was cancelled meanwhile', async () => {
    const { sip, engine, invite, calls } = await begin()
    const call = invite()
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 1)
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    const answer = await engine.next('answer')
    call.cancel()
    carry(answer)
    await until(() => sip.all('BYE').length === 1)
    expect(b.acks).toHaveLength(1)
    sip.last('BYE').respond(200)
    await until(() => calls.count === 0)
    await engine.next('delete')
  })

  it('takes a BYE of the callee who has just answered', async () => {
    const { sip, engine, invite, fromB, calls } = await begin()
    const call = invite()
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 1)
    const b = sip.last('INVITE')
    b.respond(180)
    b.respond(200, { body: farSdp('5000') })
    const answer = await engine.next('answer')
    const bye = fromB(b, 'BYE')
    expect(bye.answers).toMatchObject([{ status: 200 }])
    carry(answer)
    await until(() => b.acks.length === 1)
    expect(call.answers.at(-1)?.status).toBe(480)
    for (const one of sip.all('BYE')) one.respond(481)
    await until(() => calls.count === 0)
  })

  it('tries no target after a silent engine, and says 503 (feature item 29.6)', async () => {
    const { sip, engine, engineClock, invite, calls } = await begin({ targets: 2 })
    const call = invite()
    await engine.next('offer')
    for (const step of [100, 200, 400]) {
      engineClock.advance(step)
      await engine.next('offer')
    }
    engineClock.advance(800)
    await until(() => call.answers.length === 1)
    expect(call.answers).toMatchObject([{ status: 503 }])
    expect(sip.sent).toEqual([])
    expect(calls.count).toBe(0)
  })

  it('says 488 to a description that no datagram holds, and the engine stays up', async () => {
    const { sip, invite, calls, pool } = await begin()
    const call = invite({ body: { ...sdp('4000'), content: `${sdp('4000').content}${'a=x:y\r\n'.repeat(9_000)}` } })
    expect(call.answers).toMatchObject([{ status: 488 }])
    expect(pool.list()).toMatchObject([{ up: true }])
    expect(sip.sent).toEqual([])
    await until(() => calls.count === 0)
  })

  it('says 488 when the engine cannot read the offer', async () => {
    const { sip, engine, invite, calls } = await begin({ targets: 2 })
    const call = invite()
    for (let target = 0; target < 2 && call.answers.length === 0; target++) {
      ;(await engine.next('offer')).answer({ result: 'error', 'error-reason': 'Failed to parse SDP' })
    }
    await until(() => call.answers.length === 1)
    expect(call.answers).toMatchObject([{ status: 488 }])
    expect(sip.sent).toEqual([])
    await until(() => calls.count === 0)
  })
})

describe('a re-INVITE while the engine is asked', () => {
  async function connected() {
    const scenario = await begin()
    const { sip, engine, invite, ack } = scenario
    const call = invite()
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 1)
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    carry(await engine.next('answer'))
    await until(() => call.answers.length === 1)
    ack(call)
    return { ...scenario, call, b }
  }

  it('is withdrawn from the engine when it is cancelled, and the callee hears nothing', async () => {
    const { sip, engine, call, fromA } = await connected()
    const again = fromA(call, 'INVITE', { body: sdp('4444', 2) })
    const offer = await engine.next('offer')
    again.cancel()
    carry(offer)
    const back = await engine.next('offer')
    expect(back.fields['sdp']).toBe(sdp('4000').content)
    carry(back)
    const answer = await engine.next('answer')
    expect(answer.fields['sdp']).toBe(farSdp('5000').content)
    carry(answer)
    expect(sip.all('INVITE')).toHaveLength(1)
  })

  it('is refused when the engine refuses its offer, and the call goes on', async () => {
    const { sip, engine, call, fromA, calls } = await connected()
    const again = fromA(call, 'INVITE', { body: sdp('4444', 2) })
    ;(await engine.next('offer')).answer({ result: 'error', 'error-reason': 'Ran out of ports' })
    await until(() => again.answers.length === 1)
    expect(again.answers).toMatchObject([{ status: 500 }])
    expect(sip.all('INVITE')).toHaveLength(1)
    expect(calls.list()).toMatchObject([{ state: 'Up' }])
  })

  it('ends the call on both sides when its answer cannot be carried, since one side has taken it', async () => {
    const { sip, engine, call, fromA, ended, calls } = await connected()
    const again = fromA(call, 'INVITE', { body: sdp('4444', 2) })
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 2)
    const b2 = sip.last('INVITE')
    b2.respond(200, { body: farSdp('5002', 2) })
    ;(await engine.next('answer')).answer({ result: 'error', 'error-reason': 'Unknown call-id' })
    await until(() => sip.all('BYE').length === 2)
    expect(b2.acks).toHaveLength(1)
    expect(again.answers.at(-1)?.status).toBe(487)
    expect(ended).toMatchObject([{ kind: 'Ended' }])
    for (const bye of sip.all('BYE')) bye.respond(200)
    await until(() => calls.count === 0)
  })

  it('goes through the engine once when it is challenged and sent again', async () => {
    const { sip, engine, call, fromA } = await connected()
    const again = fromA(call, 'INVITE', { body: sdp('4444', 2) })
    carry(await engine.next('offer'))
    await until(() => sip.all('INVITE').length === 2)
    const refused = sip.last('INVITE')
    refused.respond(407, { headers: [['Proxy-Authenticate', 'Digest realm="r", nonce="n", qop="auth"']] })
    const proven = sip.last('INVITE')
    expect([sip.all('INVITE').length, proven.header('Proxy-Authorization')]).toEqual([3, expect.any(String)])
    expect(proven.request.body).toEqual(refused.request.body)
    proven.respond(200, { body: farSdp('5002', 2) })
    carry(await engine.next('answer'))
    await until(() => again.answers.length === 1)
    expect(again.answers).toMatchObject([{ status: 200 }])
    expect(proven.acks).toMatchObject([{ headers: [['Proxy-Authorization', expect.any(String)]] }])
  })

  it('keeps what comes meanwhile waiting, in order', async () => {
    const { sip, engine, call, b, fromA, fromB } = await connected()
    fromA(call, 'INVITE', { body: sdp('4444', 2) })
    const offer = await engine.next('offer')
    const info = fromB(b, 'INFO')
    expect(sip.all('INFO')).toEqual([])
    const crossing = fromB(b, 'UPDATE', { body: farSdp('5002', 2) })
    carry(offer)
    await until(() => sip.all('INFO').length === 1)
    expect(sip.sent.map(({ request }) => request.method)).toEqual(['INVITE', 'INVITE', 'INFO'])
    expect(crossing.answers).toMatchObject([{ status: 491 }])
    expect(info.answers).toEqual([])
  })
})
