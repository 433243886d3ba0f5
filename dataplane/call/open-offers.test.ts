import { describe, expect, it } from 'vitest'
import { builtInBehaviour, type ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { MediaEngine } from '../media/engine-pool.ts'
import type { NgFields, NgReply } from '../media/ng-client.ts'
import type { HeaderList } from '../sip/port.ts'
import { agreeEarly, prack, reliable, supports } from './testing/reliable-call.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

/** An engine that gives back what it gets, at once, while it is up. */
class Mirror {
  up = true
  packets = 5
  readonly name: string
  readonly asked: string[] = []
  readonly #downs: ((calls: number) => void)[] = []

  constructor(name: string) {
    this.name = name
  }

  join(onDown: (calls: number) => void): () => void {
    this.#downs.push(onDown)
    return () => {}
  }

  request(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    if (!this.up) return done({ ok: false, cause: 'Silent', reason: 'no answer' })
    const description = typeof fields['sdp'] === 'string' ? fields['sdp'] : ''
    this.asked.push(`${command} ${description.match(/m=audio \d+/)?.[0] ?? ''}`)
    done({ ok: true, fields: { result: 'ok', sdp: description, totals: { RTP: { packets: this.packets } } } })
  }

  die(): void {
    this.up = false
    for (const down of this.#downs) down(1)
  }
}

function begin(behaviour: Partial<ResolvedSipBehaviour> = {}) {
  const one = new Mirror('one')
  const two = new Mirror('two')
  const media = { ...builtInBehaviour.media, mode: 'Anchor' as const }
  const choose = () => [one, two].filter(({ up }) => up) as unknown as MediaEngine[]
  const scenario = createScenario({
    sip: { media, midcall: { mode: 'PassThrough' }, ...behaviour },
    engines: { choose },
    targets: 1,
  })
  return { ...scenario, one, two }
}

type Begun = ReturnType<typeof begin>

/** Whether the peers are told where their media goes once the engine has died. */
function moves({ sip, clock, one, ended }: Begun): boolean {
  const before = sip.all('INVITE').length
  one.die()
  clock.advance(5_000)
  return sip.all('INVITE').length > before && ended.length === 0
}

describe('a callee that says again in its 2xx the offer that PRACK has answered', () => {
  function answeredTwice() {
    const scenario = begin({ sessionTimer: { ...builtInBehaviour.sessionTimer, alwaysRequest: true } })
    const { sip, one } = scenario
    const a = scenario.invite({ headers: supports, body: 'none' })
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), headers: reliable() })
    prack(scenario, a, sdp('4000'))
    sip.last('PRACK').respond(200)
    const asked = one.asked.length
    const timer: HeaderList = [
      ['Session-Expires', '1800;refresher=uac'],
      ['Require', 'timer'],
    ]
    b.respond(200, { body: farSdp('5000'), headers: timer })
    scenario.ack(a)
    return { scenario, a, b, asked }
  }

  it('makes no new offer (RFC 3261 section 13.2.1)', () => {
    const { scenario, a, b, asked } = answeredTwice()
    expect(scenario.one.asked).toHaveLength(asked)
    expect([a.lastAnswer.status, a.lastAnswer.body]).toEqual([200, undefined])
    expect(b.acks).toEqual([{ body: undefined }])
  })

  it('is in a call that survives its engine', () => {
    expect(moves(answeredTwice().scenario)).toBe(true)
  })

  it('is in a call whose refreshes do it no harm', () => {
    const { scenario, b } = answeredTwice()
    const { sip, clock, ended } = scenario
    clock.advance(900_000)
    const refresh = sip.last('INVITE')
    expect(refresh).not.toBe(b)
    refresh.respond(200, { body: refresh.request.dialogId === b.dialogId ? farSdp('5000') : sdp('4000') })
    expect([refresh.acks.length, ended]).toEqual([1, []])
  })
})

describe('an offer that the call answers by itself', () => {
  /** Renegotiation, which the second side refuses. */
  function refused() {
    const scenario = begin({ update: { early: 'BlockRenegotiate' } })
    const { a, b } = agreeEarly(scenario)
    scenario.fromA(a, 'UPDATE', { body: sdp('4002', 2) })
    b.respond(200)
    scenario.ack(a)
    const asked = scenario.sip.last('INVITE')
    asked.respond(200, { body: sdp('4002', 3) })
    scenario.sip.last('INVITE').respond(488)
    return { scenario, a, b, asked }
  }

  /** A re-INVITE without offer, whose CANCEL crosses with the 2xx. */
  function crossed() {
    const scenario = begin()
    const { invite: a, b } = scenario.connect()
    const again = scenario.fromA(a, 'INVITE')
    const asked = scenario.sip.last('INVITE')
    again.cancel()
    asked.respond(200, { body: farSdp('5002', 2) })
    return { scenario, a, b, asked }
  }

  const ways = { 'in a renegotiation that is refused': refused, 'where a CANCEL has crossed with it': crossed }

  describe.each(Object.entries(ways))('%s', (_name, way) => {
    it('is answered at the engine, too, with what the other side has said before', () => {
      const { scenario, asked } = way()
      expect(asked.acks[0]?.body?.content).toContain('m=audio')
      const [port, before] = way === refused ? ['4002', '5000'] : ['5002', '4000']
      expect(scenario.one.asked.slice(-2)).toEqual([`offer m=audio ${port}`, `answer m=audio ${before}`])
    })

    it.each(['A', 'B'] as const)('does not stand in the way of another one of %s', (side) => {
      const { scenario, a, b } = way()
      const { sip, fromA, fromB, ended } = scenario
      const sent = sip.all('INVITE').length
      const next =
        side === 'A' ? fromA(a, 'INVITE', { body: sdp('4010', 4) }) : fromB(b, 'INVITE', { body: farSdp('5010', 4) })
      expect([next.statuses, sip.all('INVITE').length - sent]).toEqual([[], 1])
      sip.last('INVITE').respond(200, { body: side === 'A' ? farSdp('5000') : sdp('4002', 3) })
      expect([next.statuses, ended]).toEqual([[200], []])
    })

    it('is in a call that survives its engine', () => {
      expect(moves(way().scenario)).toBe(true)
    })
  })
})

describe('an offer in an answer that nobody answers', () => {
  function asked() {
    const scenario = begin()
    const { invite: a, b } = scenario.connect()
    const again = scenario.fromA(a, 'INVITE')
    return { scenario, a, b, again, out: scenario.sip.last('INVITE') }
  }

  it('is withdrawn from the engine when the ACK brings no answer', () => {
    const { scenario, again, out } = asked()
    out.respond(200, { body: farSdp('5002', 2) })
    scenario.ack(again)
    expect(out.acks).toEqual([{ body: undefined }])
    expect(scenario.one.asked.slice(-2)).toEqual(['offer m=audio 4000', 'answer m=audio 5000'])
    expect(moves(scenario)).toBe(true)
  })

  it('is withdrawn from the engine when the INVITE is refused after all', () => {
    const { scenario, b, out } = asked()
    out.respond(183, { body: farSdp('5002', 2) })
    out.respond(486)
    expect(scenario.one.asked.slice(-2)).toEqual(['offer m=audio 4000', 'answer m=audio 5000'])
    expect(scenario.fromB(b, 'INVITE', { body: farSdp('5004', 3) }).statuses).toEqual([])
    expect(scenario.sip.last('INVITE').request.body?.content).toContain('m=audio 5004')
  })
})

describe('a description in the answer to an UPDATE without one', () => {
  it('is no offer, and goes no further (RFC 3311 section 5.1)', () => {
    const scenario = begin()
    const { sip, one, fromA, connect } = scenario
    const { invite: a } = connect()
    const asked = one.asked.length
    const update = fromA(a, 'UPDATE')
    sip.last('UPDATE').respond(200, { body: farSdp('5000') })
    expect([update.lastAnswer.status, update.lastAnswer.body]).toEqual([200, undefined])
    expect(one.asked).toHaveLength(asked)
    expect(moves(scenario)).toBe(true)
  })
})

describe('an offer that rings on and on', () => {
  it('ends a call whose engine has died meanwhile', () => {
    const { fromA, connect, sip, clock, one, ended } = begin()
    fromA(connect().invite, 'INVITE', { body: sdp('4010', 2) })
    sip.last('INVITE').respond(180)
    one.die()
    clock.advance(60_000)
    expect([ended, sip.all('BYE').length]).toEqual([[{ kind: 'Media', why: 'Lost' }], 2])
  })

  it('ends no call in which somebody is heard meanwhile, and one in which nobody is', () => {
    const media = { ...builtInBehaviour.media, mode: 'Anchor' as const, timeoutSeconds: 60 }
    const { fromA, connect, sip, clock, one, ended } = begin({ media })
    fromA(connect().invite, 'INVITE', { body: sdp('4010', 2) })
    sip.last('INVITE').respond(180)
    for (let tens = 0; tens < 12; tens++) {
      one.packets++
      clock.advance(10_000)
    }
    expect(ended).toEqual([])
    clock.advance(70_000)
    expect(ended).toEqual([{ kind: 'Media', why: 'Silent' }])
  })
})
