import { describe, expect, it } from 'vitest'
import { SharedFindings } from '../../operator/push/shared-findings.ts'
import { configOf, runTrunks, target, trunk, addressesOf } from '../../dataplane/trunks/trunks-fixture.ts'

const keepalive = {
  enabled: true,
  upIntervalSeconds: 60,
  downIntervalSeconds: 30,
  failureThreshold: 2,
  timeoutSeconds: 4,
  scope: 'Fleet' as const,
  failureCodes: [503, 505],
}
const names = ['edge-0', 'edge-1', 'edge-2']
const carrier = trunk({ targets: [target()], keepalive })
const place = { trunk: 'carrier', target: { name: 'a' }, port: 5060, address: '198.51.100.1' }

type Run = ReturnType<typeof runTrunks>

/** Three replicas of one fleet, and what a control side does between them. `status` is what the peer answers to whom. */
function startFleet(one = carrier) {
  const runs = names.map((replica) => runTrunks(configOf([one]), { replica, members: names }))
  const statusFor = new Map<Run, number | undefined>(runs.map((run) => [run, 200]))
  for (const run of runs) {
    run.sip.script = (request) => {
      const status = statusFor.get(run)
      if (status === undefined) request.answerLocally(408)
      else request.answer(status)
    }
  }
  const shared = new SharedFindings(
    runs[0]?.clock ?? { now: () => 0, wallTime: () => 0, after: () => ({ cancel() {} }) },
  )
  const exchange = () => {
    for (const [index, run] of runs.entries()) {
      const news = shared.take(names[index] ?? '', { targets: run.trunks.targets(), registrations: [] })
      for (const { trunks } of runs) trunks.setFindings({ ...news, whole: false })
    }
  }
  const advance = (milliseconds: number) => {
    for (let passed = 0; passed < milliseconds; passed += 500) {
      for (const { clock } of runs) clock.advance(500)
      exchange()
    }
  }
  const sent = () => runs.reduce((sum, { sip }) => sum + sip.sent.length, 0)
  const usable = () => runs.map(({ trunks }) => trunks.usable('carrier', 'a'))
  const prober = runs.find((run) => run.trunks.targets().length > 0)
  const others = runs.filter((run) => run !== prober)
  if (prober === undefined) throw new Error('nobody probes')
  const answer = (status: number | undefined, to: readonly Run[] = runs) => {
    for (const run of to) statusFor.set(run, status)
  }
  return { runs, prober, others, advance, sent, usable, answer, exchange }
}

describe('targets of a fleet', () => {
  it('are probed by one replica each: M targets at 60 s cost M probes a minute, however many replicas there are', () => {
    const many = trunk({
      targets: Array.from({ length: 20 }, (_, index) => target({ name: `t${index}`, host: `198.51.100.${index + 1}` })),
      keepalive,
    })
    const { advance, sent, runs } = startFleet(many)
    advance(30_000)
    expect(sent()).toBe(20)
    advance(600_000)
    expect(sent()).toBe(220)
    expect(runs.every(({ sip }) => sip.sent.length > 0)).toBe(true)
  })

  it('are probed by every replica where the scope says so', () => {
    const { advance, runs } = startFleet({ ...carrier, keepalive: { ...keepalive, scope: 'Replica' } })
    advance(30_000)
    expect(runs.map(({ sip }) => sip.sent.length)).toEqual([1, 1, 1])
    expect(runs.map(({ trunks }) => trunks.targets()[0]?.probe)).toEqual([undefined, undefined, undefined])
  })

  it('that go down are so for every replica within a second of the prober, each of which looks once by itself', () => {
    const { advance, usable, answer, others } = startFleet()
    advance(1000)
    answer(503)
    advance(60_000)
    expect(usable()).toEqual([true, true, true])
    advance(60_500)
    expect(usable()).toEqual([false, false, false])
    advance(120_000)
    expect(others.map(({ sip }) => sip.sent.length)).toEqual([1, 1])
    answer(200)
    advance(31_000)
    expect(usable()).toEqual([true, true, true])
    advance(300_000)
    expect(others.map(({ sip }) => sip.sent.length)).toEqual([1, 1])
  })

  it('stay up for replicas that reach them when only the prober does not', () => {
    const { advance, usable, answer, prober, others, runs } = startFleet()
    advance(1000)
    answer(undefined, [prober])
    advance(120_000)
    advance(2000)
    expect(usable()).toEqual(runs.map((run) => run !== prober))
    expect(others.map(({ trunks }) => trunks.targets()[0]?.state)).toEqual(['Up', 'Up'])
    answer(200)
    advance(31_000)
    expect(others.map(({ trunks }) => trunks.targets())).toEqual([[], []])
    const before = others.map(({ sip }) => sip.sent.length)
    advance(300_000)
    expect(others.map(({ sip }) => sip.sent.length)).toEqual(before)
  })

  it('keep their state, since when included, when another replica becomes the prober', () => {
    const { advance, prober, runs, answer } = startFleet()
    advance(1000)
    answer(503)
    advance(122_000)
    const before = prober.trunks.targets()[0]
    expect(before?.state).toBe('Down')
    const left = names.filter((_, index) => runs[index] !== prober)
    for (const run of runs) if (run !== prober) run.trunks.setMembers(2, left)
    const heir = runs.find((run) => run !== prober && run.trunks.targets()[0]?.probe !== undefined)
    expect(heir?.trunks.targets()[0]).toMatchObject({ state: 'Down', since: before?.since })
  })

  it('are probed by a replica that hears of no members, after 5 s', () => {
    const run = runTrunks(configOf([carrier]), { members: [] })
    run.clock.advance(4999)
    expect(run.sip.sent).toEqual([])
    run.clock.advance(1001)
    expect(run.sip.sent).toHaveLength(1)
  })

  it('are probed by a replica that remembers the members as these share them, after 5 s', () => {
    const runs = names.map((replica) => runTrunks(configOf([carrier]), { replica, members: [] }))
    for (const run of runs) {
      run.trunks.recall(names)
      run.clock.advance(6000)
    }
    expect(runs.map(({ sip }) => sip.sent.length).toSorted((a, b) => a - b)).toEqual([0, 0, 1])
  })

  it('that are down are looked for by every replica while no control side brings the news', () => {
    const { advance, answer, others, usable } = startFleet()
    advance(1000)
    answer(503)
    advance(122_000)
    for (const { trunks } of others) trunks.setConnected(false)
    const [other] = others
    const before = other?.sip.sent.length ?? 0
    answer(200, others)
    other?.clock.advance(2000)
    expect(other?.sip.sent.length).toBe(before + 1)
    expect(usable().filter(Boolean)).toHaveLength(1)
  })

  it('that are one peer in several trunks share one probe', () => {
    const run = runTrunks(configOf([carrier, trunk({ ...carrier, name: 'second' })]))
    run.sip.script = (request) => request.answer(200)
    run.clock.advance(61_000)
    expect(run.sip.sent).toHaveLength(2)
    expect(run.trunks.targets().map(({ trunk: name, state }) => `${name} ${state}`)).toEqual([
      'carrier Up',
      'second Up',
    ])
  })
})

describe('a call that fails', () => {
  it('marks the target down for its own replica at once, and no other', () => {
    const { advance, usable, runs, others } = startFleet()
    advance(1000)
    const [unlucky] = others
    unlucky?.trunks.observe(place, { status: 503, retryAfterSeconds: undefined })
    expect(usable()).toEqual(runs.map((run) => run !== unlucky))
    expect(unlucky?.trunks.targets()).toMatchObject([{ state: 'Down', lastCode: 503, failure: 'Rejected' }])
    advance(500)
    expect(usable()).toEqual(runs.map((run) => run !== unlucky))
  })

  it('brings the target back with the first OPTIONS that is answered, a second later', () => {
    const { advance, usable, others } = startFleet()
    advance(1000)
    const [unlucky] = others
    unlucky?.trunks.observe(place, { status: undefined, retryAfterSeconds: undefined })
    advance(500)
    expect(unlucky?.sip.sent).toHaveLength(0)
    advance(500)
    expect(unlucky?.sip.sent).toHaveLength(1)
    expect(usable()).toEqual([true, true, true])
    expect(unlucky?.trunks.targets()).toEqual([])
    advance(300_000)
    expect(unlucky?.sip.sent).toHaveLength(1)
  })

  it('again and again makes the way back longer, up to the interval of a target that is down', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.answer(200)
    run.clock.advance(1000)
    const waits = Array.from({ length: 7 }, () => {
      run.trunks.observe(place, { status: 503, retryAfterSeconds: undefined })
      const before = run.clock.now()
      while (!run.trunks.usable('carrier', 'a')) run.clock.advance(500)
      return run.clock.now() - before
    })
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
    run.trunks.observe(place, undefined)
    run.trunks.observe(place, { status: 503, retryAfterSeconds: undefined })
    run.clock.advance(1000)
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
  })

  it('with Retry-After gets no call before that time is over (RFC 3261 section 21.5.4)', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.answer(200)
    run.clock.advance(1000)
    run.trunks.observe(place, { status: 503, retryAfterSeconds: 90 })
    run.clock.advance(89_999)
    expect(run.trunks.usable('carrier', 'a')).toBe(false)
    run.clock.advance(1)
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
  })

  it('at the prober is no finding of its probes, and says nothing to the others', () => {
    const { advance, usable, prober, runs } = startFleet()
    advance(1000)
    prober.trunks.observe(place, { status: 503, retryAfterSeconds: 3600 })
    advance(5000)
    expect(usable()).toEqual(runs.map((run) => run !== prober))
    expect(prober.trunks.targets()[0]).toMatchObject({ state: 'Down' })
    expect(prober.trunks.targets()[0]).not.toHaveProperty('probe')
  })

  it('takes only its address out of a target that has several', async () => {
    const resolve = () => Promise.resolve({ addresses: ['198.51.100.1', '198.51.100.2'], ttlSeconds: 3600 })
    const run = runTrunks(configOf([trunk({ targets: [target({ host: 'sip.carrier.example' })], keepalive })]), {
      resolve,
    })
    run.sip.script = (request) => request.answer(200)
    await new Promise((resolve) => setImmediate(resolve))
    run.clock.advance(1000)
    run.trunks.observe(place, { status: 503, retryAfterSeconds: undefined })
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
    expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.2'])
  })

  it('means nothing where keepalive is off, since nothing would bring the target back', () => {
    const run = runTrunks(configOf([{ ...carrier, keepalive: { ...keepalive, enabled: false } }]))
    run.trunks.observe(place, { status: 503, retryAfterSeconds: undefined })
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
    expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.1'])
  })
})
