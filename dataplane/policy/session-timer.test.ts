import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { ResolvedSessionTimer } from '#api/session-behaviour.ts'
import { readMessage } from '../engine/message/parse.ts'
import {
  answerAsk,
  answeredExpires,
  carriedAsk,
  deadlineMilliseconds,
  isCoupled,
  type LegTimer,
  noTimer,
  originatedAsk,
  readTimer,
  refreshAfterMilliseconds,
  type Role,
  roleOf,
  scopeOf,
  type Side,
  timerOfAnswer,
  type TimerFields,
  type TimerSide,
  tooShort,
  writeTimer,
} from './session-timer.ts'
import { readRefresherTables, sessionExpires } from './testing/refresher-tables.ts'

const tables = readRefresherTables()
const policy: ResolvedSessionTimer = builtInBehaviour.sessionTimer

interface SideFields {
  readonly timer?: LegTimer
  readonly floor?: number
  readonly policy?: Partial<ResolvedSessionTimer>
}

function side(name: Side, { timer: running, floor = 0, policy: change }: SideFields = {}): TimerSide {
  return { side: name, timer: running, floor, policy: { ...policy, ...change } }
}

/** What a message says; seconds undefined: no Session-Expires. */
function says(seconds?: number, refresher?: Role | '', supported = true): TimerFields {
  const expires = seconds === undefined ? undefined : { seconds, refresher: refresher === '' ? undefined : refresher }
  return { supported, required: false, expires, minimum: undefined }
}

const written = (fields: TimerFields) => Object.fromEntries(writeTimer(fields))
const timer = (refresher: LegTimer['refresher'], expiresSeconds = 1800): LegTimer => ({
  expiresSeconds,
  refresher,
  because: 'of the test',
})

/** The whole of a set-up: what B is asked, and what both legs have after the 200 of B. */
function setUp(request: TimerFields, response: TimerFields, a = side('A'), b = side('B')) {
  const scope = scopeOf(
    { ...builtInBehaviour, sessionTimer: a.policy },
    { ...builtInBehaviour, sessionTimer: b.policy },
  )
  const asked = carriedAsk(request, b, scope)
  const across = scope === 'EndToEnd' ? answeredExpires(response, asked) : undefined
  const answer = answerAsk(a, request, across, scope)
  const onB = timerOfAnswer(b, response, asked, answer.coupled)
  return { scope, asked, answer: answer.fields, onA: answer.timer, onB }
}

describe('the tables of Cisco CVP (feature item 26)', () => {
  it.each(tables.agentAnswer)(
    'table 1.1: INVITE %j, IVR %j, INVITE to the agent %j, agent %j: re-INVITE to the ingress %j',
    (ingress, ivr, toAgent, agent, toIngress) => {
      const first = setUp(says(1800, ingress), says(1800, ivr))
      expect(written(first.answer)['Session-Expires']).toBe(sessionExpires(ivr))
      // R1: what the ingress asked, not what the IVR chose.
      const asked = carriedAsk(says(1800, ingress), side('B'), 'EndToEnd')
      expect(written(asked)['Session-Expires']).toBe(sessionExpires(toAgent))
      const onAgent = timerOfAnswer(side('B'), says(1800, agent), asked, true)
      const again = originatedAsk({ ...side('A'), timer: first.onA }, onAgent, 'EndToEnd')
      expect(written(again)).toEqual({ 'Session-Expires': sessionExpires(toIngress), 'Min-SE': '1800' })
      // R3.
      expect(again.supported).toBe(true)
    },
  )

  it.each(tables.whisper)('table 26-B: 200 of the ingress %j: re-INVITE to the agent %j', (ingress, toAgent) => {
    const onIngress = timerOfAnswer(side('A'), says(1800, ingress), says(1800, 'uac'), true)
    const again = originatedAsk(side('B', { timer: timer('PeerA') }), onIngress, 'EndToEnd')
    expect(written(again)['Session-Expires']).toBe(sessionExpires(toAgent))
  })

  it.each(tables.ingress)('table 26-A: request %j, response %j: allowed %j', (request, response, allowed) => {
    const { answer } = setUp(says(1800, request), says(1800, response))
    expect(answer.expires?.refresher === response).toBe(allowed)
  })
})

describe('RFC 4028 section 9, table 2', () => {
  it.each(tables.response)(
    'supports timers %s, refresher in the request %j: response one of %j',
    (supports, role, allowed) => {
      const asked = says(1800, role, supports === 'Y')
      for (const preferRefresher of ['Auto', 'Sbc', 'Peer'] as const) {
        for (const scope of ['EndToEnd', 'LegByLeg'] as const) {
          const { fields } = answerAsk(side('A', { policy: { preferRefresher } }), asked, undefined, scope)
          expect(fields.expires === undefined ? [] : [fields.expires.refresher]).toEqual(
            allowed.length === 0 ? [] : [allowed.find((one) => one === fields.expires?.refresher)],
          )
          expect(fields.required).toBe(fields.expires?.refresher === 'uac')
        }
      }
    },
  )

  it.each([
    ['Auto', 'uac'],
    ['Sbc', 'uas'],
    ['Peer', 'uac'],
  ] as const)('preferRefresher %s chooses %s where the request leaves it open', (preferRefresher, role) => {
    const { fields } = answerAsk(side('A', { policy: { preferRefresher } }), says(1800), undefined, 'LegByLeg')
    expect(fields.expires).toEqual({ seconds: 1800, refresher: role })
  })

  it('the interval is never raised, and never below the Min-SE of the request', () => {
    const legByLeg = (seconds: number, minimum: number) =>
      answerAsk(side('A', { policy: { expiresSeconds: 600 } }), { ...says(seconds), minimum }, undefined, 'LegByLeg')
        .fields.expires?.seconds
    expect([legByLeg(1800, 90), legByLeg(1800, 900), legByLeg(300, 90)]).toEqual([600, 900, 300])
  })
})

describe('who refreshes', () => {
  it.each([
    ['both know timers, the caller refreshes', says(1800), says(1800, 'uac'), 'PeerA', 'PeerA'],
    ['both know timers, the callee refreshes', says(1800), says(1800, 'uas'), 'PeerB', 'PeerB'],
    ['the callee knows none: the caller keeps its own', says(1800), says(), 'PeerA', undefined],
    ['the callee knows none, and the caller wants it to refresh: R6', says(1800, 'uas'), says(), 'Sbc', undefined],
    [
      'the caller knows none, and the callee wants it to refresh: R6',
      says(undefined, undefined, false),
      says(1800, 'uac'),
      undefined,
      'Sbc',
    ],
    [
      'the caller knows none, and the callee refreshes',
      says(undefined, undefined, false),
      says(1800, 'uas'),
      undefined,
      'PeerB',
    ],
    ['the callee leaves the role out of its answer', says(1800, 'uac'), says(1800), 'PeerA', 'Sbc'],
    ['the callee contradicts the caller: each leg by itself', says(1800, 'uas'), says(1800, 'uac'), 'Sbc', 'Sbc'],
    ['nobody asks', says(), says(), undefined, undefined],
  ] as const)('%s', (_case, request, response, onA, onB) => {
    const found = setUp(request, response)
    expect([found.onA?.refresher, found.onB?.refresher]).toEqual([onA, onB])
  })

  it('a callee that wants a longer interval makes two timers, so that neither side drifts (feature item 5 (d))', () => {
    const found = setUp(says(1800), says(3600, 'uas'), side('A'), side('B', { floor: 3600 }))
    expect(found.asked.expires?.seconds).toBe(3600)
    expect(found.answer.expires).toEqual({ seconds: 1800, refresher: 'uas' })
    expect([found.onA?.refresher, found.onB?.refresher]).toEqual(['Sbc', 'PeerB'])
    expect(isCoupled(found.onA, found.onB)).toBe(false)
  })

  it('takeRefresherRole Never: nobody refreshes for a peer without timers', () => {
    const never = { policy: { takeRefresherRole: 'Never' } as const }
    const found = setUp(says(1800, 'uas'), says(), side('A', never), side('B', never))
    expect([found.answer.expires, found.onA, found.onB]).toEqual([undefined, undefined, undefined])
    expect(setUp(says(undefined, undefined, false), says(), side('A', never), side('B', never)).asked.supported).toBe(
      false,
    )
  })

  it('takeRefresherRole Always: each leg is refreshed, also where the peer knows no timers', () => {
    const always = { policy: { takeRefresherRole: 'Always' } as const }
    const found = setUp(says(undefined, undefined, false), says(), side('A', always), side('B', always))
    expect(found.scope).toBe('LegByLeg')
    expect(found.asked.expires).toEqual({ seconds: 1800, refresher: 'uac' })
    expect(found.answer.expires).toBeUndefined()
    expect([found.onA?.refresher, found.onB?.refresher]).toEqual(['Sbc', 'Sbc'])
  })

  it('LegByLeg: what is agreed with the callee is nothing to the caller (feature item 5, check 7)', () => {
    const own = { policy: { mode: 'LegByLeg' } as const }
    const found = setUp(says(3600), says(2400, 'uas'), side('A', own), side('B', own))
    expect(found.answer.expires).toEqual({ seconds: 1800, refresher: 'uac' })
    expect([found.onA?.expiresSeconds, found.onB?.expiresSeconds]).toEqual([1800, 2400])
    expect([found.onA?.refresher, found.onB?.refresher]).toEqual(['PeerA', 'PeerB'])
  })

  it('Disabled: nothing is said on that leg, and the other one has its timer by itself', () => {
    const found = setUp(says(1800), says(), side('A'), side('B', { policy: { mode: 'Disabled' } }))
    expect(found.asked).toEqual(noTimer)
    expect([found.onA?.refresher, found.onB]).toEqual(['PeerA', undefined])
  })

  it('a party is its role only in one transaction (RFC 4028 section 7.4)', () => {
    expect([roleOf('PeerA', 'A'), roleOf('PeerA', 'B'), roleOf('PeerB', 'B'), roleOf('Sbc', 'A')]).toEqual([
      'uas',
      'uac',
      'uas',
      'uac',
    ])
  })
})

describe('the INVITE to the callee', () => {
  it.each([
    ['the caller asks', says(1800, 'uac'), {}, { 'Session-Expires': '1800;refresher=uac', 'Min-SE': '1800' }],
    ['nobody asks', says(), {}, { 'Min-SE': '1800' }],
    ['alwaysRequest', says(), { alwaysRequest: true }, { 'Session-Expires': '1800', 'Min-SE': '1800' }],
    [
      'alwaysRequest, and the fleet wants to refresh',
      says(),
      { alwaysRequest: true, preferRefresher: 'Sbc' },
      { 'Session-Expires': '1800;refresher=uac', 'Min-SE': '1800' },
    ],
    [
      'alwaysRequest, and the peer shall refresh',
      says(),
      { alwaysRequest: true, preferRefresher: 'Peer' },
      { 'Session-Expires': '1800;refresher=uas', 'Min-SE': '1800' },
    ],
    ['Min-SE is never above the interval (R3)', says(600), {}, { 'Session-Expires': '600', 'Min-SE': '600' }],
  ] as const)('%s', (_case, asked, change, expected) => {
    const fields = carriedAsk(asked, side('B', { policy: change }), 'EndToEnd')
    expect(written(fields)).toEqual(expected)
    expect(fields).toMatchObject({ supported: true, required: false })
  })

  it('keeps a timer that runs there when a request of the other peer is silent (feature item 8 (d))', () => {
    const fields = carriedAsk(says(), side('B', { timer: timer('PeerA') }), 'EndToEnd')
    expect(fields.expires).toEqual({ seconds: 1800, refresher: 'uac' })
  })

  it('asks for no less than a 422 of that call wanted (section 7.1)', () => {
    expect(carriedAsk(says(1800), side('B', { floor: 3600 }), 'EndToEnd')).toMatchObject({
      expires: { seconds: 3600 },
      minimum: 3600,
    })
  })
})

describe('an interval below 90 s (RFC 4028 sections 4 and 5)', () => {
  it.each([0, 1, 5, 30, 89])('of %i s in the answer counts as the Min-SE that was asked for, on both legs', (short) => {
    const lenient = { policy: { minSeSeconds: 90 } } as const
    const found = setUp(says(1800), says(short, 'uas'), side('A', lenient), side('B', lenient))
    expect([found.onA?.expiresSeconds, found.onB?.expiresSeconds]).toEqual([90, 90])
    expect(isCoupled(found.onA, found.onB)).toBe(true)
    expect(written(found.answer)['Session-Expires']).toBe('90;refresher=uas')
    expect(setUp(says(1800), says(short, 'uas')).onB?.expiresSeconds).toBe(1800)
  })

  it.each([0, 30, 89])(
    'of %i s from a caller without timers is raised, and no call fails of it (section 8.1)',
    (short) => {
      const asked = { ...says(short, '', false), minimum: short }
      expect(written(carriedAsk(asked, side('B'), 'EndToEnd'))).toEqual({ 'Session-Expires': '1800', 'Min-SE': '1800' })
      const lenient = side('B', { policy: { minSeSeconds: 90 } })
      expect(written(carriedAsk(asked, lenient, 'EndToEnd'))).toEqual({ 'Session-Expires': '90', 'Min-SE': '90' })
    },
  )

  it('is on the wire in no request and no 2xx of ours', () => {
    const short = timer('PeerA', 5)
    const asks = [
      carriedAsk(says(5), side('B'), 'EndToEnd'),
      carriedAsk(says(), side('B', { timer: short }), 'LegByLeg'),
      originatedAsk(side('B', { timer: short }), short, 'EndToEnd'),
    ]
    for (const { expires, minimum } of asks) {
      expect(expires?.seconds).toBeGreaterThanOrEqual(90)
      expect(minimum).toBeGreaterThanOrEqual(90)
    }
    for (const across of [undefined, { seconds: 5, refresher: 'uas' } as const]) {
      for (const scope of ['EndToEnd', 'LegByLeg'] as const) {
        const { fields } = answerAsk(side('A'), says(5), across, scope)
        expect(fields.expires?.seconds).toBeGreaterThanOrEqual(90)
      }
    }
  })
})

describe('422', () => {
  it.each([
    ['a shorter interval', says(600), {}, 1800],
    ['one that will do', says(1800), {}, undefined],
    ['no interval', says(), {}, undefined],
    ['a UAC that could do nothing with it', says(600, undefined, false), {}, undefined],
    ['timers disabled', says(600), { mode: 'Disabled' }, undefined],
    ['a smaller minimum', says(600), { minSeSeconds: 90 }, undefined],
  ] as const)('%s', (_case, asked, change, minimum) => {
    expect(tooShort(side('A', { policy: change }), asked)).toBe(minimum)
  })
})

describe('reading', () => {
  const read = (...lines: string[]) => {
    const start = [
      'INVITE sip:b@h SIP/2.0',
      'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
      'From: <sip:a@h>;tag=1',
      'To: <sip:b@h>',
    ]
    const result = readMessage([...start, 'Call-ID: c', 'CSeq: 1 INVITE', ...lines, '', ''].join('\r\n'))
    if (!result.ok) throw new Error(result.reason)
    return readTimer(result.message)
  }

  it.each([
    [['x: 1800;refresher=uas', 'k: timer'], { expires: { seconds: 1800, refresher: 'uas' }, supported: true }],
    [
      ['Session-Expires: 1800 ; foo=bar ; Refresher=UAC'],
      { expires: { seconds: 1800, refresher: 'uac' }, supported: true },
    ],
    [['Session-Expires: 1800;refresher=both'], { expires: { seconds: 1800, refresher: undefined }, supported: false }],
    [['Session-Expires: 1800;x=";refresher=uas";refresher="uac"'], { expires: { seconds: 1800, refresher: 'uac' } }],
    [['Session-Expires: 1800;x=";refresher=uas;"'], { expires: { seconds: 1800, refresher: undefined } }],
    [['Session-Expires: 1800;refresher=uas;'], { expires: { seconds: 1800, refresher: 'uas' } }],
    [['Session-Expires: soon'], { expires: undefined }],
    [['Session-Expires: 99999999999'], { expires: undefined }],
    [['Session-Expires: -5'], { expires: undefined }],
    [['Min-SE: 120;x=y'], { minimum: 120 }],
    [['Require: timer'], { supported: true, required: true }],
  ])('%j', (lines, expected) => {
    expect(read(...lines)).toMatchObject(expected)
  })
})

describe('time (RFC 4028 section 10)', () => {
  it('refreshes at half the interval, up to a twentieth of that earlier', () => {
    expect(refreshAfterMilliseconds(timer('Sbc'), 0)).toBe(900_000)
    expect(refreshAfterMilliseconds(timer('Sbc'), 0.999)).toBeGreaterThan(855_000)
  })

  it.each([
    [1800, 1_768_000],
    [90, 60_000],
  ])('gives up on %i s after %i ms: 32 s or a third before the end', (seconds, milliseconds) => {
    expect(deadlineMilliseconds(timer('PeerA', seconds))).toBe(milliseconds)
  })
})
