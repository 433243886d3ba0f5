import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { SipPortError } from '../sip/port.ts'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

const retryAfter = [['Retry-After', '30']] as const

/** RFC 3261 section 8.2.3: what a 415 says would do. */
const accepted = [
  ['Accept', 'application/sdp'],
  ['Accept-Encoding', 'identity'],
] as const

describe('a call that is answered', () => {
  it('rings, is answered, and both sides get their ACK', () => {
    const { sip, invite, ack, calls, answered } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    expect(calls.list()).toMatchObject([{ state: 'Trying', revision: 'r1', calling: '1000', called: '2000' }])
    b.respond(180)
    expect(calls.list()[0]?.state).toBe('Ringing')
    b.respond(200, { body: farSdp('5000') })
    expect(a.statuses).toEqual([180, 200])
    expect(b.acks).toHaveLength(1)
    ack(a)
    expect(calls.list()).toMatchObject([
      {
        state: 'Up',
        legA: { trunk: 'pbx', peer: '10.66.0.5:5060', dialogId: a.openedDialog },
        legB: { trunk: 'carrier', target: 't1', route: 'out', peer: '198.51.100.1:5060', dialogId: b.dialogId },
      },
    ])
    expect(answered).toHaveLength(1)
  })

  it('sends leg B where the decision says, from the listener of the target', () => {
    const { sip, invite } = createScenario()
    invite({ uri: 'sip:+49%3289@203.0.113.1:5060;user=phone' })
    const { request } = sip.last('INVITE')
    expect(request.uri).toBe('sip:+49%3289@198.51.100.1;user=phone')
    expect(request.nextHop).toBe('sip:198.51.100.1:5060;transport=udp')
    expect(Object.fromEntries(request.headers)).toMatchObject({
      From: '"Alice" <sip:1000@203.0.113.1>',
      To: '<sip:2000@198.51.100.1>',
      Contact: '<sip:1000@203.0.113.1:5060>',
      'Max-Forwards': '69',
      Expires: '180',
      Allow: 'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK',
    })
  })

  it('passes early media on, and gives all answers of a forked leg B one To tag (feature item 1, check 7)', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(183, { body: farSdp('5000'), toTag: 'b1' })
    b.respond(183, { body: farSdp('6000'), toTag: 'b2' })
    b.respond(200, { body: farSdp('6000'), toTag: 'b2' })
    expect(a.statuses).toEqual([183, 183, 200])
    expect(new Set(a.answers.map(({ toTag }) => toTag)).size).toBe(1)
    const versions = a.answers.map(({ body }) => /o=- \d+ (\d+)/.exec(body?.content ?? '')?.[1])
    expect(versions).toEqual(['1', '2', '2'])
  })

  it('keeps 100, and provisional answers that are not 18x, to itself', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').trying()
    sip.last('INVITE').respond(199)
    expect(a.answers).toEqual([])
  })

  it('acknowledges leg B with the answer in the ACK of leg A when the offer came late (RFC 3261 section 13.2.1)', () => {
    const { sip, invite, ack } = createScenario()
    const a = invite({ body: 'none' })
    const b = sip.last('INVITE')
    expect(b.request.body).toBeUndefined()
    b.respond(200, { body: farSdp('5000') })
    expect(a.lastAnswer.body?.content).toContain('m=audio 5000')
    expect(b.acks).toEqual([])
    ack(a, sdp('4000'))
    expect(b.acks[0]?.body?.content).toContain('m=audio 4000')
  })

  it('takes a body of no bytes for none, whatever its type', () => {
    const { sip, invite } = createScenario()
    invite({ body: { content: '', type: 'application/sdp' } })
    expect(sip.last('INVITE').request.body).toBeUndefined()
  })

  it('lives on the configuration it started with', () => {
    const scenario = createScenario()
    scenario.connect()
    if (scenario.running !== undefined) scenario.running = { ...scenario.running, revision: 'r2' }
    scenario.connect()
    expect(scenario.calls.list().map(({ revision }) => revision)).toEqual(['r1', 'r2'])
  })
})

describe('hunting', () => {
  it.each([404, 500, 503])('tries the next target after %i, and the caller sees only the end', (status) => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(status, { headers: retryAfter })
    sip.last('INVITE').respond(status)
    expect(sip.all('INVITE').map(({ request }) => request.uri)).toEqual([
      'sip:2000@198.51.100.1',
      'sip:2000@198.51.100.2',
      'sip:2000@198.51.100.3',
    ])
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    expect(a.statuses).toEqual([200])
  })

  it.each([480, 486, 487, 600, 603])('stops at %i (feature item 9, check 6)', (status) => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(status)
    expect(sip.all('INVITE')).toHaveLength(1)
    expect(a.statuses).toEqual([status])
  })

  it('goes on after a target that is silent, and hangs up on it when it answers after all (RFC 3261 section 13.2.2.4)', () => {
    const { sip, invite, clock, calls } = createScenario()
    const a = invite()
    const first = sip.last('INVITE')
    clock.advance(4_000)
    expect(first.cancelWanted).toBe(true)
    const second = sip.last('INVITE')
    expect(second).not.toBe(first)
    first.respond(180)
    expect(a.statuses).toEqual([])
    first.respond(200, { body: farSdp('5000') })
    expect(first.acks).toHaveLength(1)
    expect(sip.last('BYE').request.dialogId).toBe(first.dialogId)
    second.respond(486)
    expect(a.statuses).toEqual([486])
    expect(calls.count).toBe(1)
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('waits for a target that has said 100', () => {
    const { sip, invite, clock } = createScenario()
    invite()
    sip.last('INVITE').trying()
    clock.advance(60_000)
    expect(sip.all('INVITE')).toHaveLength(1)
  })

  it('gives the caller 408 when the last target is silent', () => {
    const { invite, clock, sip, calls } = createScenario({ targets: 1 })
    const a = invite()
    clock.advance(4_000)
    expect(a.statuses).toEqual([408])
    sip.last('INVITE').respond(408, { local: true })
    expect([calls.count, clock.pending]).toEqual([0, 0])
  })

  it('goes on when the transport fails or nothing can be sent', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(503, { local: true })
    sip.last('INVITE').fail(new SipPortError('Rejected', 'no'))
    sip.last('INVITE').fail(new SipPortError('Disconnected', 'no'))
    expect(a.statuses).toEqual([503])
  })
})

describe('what the caller is told of a failure (feature appendix B.1)', () => {
  it.each([
    [400, 500],
    [401, 503],
    [406, 500],
    [407, 503],
    [413, 500],
    [414, 500],
    [416, 500],
    [423, 500],
    [482, 500],
    [483, 500],
    [485, 404],
    [300, 480],
    [301, 480],
    [302, 480],
    [403, 403],
    [408, 408],
    [410, 410],
    [486, 486],
    [488, 488],
    [603, 603],
    [607, 607],
  ])('%i becomes %i', (status, told) => {
    const { sip, invite, ended } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(status, { headers: [['Contact', '<sip:x@198.51.100.50>']] })
    expect(a.statuses).toEqual([told])
    expect(a.lastAnswer.headers?.map(([name]) => name)).not.toContain('Contact')
    expect(ended).toEqual([{ kind: 'Refused', status: told }])
  })

  it.each([
    [486, true],
    [480, true],
    [503, false],
    [500, false],
  ])('Retry-After of a %i is passed on: %s', (status, kept) => {
    const { sip, invite } = createScenario({ targets: 1 })
    const a = invite()
    sip.last('INVITE').respond(status, { headers: [['Retry-After', '30 (gateway 198.51.100.1);duration=5']] })
    const found = a.lastAnswer.headers?.find(([name]) => name === 'Retry-After')
    expect(found).toEqual(kept ? ['Retry-After', '30'] : undefined)
  })
})

describe('CANCEL', () => {
  const reason = [['Reason', 'SIP;cause=200;text="Call completed elsewhere"']] as const

  it('before any answer waits for one on leg B, and is then sent (RFC 3261 section 9.1)', () => {
    const { sip, invite, calls, ended } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    a.cancel(reason)
    expect(b.cancelled).toBeUndefined()
    b.trying()
    expect(b.cancelled).toEqual(reason)
    b.respond(487)
    expect(a.statuses).toEqual([487])
    expect(calls.count).toBe(0)
    expect(ended).toEqual([{ kind: 'Cancelled' }])
  })

  it('while it rings', () => {
    const { sip, invite, calls, clock } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(180)
    a.cancel()
    expect(b.cancelled).toEqual([])
    b.respond(487)
    expect(a.statuses).toEqual([180, 487])
    expect(sip.all('INVITE')).toHaveLength(1)
    expect([calls.count, clock.pending]).toEqual([0, 0])
  })

  it('that crosses with a 200 of leg B: ACK, then BYE (feature item 1, check 3)', () => {
    const { sip, invite, calls } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(180)
    a.cancel()
    b.respond(200, { body: farSdp('5000') })
    expect(b.acks).toHaveLength(1)
    sip.last('BYE').respond(200)
    expect(sip.all('BYE')).toHaveLength(1)
    expect(a.statuses).toEqual([180, 487])
    expect(calls.count).toBe(0)
  })

  it('that was answered by the server a moment before our 200', () => {
    const { sip, invite, calls, ended } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    a.refusesFinal = true
    b.respond(200, { body: farSdp('5000') })
    expect(b.acks).toHaveLength(1)
    expect(sip.last('BYE').request.dialogId).toBe(b.dialogId)
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
    expect(ended).toEqual([{ kind: 'Cancelled' }])
  })

  it('that was answered by the server a moment before our 200 with a late offer', () => {
    const { sip, invite } = createScenario()
    const a = invite({ body: 'none' })
    const b = sip.last('INVITE')
    a.refusesFinal = true
    b.respond(200, { body: farSdp('5000') })
    expect(b.acks).toEqual([{ body: undefined }])
    expect(sip.all('BYE')).toHaveLength(1)
  })

  it('between two targets ends the hunt', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(503)
    const second = sip.last('INVITE')
    a.cancel()
    second.respond(503)
    expect(sip.all('INVITE')).toHaveLength(2)
    expect(a.statuses).toEqual([487])
  })

  it('after the answer changes nothing', () => {
    const { connect, calls } = createScenario()
    const { invite } = connect()
    invite.cancel()
    expect(calls.list()[0]?.state).toBe('Up')
  })
})

describe('how long a call may ring (feature item 14)', () => {
  const ring = (milliseconds: number) => ({
    sip: { timers: { ...builtInBehaviour.timers, inviteExpiresMilliseconds: milliseconds } },
  })

  it('ends with CANCEL to the target and 408 to the caller', () => {
    const { sip, invite, clock, calls } = createScenario(ring(60_000))
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(180)
    clock.advance(59_999)
    expect(a.statuses).toEqual([180])
    clock.advance(1)
    expect(a.statuses).toEqual([180, 408])
    expect(b.cancelled).toEqual([])
    expect(calls.count).toBe(1)
    b.respond(487)
    expect(calls.count).toBe(0)
  })

  it('is shorter when the Expires of the caller is, whose end is 487 (RFC 3261 section 13.3.1)', () => {
    const { sip, invite, clock } = createScenario(ring(180_000))
    const a = invite({ headers: [['Expires', '60']] })
    expect(sip.last('INVITE').header('Expires')).toBe('60')
    sip.last('INVITE').respond(183)
    clock.advance(60_000)
    expect(a.statuses).toEqual([183, 487])
  })

  it('is over at once with an Expires of 0, and nobody is called (RFC 3261 section 13.3.1)', () => {
    const { sip, invite, calls, clock } = createScenario(ring(180_000))
    const a = invite({ headers: [['Expires', '0']] })
    expect([a.statuses, sip.all('INVITE').length, calls.count, clock.pending]).toEqual([[487], 0, 0, 0])
  })

  it.each(['', 'soon', '1e1', '4294967296'])('is as configured with an Expires of "%s"', (value) => {
    const { sip, invite } = createScenario(ring(180_000))
    invite({ headers: [['Expires', value]] })
    expect(sip.last('INVITE').header('Expires')).toBe('180')
  })

  it('leaves no timer behind a call that was answered', () => {
    const { connect, clock } = createScenario()
    connect()
    expect(clock.pending).toBe(0)
  })
})

describe('what is refused before a call is made', () => {
  it.each([
    ['a number without a route gets 404', { uri: 'sip:alice@203.0.113.1' }, 404, []],
    ['Max-Forwards 0 gets 483', { headers: [['Max-Forwards', '0']] as const }, 483, []],
    [
      'Require: replaces gets 420 (RFC 3261 section 8.2.2.3)',
      { headers: [['Require', 'replaces, timer']] as const },
      420,
      [['Unsupported', 'replaces']] as const,
    ],
    ['sips: gets 416, since TLS on every hop cannot be promised', { uri: 'sips:2000@203.0.113.1' }, 416, []],
    [
      'a body that is no session description gets 415',
      { body: { content: '--x', type: 'multipart/mixed;boundary=x' } },
      415,
      accepted,
    ],
    [
      'a session description that is compressed gets 415: its origin could not be hidden (RFC 3261 section 8.2.3)',
      { headers: [['Content-Encoding', 'gzip']] as const },
      415,
      accepted,
    ],
  ])('%s', (_case, options, status, headers) => {
    const { invite, calls } = createScenario()
    const a = invite(options)
    expect({ status: a.lastAnswer.status, headers: a.lastAnswer.headers ?? [] }).toEqual({ status, headers })
    expect(calls.count).toBe(0)
  })

  it('a tel: URI is routed by its number without separators, and becomes sip: (RFC 3966 section 5.1.1)', () => {
    const { sip, invite } = createScenario()
    invite({ uri: 'tel:+1-201-555-0123' })
    expect(sip.last('INVITE').request.uri).toBe('sip:+1-201-555-0123@198.51.100.1;user=phone')
  })

  it('a source that belongs to no trunk, and was let in all the same, gets 403', () => {
    const { sip } = createScenario()
    const request = sip.receive({
      method: 'INVITE',
      uri: 'sip:2000@203.0.113.1',
      source: { address: '203.0.113.66', port: 5060, transport: 'UDP' },
      receivedOn: { address: '203.0.113.1', port: 5060 },
    })
    expect(request.statuses).toEqual([403])
  })
})
